"""Who sits at a browser, and the signed pass that it carries."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from itsdangerous import BadData, URLSafeTimedSerializer

HOURS = 12  # for which a pass is good
TEACHER = "teacher"  # the teacher's id, on whatever browser


@dataclass(frozen=True)
class Person:
    """`id` is what their runs and votes are kept under; it is no secret, as only a pass lets somebody act under it."""

    id: str
    is_teacher: bool = False


# Whoever is at the machine that runs the lab, where no class is let in: everything is theirs.
OWNER = Person("", is_teacher=True)


def new_student() -> Person:
    return Person(secrets.token_hex(8))


class Passes:
    """Signs passes and reads them back.

    Args:
        key: secret of this lab. Passes of another key are not read.
        codes: the codes that let people in: other codes end all passes.
    """

    def __init__(self, key: bytes, codes: tuple[str, str]) -> None:
        self._serializer = URLSafeTimedSerializer([key + "\0".join(codes).encode()], salt="resnet-lab")

    def issue(self, person: Person) -> str:
        return str(self._serializer.dumps(person.id))

    def read(self, text: str | None) -> Person | None:
        """None for a pass that is not this lab's, or too old."""
        try:
            person_id = self._serializer.loads(text or "", max_age=HOURS * 3600)
        except BadData:
            return None
        return Person(str(person_id), person_id == TEACHER)
