"""What one person may do with runs. Pages act through a `Desk` alone, so that no page can forget to ask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from resnet_lab.classroom.access import Limits
from resnet_lab.classroom.classroom import Classroom, classroom
from resnet_lab.classroom.people import Person
from resnet_lab.data.loading import folder_of
from resnet_lab.runs import Run, RunError, RunManager
from resnet_lab.runs.archive import unpack
from resnet_lab.training import TrainConfig

MEGABYTE = 10**6


class Desk:
    """The `manager` as `person` may use it: with their own runs, within their limits. The teacher may do everything."""

    def __init__(self, manager: RunManager, person: Person, room_of: Classroom) -> None:
        self.manager, self.person, self.room = manager, person, room_of.room
        self.limits: Limits | None = room_of.limits_of(person.id)

    def may_change(self, run: Run) -> bool:
        """Whether `run` is this person's to stop, rename and delete."""
        return self.person.is_teacher or run.status.owner == self.person.id

    def require_own(self, run: Run) -> None:
        """Asked before a run is renamed, noted upon, deleted or cleaned up.

        Raises:
            RunError: it is somebody else's.
        """
        if not self.may_change(run):
            owner = self.room.name(run.status.owner) or "the teacher"
            raise RunError(f"{run.title} is a run of {owner}; only they and the teacher can change it.")

    def runs(self, of_all: bool = False) -> list[Run]:
        """Of this person, and those that the teacher has pinned; `of_all`, and of the teacher, everyone's."""
        runs = list(self.manager.store.list())
        if of_all or self.person.is_teacher:
            return runs
        pinned = self.room.pinned
        return [run for run in runs if run.id in pinned or self.may_change(run)]

    def submit(self, config: TrainConfig, name: str = "") -> str:
        """As `RunManager.submit`.

        Raises:
            RunError: as there, or as `admit`.
        """
        return self.race([config], name)[0]

    def race(self, configs: Sequence[TrainConfig], name: str = "") -> list[str]:
        """As `RunManager.race`.

        Raises:
            RunError: as there, or as `admit`.
        """
        self._require_room(len(configs))
        for config in configs:
            self.admit(config)
        return self.manager.race(configs, name, self.person.id)

    def admit(self, config: TrainConfig) -> None:
        """Asks whether this person may have the server read what `config` names.

        Raises:
            RunError: a student, and it is a folder or file of the server; or as `RunManager.admit`.
        """
        self.require_open(config.dataset, config.weights)
        self.manager.admit(config)

    def require_open(self, dataset: str, weights: str | None = None) -> None:
        """
        Raises:
            RunError: a student asks for a folder or a weights file of the server.
        """
        if not self.person.is_teacher and (
            folder_of(dataset) is not None or weights not in (None, "imagenet")
        ):
            raise RunError("The server's own folders are the teacher's; choose another data set.")

    def resume(self, run_id: str, steps: int | None = None) -> None:
        """As `RunManager.resume`, as the methods that follow."""
        self.manager.resume(self._own_to_train(run_id).id, steps)

    def extend(self, run_id: str, epochs: int) -> None:
        self.manager.extend(self._own_to_train(run_id).id, epochs)

    def stop(self, run_id: str, pause: bool = False) -> None:
        self.manager.stop(self._own(run_id).id, pause)

    def take_in(self, data: bytes, source: str) -> Run:
        """As `archive.unpack`; the run becomes this person's.

        Raises:
            RunError: as there, or there is no room for it.
        """
        self._require_room(0)
        run = unpack(self.manager.store, data, source)
        try:  # whoever packs a file writes into its config what they like
            self.require_open(run.config.dataset, run.config.weights)
            run.set_status(owner=self.person.id)
        except RunError:
            self.manager.store.delete(run)
            raise
        return run

    def pin(self, run: Run, is_pinned: bool) -> None:
        """Puts a run onto everyone's home page.

        Raises:
            RunError: it is not the teacher who asks.
        """
        self._require_teacher()
        self.room.pin(run.id, is_pinned)

    def pause_queue(self, is_paused: bool) -> None:
        """
        Raises:
            RunError: it is not the teacher who asks.
        """
        self._require_teacher()
        self.manager.is_paused = is_paused

    def present(self, view: str) -> None:
        """Shows a page and its query to everyone, "" for none any more.

        Raises:
            RunError: it is not the teacher who asks.
        """
        self._require_teacher()
        self.room.present(view)

    def _own_to_train(self, run_id: str) -> Run:
        self._require_room(1)
        run = self._own(run_id)
        self.require_open(run.config.dataset, run.config.weights)
        return run

    def _own(self, run_id: str) -> Run:
        run = self.manager.store.get(run_id)
        self.require_own(run)
        return run

    def _require_teacher(self) -> None:
        if not self.person.is_teacher:
            raise RunError("Only the teacher can do this.")

    def _require_room(self, more: int) -> None:
        """That a student has room for so many more runs."""
        if self.limits is None:
            return
        own = [run for run in self.manager.store.list() if run.status.owner == self.person.id]
        active = sum(run.status.is_active for run in own)
        if active + more > self.limits.queued:
            raise RunError(
                f"You may have {self.limits.queued:,} runs waiting or going on, and have {active:,}; "
                f"wait, or stop {'one' if more == 1 else 'some'} of them."
            )
        used = sum(_size(run.path) for run in own) / MEGABYTE
        if used >= self.limits.disk_mb:
            raise RunError(
                f"Your runs take {used:,.0f} MB, and {self.limits.disk_mb:,.0f} are yours; delete some of them."
            )


def time_limit(run: Run) -> float | None:
    """The seconds that a run may train at a time: a student's has a limit."""
    limits = classroom().limits_of(run.status.owner)
    return None if limits is None else 60 * limits.minutes


def _size(folder: Path) -> int:
    try:
        return sum(path.stat().st_size for path in folder.iterdir())
    except OSError:  # it goes meanwhile
        return 0
