"""The mirrors of one run: those that the environment asks for, until they fail."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import closing, suppress
from importlib import import_module
from typing import Protocol

from resnet_lab.runs.files import RunError
from resnet_lab.runs.mirrors.points import Point, PointReader
from resnet_lab.runs.run import Run
from resnet_lab.runs.writer import RunWriter
from resnet_lab.training.events import Event, Notice, Started
from resnet_lab.training.loop import Emit

# The variable that asks for a mirror, what a reader calls it, and its class, imported then.
MIRRORS = (
    ("RESNET_LAB_TENSORBOARD", "TensorBoard", "resnet_lab.runs.mirrors.tensorboard", "TensorBoardMirror"),
)


class Mirror(Protocol):
    """Made of a run and its points up to now. Whatever it raises, at any call, ends it and nothing else."""

    def __init__(self, run: Run, points: Sequence[Point]) -> None: ...

    def add(self, point: Point) -> None: ...

    def close(self, state: str) -> None:
        """`state` is the run's last one."""


class Mirrors:
    """Tells the mirrors what the run has told its folder; a mirror that fails is given up with one `Notice`."""

    def __init__(self, run: Run, on_event: Emit | None = None) -> None:
        self.run, self.on_event = run, on_event
        self.step = 0
        self._open: dict[str, Mirror] = {}

    def tell(self, event: Event) -> None:
        """Call it when the event is written. Mirrors begin with the first step, and get what came before it."""
        if isinstance(event, Started):
            self.step = event.step
            self._begin()
        elif self._open and (point := self._read(event)):
            self.step = max(self.step, point.step)
            for title, mirror in list(self._open.items()):
                try:
                    mirror.add(point)
                except Exception as error:
                    self._give_up(title, error)

    def close(self, state: str) -> None:
        """With the run's last state, while the run is still claimed; a second call does nothing."""
        for title, mirror in list(self._open.items()):
            try:
                mirror.close(state)
            except Exception as error:
                self._give_up(title, error)
        self._open.clear()

    def _begin(self) -> None:
        asked = [mirror for mirror in MIRRORS if os.environ.get(mirror[0], "") not in ("", "0")]
        if not asked:
            return
        self._read = PointReader(self.run)
        points = self._read.history(self.run)
        for _, title, module, name in asked:
            try:
                self._open[title] = getattr(import_module(module), name)(self.run, points)
            except Exception as error:
                self._give_up(title, error)

    def _give_up(self, title: str, error: Exception) -> None:
        self._open.pop(title, None)
        notice = Notice(self.step, f"{title} gets nothing of this run from here on: {_words(error)}.")
        with suppress(RunError):  # of a full disk the run hears at its next event
            with closing(RunWriter(self.run)) as writer:
                writer(notice)
            if self.on_event is not None:
                self.on_event(notice)


def _words(error: Exception) -> str:
    """The start of its first line, without a password that an address may hold."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed"
    text = next(iter(str(error).splitlines()), "") or type(error).__name__
    return re.sub(r"://[^/\s]*@", "://", text)[:200].rstrip(". ")
