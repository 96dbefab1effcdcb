"""What a run's events say in numbers, under the names that other tools show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resnet_lab.runs.run import Run
from resnet_lab.training.events import EpochEvent, Event, Started, StepEvent, TestEvent

TEST = "test/accuracy"


@dataclass(frozen=True)
class Point:
    """Values by name at one step; `time` is in seconds since 1970."""

    step: int
    time: float
    values: dict[str, float]


class PointReader:
    """The point of each event that has one, events given in their order.

    An event does not know the hour, so its time is that of the run's creation plus the seconds of training until
    then, as on the lab's own time axis. A point is the same live, in an export and after a resume.
    """

    def __init__(self, run: Run) -> None:
        self.time = self.created = run.status.created

    def __call__(self, event: Event) -> Point | None:
        match event:
            case StepEvent():
                self.time = self.created + event.seconds
                values = {
                    "training/loss": event.loss,
                    "training/accuracy": event.accuracy,
                    "training/learning_rate": event.lr,
                    "training/images_per_second": event.images_per_second,
                }
                if event.grad_norm is not None:
                    values["training/gradient_norm"] = event.grad_norm
            case EpochEvent():
                self.time = self.created + event.seconds
                values = {"validation/loss": event.val_loss, "validation/accuracy": event.val_accuracy}
            case TestEvent():  # which does not tell its seconds
                values = {"test/loss": event.loss, TEST: event.accuracy}
            case _:
                return None
        return Point(event.step, self.time, values)

    def history(self, run: Run) -> list[Point]:
        """The points of all events so far; a resume from an earlier step forgets what came after, and the test."""
        points: list[Point] = []
        for event in run.events()[0]:
            if isinstance(event, Started):
                points = [old for old in points if old.step <= event.step and TEST not in old.values]
            elif point := self(event):
                points.append(point)
        return points


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, bool | float | str]:
    """`augmentation.crop_size` for what is nested, lists as JSON; what is none is left out."""
    found: dict[str, bool | float | str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif value is not None:
            found[prefix + name] = value if isinstance(value, bool | int | float | str) else json.dumps(value)
    return found
