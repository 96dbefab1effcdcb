"""What training tells a console, which may go away before the run ends."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import TextIO

from resnet_lab.training.events import (
    EpochEvent,
    Event,
    ModeChosen,
    Notice,
    Preparing,
    Started,
    StepEvent,
    TestEvent,
)


@contextmanager
def outlived_console() -> Iterator[None]:
    """Inside, what is printed after the reader of stdout or stderr has gone (`| head`) is lost without an error."""
    with redirect_stdout(_Outlived(sys.stdout)), redirect_stderr(_Outlived(sys.stderr)):
        yield


class _Outlived:
    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        with self._until_it_goes():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._until_it_goes():
            self.stream.flush()

    @contextmanager
    def _until_it_goes(self) -> Iterator[None]:
        try:
            yield
        except OSError:  # what lies in its buffer goes where the rest will
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())


class Progress:
    """One line that is written over, and one that stays per epoch."""

    total = 0

    def __call__(self, event: Event) -> None:
        match event:
            case Preparing():
                self._show(f"{event.text} {event.fraction:.0%}")
            case Started():
                self.total = event.total_steps
                self._keep(
                    f"{event.device}, {event.precision}, {event.params:,} parameters, {self.total:,} steps"
                )
            case Notice() | ModeChosen():
                self._keep(f"step {event.step + 1:,}: {event.text}")
            case StepEvent():
                done = round(20 * event.step / self.total)
                self._show(
                    f"[{'#' * done}{'.' * (20 - done)}] {event.step:,}/{self.total:,}  loss {event.loss:.3f}  "
                    f"accuracy {event.accuracy:.1%}  {event.images_per_second:,.0f} images/s  "
                    f"{event.seconds_left:,.0f} s left"
                )
            case EpochEvent():
                self._keep(
                    f"epoch {event.epoch}: training {event.train_loss:.3f} / {event.train_accuracy:.1%}, "
                    f"validation {event.val_loss:.3f} / {event.val_accuracy:.1%}"
                )
            case TestEvent():
                self._keep(
                    f"test: {event.loss:.3f} / {event.accuracy:.2%} on {event.samples:,} images, "
                    f"best weights, of step {event.step:,}"
                )

    def _show(self, text: str) -> None:
        if sys.stdout.isatty():
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{text[:width]:<{width}}", end="", flush=True)

    def _keep(self, text: str) -> None:
        self._show("")
        print(f"\r{text}" if sys.stdout.isatty() else text, flush=True)
