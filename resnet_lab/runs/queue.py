"""Who comes next: one turn of each owner after the other, however many runs an owner has waiting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resnet_lab.runs.run import Run


@dataclass
class Turn:
    """Runs that are trained together, a step each, for so many steps (None: to their end)."""

    runs: list[Run]
    steps: int | None = None
    owner: str = ""


class FairQueue:
    """Turns that wait. The next is of the owner who has been served least recently; of one owner, the first to come."""

    def __init__(self) -> None:
        self._waiting: list[Turn] = []
        self._served: dict[str, int] = {}  # the number of the turn that an owner had last
        self._count = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, turn: Turn) -> None:
        self._waiting.append(turn)

    def take(self) -> Turn:
        """
        Raises:
            IndexError: nobody waits.
        """
        turn = self.order()[0]
        self._waiting.remove(turn)
        self._count += 1
        self._served[turn.owner] = self._count
        return turn

    def order(self) -> Sequence[Turn]:
        """All that wait, in the order in which they will be taken if nobody else comes."""
        left, served, count, found = list(self._waiting), dict(self._served), self._count, []
        while left:
            turn = min(left, key=lambda turn: served.get(turn.owner, 0))  # the first of equals
            left.remove(turn)
            found.append(turn)
            count += 1
            served[turn.owner] = count
        return found

    def withdraw(self, run_id: str) -> Run | None:
        """Takes a run out; None if it is not in here."""
        for turn in self._waiting:
            for run in turn.runs:
                if run.id == run_id:
                    turn.runs.remove(run)
                    if not turn.runs:
                        self._waiting.remove(turn)
                    return run
        return None

    def clear(self) -> Sequence[Run]:
        """Empties it; returns the runs that were in it."""
        runs = [run for turn in self._waiting for run in turn.runs]
        self._waiting.clear()
        return runs
