"""What the steps have measured: read from the device now and then, as each read waits for it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from resnet_lab.training.execution.distributed import World
from resnet_lab.training.step import StepResult, TrainingError

READ_EVERY = 0.3  # seconds


@dataclass(frozen=True)
class Reading:
    """Means over the steps since the last reading: loss (nats), accuracy (0 to 1), gradient norm, seconds a step."""

    loss: float
    accuracy: float
    norm: float | None
    seconds: float


class Meter:
    """Collects the results of steps; `seconds` is training time, `sums` are loss, accuracy and steps of the epoch."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seconds = 0.0
        self.sums = [0.0, 0.0, 0]
        self.begin()

    def begin(self) -> None:
        """From here on time counts as training."""
        self._results: list[StepResult] = []
        self._began = time.perf_counter()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time in here does not count, as when another net takes its turn."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._began += time.perf_counter() - began

    def add(self, result: StepResult) -> None:
        self._results.append(result)

    @property
    def is_due(self) -> bool:
        return time.perf_counter() - self._began > READ_EVERY

    def read(self, step: int, lr: float) -> Reading | None:
        """What was measured up to `step`, the last one; None if nothing was. `lr` is for the advice.

        Raises:
            TrainingError: a loss is NaN or infinite.
        """
        if not self._results:
            return None
        numbers = torch.stack([torch.stack([r.loss, r.accuracy]) for r in self._results])  # (steps, 2)
        losses, accuracies = self.world.sum(numbers).T.tolist()
        norm = torch.stack([r.norm for r in self._results]).float().mean().item()
        for i, loss in enumerate(losses, 1):
            if not math.isfinite(loss):
                raise TrainingError(
                    f"The loss became {loss} at step {step - len(losses) + i:,}; try a lower learning rate than "
                    f"{lr:g}, a warm-up, or gradient clipping."
                )
        elapsed = time.perf_counter() - self._began
        self.seconds += elapsed
        for loss, accuracy in zip(losses, accuracies, strict=True):  # in this order, wherever the reads fall
            self.sums = [self.sums[0] + loss, self.sums[1] + accuracy, self.sums[2] + 1]
        count = len(losses)
        self.begin()
        norm_or_none = norm if math.isfinite(norm) else None
        return Reading(sum(losses) / count, sum(accuracies) / count, norm_or_none, elapsed / count)

    def end_epoch(self) -> tuple[float, float]:
        """Mean loss and accuracy of the epoch, whose sums are then forgotten."""
        loss, accuracy, steps = self.sums
        self.sums = [0.0, 0.0, 0]
        return loss / steps, accuracy / steps
