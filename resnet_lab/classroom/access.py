"""Who is let in: the codes of a class, how often somebody may try one, and what a student may take."""

from __future__ import annotations

import hmac
import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from resnet_lab.classroom.people import TEACHER, Person, new_student
from resnet_lab.schema import Record, SchemaError, about, record

CLASS_CODE, TEACHER_CODE = "RESNET_LAB_CLASS_CODE", "RESNET_LAB_TEACHER_CODE"
LIMITS, AT_ONCE = "RESNET_LAB_LIMITS", "RESNET_LAB_AT_ONCE"
SHORTEST, SHORTEST_TEACHER = 4, 8  # letters
MOST_TRIES, WINDOW = 10, 600.0  # wrong codes from one address in so many seconds


class AccessError(ValueError):
    """The variables that open the lab to a class do not fit together; one sentence."""


@dataclass(frozen=True)
class Codes:
    """The words that let in a student and the teacher; case and spaces around them do not count."""

    student: str
    teacher: str

    def person(self, typed: str) -> Person | None:
        """Whom a code lets in, a new student each time; None for a wrong one. It takes as long for any."""
        given = _plain(typed)
        is_teacher = hmac.compare_digest(given, _plain(self.teacher))
        is_student = hmac.compare_digest(given, _plain(self.student))
        if is_teacher:
            return Person(TEACHER, is_teacher=True)
        return new_student() if is_student else None


def codes_from(environment: Mapping[str, str] = os.environ) -> Codes | None:
    """None where no class is let in.

    Raises:
        AccessError: one is missing, too short, or they are alike.
    """
    student, teacher = (environment.get(name, "").strip() for name in (CLASS_CODE, TEACHER_CODE))
    if not student and not teacher:
        return None
    if not student or not teacher:
        raise AccessError(f"For a class, set both {CLASS_CODE} and {TEACHER_CODE}.")
    for name, code, least in ((CLASS_CODE, student, SHORTEST), (TEACHER_CODE, teacher, SHORTEST_TEACHER)):
        if len(code) < least:
            raise AccessError(f"{name} has {len(code)} letters; it needs at least {least}.")
    if _plain(student) == _plain(teacher):
        raise AccessError(f"{CLASS_CODE} and {TEACHER_CODE} are alike; the teacher's must be another one.")
    return Codes(student, teacher)


def _plain(code: str) -> bytes:
    return code.strip().casefold().encode(errors="replace")


@record
class Limits(Record):
    """What each student may take; the teacher may take what there is."""

    what: ClassVar[str] = "the limits of a student"
    queued: Annotated[int, about("Runs that wait or go on.", ge=1, le=1000)] = 8
    minutes: Annotated[float, about("That a run may train at a time.", gt=0, le=100_000)] = 30
    upload_mb: Annotated[float, about("Of one file.", unit="MB", gt=0, le=100_000)] = 50
    disk_mb: Annotated[float, about("Of all their runs.", unit="MB", gt=0, le=100_000_000)] = 1000


def limits_from(environment: Mapping[str, str] = os.environ) -> Limits:
    """
    Raises:
        AccessError: $RESNET_LAB_LIMITS is no JSON object of these.
    """
    try:
        return Limits.from_json(environment.get(LIMITS) or "{}")
    except SchemaError as error:
        raise AccessError(f"{LIMITS}: {error}.") from None


def at_once_from(environment: Mapping[str, str] = os.environ) -> int:
    """How many runs train at a time on a device.

    Raises:
        AccessError: $RESNET_LAB_AT_ONCE is no whole number from 1 to 64.
    """
    text = environment.get(AT_ONCE) or "1"
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise AccessError(f"{AT_ONCE} is {text!r}; it may be a whole number from 1 to 64.")
    return int(text)


class Tries:
    """Wrong codes by address: each makes the next answer come later, and too many end in none for a while."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._wrong: defaultdict[str, list[float]] = defaultdict(list)

    def are_spent(self, address: str) -> bool:
        return len(self._recent(address)) >= MOST_TRIES

    def wrong(self, address: str) -> float:
        """Notes a wrong code; returns the seconds after which it is to be answered."""
        self._recent(address).append(self._now())
        return float(min(len(self._wrong[address]), 5))

    def _recent(self, address: str) -> list[float]:
        since = self._now() - WINDOW
        for known in [known for known, times in self._wrong.items() if not times or times[-1] < since]:
            del self._wrong[known]
        self._wrong[address] = [moment for moment in self._wrong[address] if moment >= since]
        return self._wrong[address]
