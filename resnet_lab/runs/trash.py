"""Deleted runs, which can be had back for a day: runs/.trash/<when>/<run id>."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from resnet_lab.runs.disk import bytes_of
from resnet_lab.runs.files import RunError, reason
from resnet_lab.runs.run import Run
from resnet_lab.runs.store import RunStore, is_own

KEPT = 24 * 3600.0  # seconds


@dataclass(frozen=True)
class Batch:
    """Runs that were deleted at once; its directory is named after the moment, in ns since 1970."""

    path: Path

    @property
    def deleted(self) -> float:
        """Seconds since 1970."""
        return int(self.path.name) / 1e9

    @property
    def runs(self) -> Sequence[Run]:
        with suppress(OSError):
            return [Run(path) for path in sorted(self.path.iterdir())]
        return []

    @property
    def names(self) -> Sequence[str]:
        """Of the runs; the id of one whose config cannot be read."""
        return [name_of(run) for run in self.runs]

    @property
    def foreign(self) -> Sequence[str]:
        """Files in the runs' directories that are not the lab's."""
        with suppress(OSError):
            files = [(run, path) for run in self.runs for path in run.path.iterdir() if not is_own(path)]
            return sorted(
                f"{run.title}/{os.fsencode(path.name).decode(errors='replace')}" for run, path in files
            )
        return []


class Trash:
    """Of one store. A run goes in and comes back whole, with whatever lies in its directory, by a rename."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.path = store.root / ".trash"

    def put(self, runs: Sequence[Run]) -> Batch:
        """Takes `runs` out of the store, all or none, and empties the trash of what is older than a day.

        Raises:
            RunError: one may not be deleted (`RunStore.require_deletable`), or cannot be moved.
        """
        for run in runs:
            self.store.require_deletable(run)
        self.empty(time.time() - KEPT)
        batch = Batch(self.path / str(time.time_ns()))
        try:
            self._require_directory()
            batch.path.mkdir(parents=True)
            for run in runs:
                os.rename(run.path, batch.path / run.id)
        except OSError as error:
            with suppress(RunError):
                self.restore(batch)
            raise RunError(f"Nothing was deleted: {self.path} cannot be written ({reason(error)}).") from None
        return batch

    def restore(self, batch: Batch) -> Sequence[Run]:
        """Puts the runs back under their ids.

        Raises:
            RunError: they are gone, or cannot be moved; what could be stays where it is now.
        """
        restored = []
        try:
            for run in batch.runs:
                path = self.store.root / run.id
                if os.path.lexists(path):
                    raise RunError(f"{run.title} cannot come back: there is something of that name.")
                os.rename(run.path, path)
                restored.append(Run(path))
            batch.path.rmdir()
        except OSError as error:
            raise RunError(f"The deleted runs could not be brought back ({reason(error)}).") from None
        return restored

    def batches(self) -> Sequence[Batch]:
        """The newest first."""
        try:
            self._require_directory()
            paths = [path for path in self.path.iterdir() if path.name.isdecimal() and not path.is_symlink()]
        except OSError:
            return []
        return [Batch(path) for path in sorted(paths, key=lambda path: int(path.name), reverse=True)]

    @property
    def bytes(self) -> int:
        """That its runs take."""
        return sum(bytes_of(run.path) for batch in self.batches() for run in batch.runs)

    def empty(self, before: float | None = None) -> Sequence[Path]:
        """Removes the runs for good, or those that were deleted `before` (s since 1970).

        Returns what was left: files that are not the lab's, and what could not be removed.
        """
        left: list[Path] = []
        for batch in self.batches():
            if before is not None and batch.deleted >= before:
                continue
            for run in batch.runs:
                try:
                    left += [run.path / name for name in self.store.delete(run)]
                except RunError:
                    left.append(run.path)
            with suppress(OSError):
                batch.path.rmdir()
        return left

    def _require_directory(self) -> None:
        """
        Raises:
            OSError: a link stands in its place, behind which anything may lie.
        """
        if self.path.is_symlink():
            raise OSError(0, "it is a link")


def name_of(run: Run) -> str:
    try:
        return run.name
    except RunError:
        return run.title
