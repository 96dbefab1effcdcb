"""From the events of `fit` to the files of a run directory."""

from __future__ import annotations

import json
import os
import shutil
import time
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
        with run.writing():
            for draft in run.path.glob(".*.pt.*.tmp"):  # half a checkpoint, of a trainer that was killed
                draft.unlink(missing_ok=True)
            self._file = open_regular(run.path / "events.jsonl", "ab+")
            if self._file.seek(0, os.SEEK_END):
                self._file.seek(-1, os.SEEK_END)
                if (
                    self._file.read(1) != b"\n"
                ):  # a killed process left half a line; what follows must not be lost
                    self._file.write(b"\n")

    def __call__(self, event: Event) -> None:
        """
        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        with self.run.writing():
            if not isinstance(event, Checkpoint | Preparing):
                self._file.write(json.dumps(event.to_dict()).encode() + b"\n")
            match event:
                case Checkpoint():
                    self._save(event)
                case Preparing():
                    self._update(0.2, message=f"{event.text} ({event.fraction:.0%})")
                case Started(step=step, total_steps=total, device=device):
                    self._update(0, message="", step=step, total_steps=total, device=device)
                    self._beat = 0.0  # the first step is told at once
                case StepEvent():
                    self._update(HEARTBEAT, step=event.step)
                case EpochEvent():
                    best = max(event.val_accuracy, self.run.status.val_accuracy or 0.0)
                    self._update(0, step=event.step, val_accuracy=best)
                case TestEvent():
                    self._update(0, test_accuracy=event.accuracy)

    def close(self) -> None:
        self._file.close()

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
