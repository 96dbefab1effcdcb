"""Work that hands back control after each step, so that several nets can take turns on one device."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from typing import TypeAlias, TypeVar

Result = TypeVar("Result")
Steps: TypeAlias = Generator[None, None, Result]


def run_to_end(work: Steps[Result]) -> Result:
    """Takes all the steps of `work`, and returns what it returns."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def round_robin(works: Iterable[Steps[Result]]) -> list[Result]:
    """A step of each in turn until all have ended; returns what they return, in their order."""
    results: dict[int, Result] = {}
    waiting = deque(enumerate(works))
    while waiting:
        i, work = waiting.popleft()
        try:
            next(work)
        except StopIteration as end:
            results[i] = end.value
        else:
            waiting.append((i, work))
    return [results[i] for i in sorted(results)]
