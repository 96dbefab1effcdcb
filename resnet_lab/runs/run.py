"""The run directory: one trainer writes it, anyone reads it, and nobody trusts what lies in it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from resnet_lab.runs.files import RunError, open_regular, read_start, reason, write_atomically
from resnet_lab.runs.lock import RunLock, in_turn
from resnet_lab.runs.notes import LARGEST, Notes, read_notes
from resnet_lab.runs.status import RunStatus, read_status
from resnet_lab.schema import MAX_JSON, SchemaError, read_json
from resnet_lab.training.config import TrainConfig
from resnet_lab.training.events import Event, read_event

UNCLAIMED = 60.0  # seconds in which whoever made a run may take its lock
SILENT_AFTER = (
    120.0  # seconds without a sign of life until a run counts as interrupted, where there are no locks
)
LONGEST_LINE = 2**20  # bytes of an event; the gradients of 2,000 layers have 20,000
LONGEST_NAME = 120
CHECKPOINTS = {"best": ("best.pt", "last.pt", "previous.pt"), "last": ("last.pt", "previous.pt")}


class Run:
    """One run directory, read afresh at each question except for the config, which only `lengthen` changes.

    `claim` makes an object the one trainer of its run; other objects, in this process too, are refused then.
    """

    is_recorded = False  # one of the lab's own, in runs/gallery.py

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = RunLock(path / "lock")

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def mark(self) -> str:
        """What tells it from runs of the same name."""
        return self.id[-4:]

    @cached_property
    def _record(self) -> tuple[TrainConfig, dict[str, str]]:
        path = self.path / "config.json"
        try:
            file = os.stat(path)
            return _read_config(path, (file.st_ino, file.st_mtime_ns, file.st_size))
        except (OSError, SchemaError) as error:
            raise RunError(f"{self.title}: config.json is missing or damaged: {reason(error)}.") from None

    @property
    def title(self) -> str:
        """The id as text that can be shown; the name of a directory may be any bytes."""
        return os.fsencode(self.id).decode(errors="replace")

    @property
    def config(self) -> TrainConfig:
        return self._record[0]

    @property
    def versions(self) -> dict[str, str]:
        return self._record[1]

    @property
    def name(self) -> str:
        """The name a person gave the run, else its config's title."""
        given = ""
        with suppress(OSError):
            given = read_start(self.path / "name.txt", 4 * LONGEST_NAME).decode(errors="replace")
        return " ".join(given.split())[:LONGEST_NAME] or self.config.title

    @property
    def notes(self) -> Notes:
        """What people wrote about it; empty where there is nothing that can be read."""
        with suppress(OSError, SchemaError):
            return read_notes(read_start(self.path / "notes.json", LARGEST))
        return Notes()

    @property
    def status(self) -> RunStatus:
        """As the run's trainer left it; "interrupted" when the trainer is gone without a last word."""
        try:
            status = self._written_status()
        except (OSError, SchemaError) as error:
            return RunStatus("interrupted", f"Its status.json is missing or damaged: {reason(error)}.")
        if status.is_active and not self._has_trainer(status):
            gone = "Its process ended unexpectedly; resume it from its checkpoint."
            return status.replace(state="interrupted", message=gone)
        return status

    def _written_status(self) -> RunStatus:
        return read_status(read_start(self.path / "status.json", MAX_JSON + 1))

    def _has_trainer(self, status: RunStatus) -> bool:
        held, age = self.lock.is_held, abs(time.time() - status.updated)
        if held is None:  # it cannot be told, except by what is written
            return age < SILENT_AFTER
        return held or (status.state == "queued" and not self.lock.was_taken and age < UNCLAIMED)

    def set_status(self, **changes: Any) -> RunStatus:
        """Replaces fields of status.json; what others change at the same time stays.

        Raises:
            RunError: it cannot be written.
        """
        with self.writing():
            if not self.path.is_dir():  # a lock would make it anew
                raise FileNotFoundError("it has been deleted")
            with in_turn(self.path / "status.lock"):
                status = RunStatus()
                with suppress(OSError, SchemaError):
                    status = self._written_status()
                status = status.replace(**changes, updated=time.time())
                write_atomically(self.path / "status.json", status.to_json().encode())
        return status

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Inside, a disk that is full and a directory that may not be written are a RunError."""
        try:
            yield
        except OSError as error:
            raise RunError(
                f"{self.title} could not be written ({reason(error)}); free some space, then resume: "
                "the previous checkpoint is kept."
            ) from None

    def events(self, offset: int = 0, without: Sequence[type[Event]] = ()) -> tuple[list[Event], int]:
        """Events from byte `offset` on, and the offset to go on from; a line still being written waits.

        Nothing is read beyond a line longer than any event. Of the kinds in `without`, lines as the lab writes them
        are passed over: most of a log are steps.
        """
        found: list[Event] = []
        passed_over = tuple(f'{{"kind": "{cls.kind}"'.encode() for cls in without)
        with suppress(OSError), open_regular(self.path / "events.jsonl") as file:
            while True:
                file.seek(offset)
                data = file.read(LONGEST_LINE)
                end = data.rfind(b"\n") + 1
                if end == 0:
                    break
                lines = (line for line in data[:end].splitlines() if not line.startswith(passed_over))
                found += [event for line in lines if (event := read_event(line))]
                offset += end
        return found, offset

    @property
    def last_checkpoint(self) -> Path | None:
        return next(iter(self.checkpoints("last")), None)

    @property
    def best_checkpoint(self) -> Path | None:
        """The weights of the best validation accuracy; the last ones where there are no best yet."""
        return next(iter(self.checkpoints("best")), None)

    def checkpoints(self, weights: Literal["best", "last"]) -> list[Path]:
        """The files that are there, the one to be read first before those that take its place."""
        return [path for name in CHECKPOINTS[weights] if os.path.isfile(path := self.path / name)]

    def claim(self) -> None:
        """Makes this object the run's one trainer, until `release` or the end of the process.

        Raises:
            RunError: another one trains it or has it in its queue, or the directory cannot be written.
        """
        try:
            if not self.path.is_dir():
                raise FileNotFoundError("it has been deleted")
            if self.lock.acquire():
                return
        except OSError as error:
            raise RunError(
                f"{self.title} cannot be trained: its lock could not be taken ({reason(error)})."
            ) from None
        with suppress(OSError, SchemaError):
            status = self._written_status()
            does = "is waiting to be trained" if status.state == "queued" else "is being trained"
            raise RunError(f"{self.name} {does} by {status.trainer}; stop it there first.")
        raise RunError(f"{self.name} is being trained by another process; stop it there first.")

    def release(self) -> None:
        """Lets others train it."""
        self.lock.release()

    @property
    def stop_file(self) -> Path:
        """Asks the run's trainer, in whatever process, to stop; it holds "stop" or "pause"."""
        return self.path / "stop"

    @property
    def asked(self) -> str:
        """What the stop file says, "" where there is none."""
        with suppress(OSError):
            return read_start(self.stop_file, 10).decode(errors="replace")
        return ""

    def ask(self, word: str) -> None:
        """Asks the run's trainer to "stop" or "pause".

        Raises:
            RunError: the directory cannot be written.
        """
        try:
            self.stop_file.write_text(word)
        except OSError as error:
            if not self.stop_file.exists():  # an empty one stops the run all the same
                raise RunError(f"{self.name} could not be told to {word} ({reason(error)}).") from None

    def reopen(self) -> None:
        """Claims the run, to resume it from its last checkpoint.

        Raises:
            RunError: it is done, or as `claim`.
        """
        with self._claimed():
            if self.status.state == "completed":
                raise RunError(f"{self.name} is completed; there is nothing to resume.")

    def lengthen(self, epochs: int) -> None:
        """Claims the run and gives it so many more epochs, to resume it from its last checkpoint.

        Raises:
            RunError: it has no checkpoint, its config cannot be written, or as `claim`.
            ValueError: so many epochs cannot be.
        """
        with self._claimed():
            if self.last_checkpoint is None:
                why = "only its best weights were kept" if self.best_checkpoint else "it has no checkpoint"
                raise RunError(f"{self.name} cannot go on: {why}; start a new run instead.")
            config = self.config.replace(epochs=self.config.epochs + epochs)
            write_atomically(self.path / "config.json", config_file(config, self.versions))
            self.__dict__.pop("_record", None)

    @contextmanager
    def _claimed(self) -> Iterator[None]:
        """Claims the run for what follows the block, or not at all if it fails."""
        self.claim()
        try:
            with self.writing():
                yield
                self.stop_file.unlink(missing_ok=True)  # of a process that was killed before it could obey
        except BaseException:
            self.release()
            raise

    def rename(self, name: str) -> None:
        """
        Raises:
            RunError: the directory cannot be written.
        """
        try:
            write_atomically(self.path / "name.txt", name.strip()[:LONGEST_NAME].encode(errors="replace"))
        except OSError as error:
            raise RunError(f"{self.title} could not be renamed ({reason(error)}).") from None

    def annotate(self, notes: Notes) -> None:
        """
        Raises:
            RunError: the directory cannot be written.
        """
        try:
            write_atomically(self.path / "notes.json", notes.to_json().encode())
        except OSError as error:
            raise RunError(f"The notes on {self.title} could not be kept ({reason(error)}).") from None


@lru_cache(maxsize=1000)
def _read_config(path: Path, identity: tuple[int, int, int]) -> tuple[TrainConfig, dict[str, str]]:
    """A config and the versions beside it, read once for as long as the file is the same: pages ask at every rerun.

    Raises:
        OSError, SchemaError: it cannot be read.
    """
    data = read_json(read_start(path, MAX_JSON + 1), "the file")
    if not isinstance(data.get("config"), Mapping):
        raise SchemaError("it has no 'config'")
    versions = data.get("versions")
    texts = {k: str(v) for k, v in versions.items()} if isinstance(versions, dict) else {}
    return TrainConfig.from_record(data["config"]), texts


def config_file(config: TrainConfig, versions: Mapping[str, str]) -> bytes:
    return json.dumps({"config": config.to_dict(), "versions": dict(versions)}, indent=1).encode()
