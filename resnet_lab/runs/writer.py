"""From the events of `fit` to the files of a run directory."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import torch

from resnet_lab.runs.files import open_regular, replacing
from resnet_lab.runs.run import Run
from resnet_lab.training.events import Checkpoint, EpochEvent, Event, Preparing, Started, StepEvent, TestEvent

HEARTBEAT = 1.0  # seconds between updates of status.json while nothing else changes it


class RunWriter:
    """`emit` for `fit`: metrics to events.jsonl, checkpoints to last.pt and best.pt, progress to status.json.

    Raises:
        RunError: the directory cannot be written.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._beat = 0.0
        path = run.path / "events.jsonl"
        try:
            for draft in run.path.glob(".*.pt.*.tmp"):  # half a checkpoint, of a trainer that was killed
                draft.unlink(missing_ok=True)
            cut = _last_byte(path) not in (b"", b"\n")
            self._file = open_regular(path, "ab")
            if cut:  # a killed process left half a line; what follows must not be lost with it
                self._file.write(b"\n")
        except OSError as error:
            raise run.unwritable(error) from None

    def __call__(self, event: Event) -> None:
        """
        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        try:
            self._write(event)
        except OSError as error:
            raise self.run.unwritable(error) from None

    def close(self) -> None:
        self._file.close()

    def _write(self, event: Event) -> None:
        if isinstance(event, Checkpoint):
            self._save(event)
            return
        if isinstance(event, Preparing):
            self._update(0.2, message=f"{event.text} ({event.fraction:.0%})")
            return
        self._file.write(json.dumps(event.to_dict()).encode() + b"\n")
        match event:
            case Started():
                self._update(
                    0, message="", step=event.step, total_steps=event.total_steps, device=event.device
                )
                self._beat = 0.0  # the first step is told at once
            case StepEvent():
                self._update(HEARTBEAT, step=event.step)
            case EpochEvent():
                best = max(event.val_accuracy, self.run.status.val_accuracy or 0.0)
                self._update(0, step=event.step, val_accuracy=best)
            case TestEvent():
                self._update(0, test_accuracy=event.accuracy)

    def _update(self, pause: float, **changes: Any) -> None:
        """Writes status.json, unless it was written less than `pause` seconds ago."""
        now = time.monotonic()
        if now - self._beat >= pause:
            self._beat = now
            self.run.set_status(**changes)

    def _save(self, event: Checkpoint) -> None:
        path = self.run.path
        with replacing(path / "last.pt") as draft:
            try:
                torch.save(event.state, draft)
            except RuntimeError as error:  # torch's writer hides the OSError of a full disk
                raise OSError(0, str(error).splitlines()[0]) from None
            if (path / "last.pt").is_file():  # kept, in case the disk damages the new one
                os.replace(path / "last.pt", path / "previous.pt")
        if event.best:
            with replacing(path / "best.pt") as draft:
                shutil.copyfile(path / "last.pt", draft)


def _last_byte(path: Path) -> bytes:
    """b"" for a file that is empty or not there."""
    if not path.is_file() or path.stat().st_size == 0:
        return b""
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)
