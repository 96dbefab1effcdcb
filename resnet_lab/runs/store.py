"""The run directory, and the folder of them. DESIGN.md, "How a run flows", fixes the files."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
import secrets
import shutil
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from resnet_lab import __version__
from resnet_lab.runs.files import RunError, write_atomically
from resnet_lab.training.config import TrainConfig
from resnet_lab.training.events import Event, read_event

ACTIVE = ("queued", "running")
STATES = ("queued", "running", "paused", "completed", "stopped", "failed", "interrupted")
SILENT_AFTER = 120.0  # seconds without a sign of life from another host until a run counts as interrupted


@dataclass(frozen=True)
class RunStatus:
    """status.json. `pid`, `born` (the process's start time) and `host` tell whether the writer still lives."""

    state: str = "queued"
    message: str = ""
    step: int = 0
    total_steps: int = 0
    val_accuracy: float | None = None
    test_accuracy: float | None = None
    device: str = ""
    created: float = 0.0
    updated: float = 0.0
    pid: int = 0
    born: float = 0.0
    host: str = ""

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def writer_lives(self) -> bool:
        if self.host != socket.gethostname():
            return time.time() - self.updated < SILENT_AFTER
        try:
            return abs(psutil.Process(self.pid).create_time() - self.born) < 2
        except psutil.Error:
            return False


def mine() -> dict[str, Any]:
    """The fields that say that this process writes."""
    return {"pid": os.getpid(), "born": psutil.Process().create_time(), "host": socket.gethostname()}


class Run:
    """One run directory, read afresh at each question except for the config, which only `lengthen` changes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def id(self) -> str:
        return self.path.name

    @cached_property
    def _record(self) -> dict[str, Any]:
        try:
            record = json.loads((self.path / "config.json").read_text())
            TrainConfig.from_record(record["config"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{self.id}: config.json is missing or damaged ({type(error).__name__})."
            ) from None
        return record

    @property
    def config(self) -> TrainConfig:
        return TrainConfig.from_record(self._record["config"])

    @property
    def versions(self) -> dict[str, str]:
        return self._record.get("versions", {})

    @property
    def name(self) -> str:
        """The name a person gave the run, else its config's title."""
        try:
            given = (self.path / "name.txt").read_text().strip()
        except OSError:
            given = ""
        return given or self.config.title

    @property
    def status(self) -> RunStatus:
        """As the run's writer left it; "interrupted" when the writer is gone without a last word."""
        try:
            data = json.loads((self.path / "status.json").read_text())
            fields = {f.name for f in dataclasses.fields(RunStatus)}
            status = RunStatus(**{k: v for k, v in data.items() if k in fields})
        except (OSError, ValueError, TypeError, AttributeError):
            return RunStatus("interrupted", "Its status file is missing or damaged.")
        if status.is_active and not status.writer_lives:
            return dataclasses.replace(
                status, state="interrupted", message="The process that trained it is gone."
            )
        return status

    def set_status(self, **changes: Any) -> RunStatus:
        """Replaces fields of status.json atomically (the writer's side)."""
        try:
            data = json.loads((self.path / "status.json").read_text())
        except (OSError, ValueError):
            data = {}
        status = RunStatus(**{**data, **changes, "updated": time.time()})
        write_atomically(self.path / "status.json", json.dumps(dataclasses.asdict(status)).encode())
        return status

    def events(self, offset: int = 0) -> tuple[list[Event], int]:
        """Events from byte `offset` on, and the offset to go on from; a line still being written waits."""
        try:
            with (self.path / "events.jsonl").open("rb") as file:
                file.seek(offset)
                data = file.read()
        except OSError:
            return [], offset
        end = data.rfind(b"\n") + 1
        return [event for line in data[:end].splitlines() if (event := read_event(line))], offset + end

    @property
    def last_checkpoint(self) -> Path | None:
        return next(iter(self.checkpoints("last.pt", "previous.pt")), None)

    @property
    def best_checkpoint(self) -> Path | None:
        """The weights of the best validation accuracy; the last ones where there are no best yet."""
        return next(iter(self.checkpoints("best.pt", "last.pt", "previous.pt")), None)

    def checkpoints(self, *names: str) -> list[Path]:
        """Those of the files that are there."""
        return [path for name in names if (path := self.path / name).is_file()]

    @property
    def stop_file(self) -> Path:
        """Asks the run's writer, in whatever process, to stop; it holds "stop" or "pause"."""
        return self.path / "stop"

    def reopen(self) -> None:
        """Makes the run ready to go on from its last checkpoint.

        Raises:
            RunError: it is going on, or done.
        """
        status = self.status
        if status.is_active or status.state == "completed":
            raise RunError(f"{self.name} is {status.state}; there is nothing to resume.")
        self.stop_file.unlink(missing_ok=True)  # left by a process that was killed before it could obey

    def lengthen(self, epochs: int) -> None:
        """Gives the run so many more epochs, and makes it ready to go on from its last checkpoint.

        Raises:
            RunError: it is going on, has no checkpoint, or its config cannot be written.
            ValueError: so many epochs cannot be.
        """
        if self.status.is_active:
            raise RunError(f"{self.name} is {self.status.state}; stop it first.")
        if self.last_checkpoint is None:
            raise RunError(f"{self.name} has no checkpoint to go on from; start a new run instead.")
        config = self.config.replace(epochs=self.config.epochs + epochs)
        record = {**self._record, "config": config.to_dict()}
        try:
            write_atomically(self.path / "config.json", json.dumps(record, indent=1).encode())
        except OSError as error:
            raise RunError(f"{self.id} could not be written ({error.strerror}).") from None
        self.__dict__.pop("_record", None)
        self.stop_file.unlink(missing_ok=True)

    def rename(self, name: str) -> None:
        write_atomically(self.path / "name.txt", name.strip()[:120].encode())


class RunStore:
    """The folder of runs: $RESNET_LAB_RUNS, or runs/ here."""

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = Path(root or os.environ.get("RESNET_LAB_RUNS") or "runs")

    def create(self, config: TrainConfig, name: str = "") -> Run:
        """A new run directory with the state queued; it appears whole or not at all.

        Raises:
            RunError: the folder cannot be written.
        """
        stamp = time.strftime("%Y%m%d-%H%M%S")
        net = re.sub(r"[^A-Za-z0-9_]+", "-", config.spec.name)[:40]  # a spec may have any name
        run_id = f"{stamp}-{net}-{secrets.token_hex(2)}"
        draft = self.root / f".{run_id}"
        record = {"config": config.to_dict(), "versions": _versions()}
        try:
            draft.mkdir(parents=True)
            (draft / "config.json").write_text(json.dumps(record, indent=1))
            Run(draft).set_status(state="queued", created=time.time(), **mine())
            if name:
                Run(draft).rename(name)
            draft.rename(self.root / run_id)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise RunError(
                f"No run can be kept in {self.root} ({error.strerror}); free some space or set RESNET_LAB_RUNS."
            ) from None
        return Run(self.root / run_id)

    def get(self, run_id: str) -> Run:
        """
        Raises:
            RunError: there is no such run, or its config cannot be read.
        """
        path = self.root / run_id
        if not run_id or run_id != path.name or run_id.startswith(".") or not path.is_dir():
            raise RunError(f"There is no run {run_id!r}; it may have been deleted.")
        run = Run(path)
        _ = run.config
        return run

    def list(self) -> Sequence[Run]:
        """Every readable run, newest first."""
        return [run for run in self._directories() if _problem(run) is None]

    def damaged(self) -> Sequence[tuple[Run, str]]:
        """Directories that are no readable run, each with its reason."""
        return [(run, problem) for run in self._directories() if (problem := _problem(run)) is not None]

    def delete(self, run: Run) -> None:
        """
        Raises:
            RunError: the run is going on, or a file cannot be removed.
        """
        if _problem(run) is None and run.status.is_active:
            raise RunError(f"{run.name} is still {run.status.state}; stop it first.")
        try:
            shutil.rmtree(run.path)
        except OSError as error:
            raise RunError(f"{run.id} could not be deleted ({error.strerror}).") from None

    def _directories(self) -> Sequence[Run]:
        try:
            paths = [p for p in self.root.iterdir() if p.is_dir() and not p.name.startswith(".")]
        except OSError:
            return []
        return [Run(path) for path in sorted(paths, reverse=True)]


def _problem(run: Run) -> str | None:
    try:
        _ = run.config
    except RunError as error:
        return str(error)
    return None


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("torch", "torchvision")}  # without importing torchvision
    return {"resnet_lab": __version__, "python": platform.python_version(), **packages}
