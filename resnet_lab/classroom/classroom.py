"""The class of this process: its codes, passes, limits and what it shares; made once for one environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from resnet_lab.classroom.access import (
    AT_ONCE,
    CLASS_CODE,
    LIMITS,
    TEACHER_CODE,
    Codes,
    Limits,
    at_once_from,
    codes_from,
    limits_from,
)
from resnet_lab.classroom.people import OWNER, TEACHER, Passes, Person
from resnet_lab.classroom.room import Room, key_of

COOKIE = "resnet_lab_pass"


@dataclass(frozen=True)
class Classroom:
    """Without `codes` no class is let in: whoever is at this machine may do everything."""

    codes: Codes | None
    passes: Passes
    limits: Limits
    room: Room
    at_once: int = 1  # runs that train at a time on a device

    @property
    def is_open(self) -> bool:
        """Whether people of other machines are let in, with a code."""
        return self.codes is not None

    def person(self, cookies: Mapping[str, str]) -> Person | None:
        """Who carries these cookies; None for nobody whom the class has let in."""
        return self.passes.read(cookies.get(COOKIE)) if self.is_open else OWNER

    def let_in(self, code: str, cookies: Mapping[str, str]) -> Person | None:
        """Whom the typed `code` lets in: a student who was here before stays who they are. None for a wrong code."""
        person = self.codes.person(code) if self.codes else None
        known = self.person(cookies)
        is_back = person is not None and known is not None and is_student(person.id) and is_student(known.id)
        return known if is_back else person

    def limits_of(self, person_id: str) -> Limits | None:
        """What somebody may take; None where there is no limit."""
        return self.limits if is_student(person_id) else None


def is_student(person_id: str) -> bool:
    return person_id not in (OWNER.id, TEACHER)


def classroom() -> Classroom:
    """The one of this process.

    Raises:
        AccessError: the environment does not fit together.
        RunError: the folder of runs cannot be written, and a class is to be let in.
    """
    names = (CLASS_CODE, TEACHER_CODE, LIMITS, AT_ONCE, "RESNET_LAB_RUNS")
    return _made(tuple((name, os.environ.get(name, "")) for name in names))


@lru_cache(maxsize=4)
def _made(said: tuple[tuple[str, str], ...]) -> Classroom:
    environment = dict(said)
    runs = Path(environment["RESNET_LAB_RUNS"] or "runs")
    codes = codes_from(environment)
    key = key_of(runs) if codes else b"no class"
    words = (codes.student, codes.teacher) if codes else ("", "")
    return Classroom(
        codes, Passes(key, words), limits_from(environment), Room(runs), at_once_from(environment)
    )
