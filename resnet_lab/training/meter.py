"""What the steps have measured: read from the device now and then, as each read waits for it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from resnet_lab.training.batches import BatchSource
from resnet_lab.training.config import TrainConfig
from resnet_lab.training.events import StepEvent
from resnet_lab.training.execution.device import device_use, memory_mb
from resnet_lab.training.execution.distributed import World
from resnet_lab.training.result import TrainingError
from resnet_lab.training.step import StepResult

READ_EVERY = 0.3  # seconds


class Meter:
    """Collects the results of steps; `seconds` is training time, `sums` are loss, accuracy and steps of the epoch."""

    def __init__(self, config: TrainConfig, batches: BatchSource, world: World) -> None:
        self.config, self.batches, self.world = config, batches, world
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

    def read(self, step: int) -> StepEvent | None:
        """What was measured up to `step`, the last one; None if nothing was.

        Raises:
            TrainingError: a loss is NaN or infinite.
        """
        if not self._results:
            return None
        numbers = torch.stack([torch.stack([r.loss, r.accuracy]) for r in self._results])  # (steps, 2)
        norms = torch.stack([r.norm for r in self._results]).float()[:, None]
        losses, accuracies, norms = torch.cat([self.world.sum(numbers), norms], 1).T.tolist()  # one wait
        count, lr = len(losses), self._results[-1].lr
        for i, loss in enumerate(losses, 1):
            if not math.isfinite(loss):
                raise TrainingError(
                    f"The loss became {loss} at step {step - count + i:,}; try a lower learning rate than "
                    f"{self.config.lr:g}, a warm-up, or gradient clipping."
                )
        norm = sum(norms) / count
        elapsed = time.perf_counter() - self._began
        self.seconds += elapsed
        for loss, accuracy in zip(losses, accuracies, strict=True):  # in this order, wherever the reads fall
            self.sums = [self.sums[0] + loss, self.sums[1] + accuracy, self.sums[2] + 1]
        self.begin()
        return StepEvent(
            step=step,
            epoch=step / self.batches.steps_per_epoch,
            loss=sum(losses) / count,
            accuracy=sum(accuracies) / count,
            lr=lr,
            grad_norm=norm if math.isfinite(norm) else None,
            images_per_second=self.config.batch_size * count / elapsed,
            seconds=self.seconds,
            seconds_left=elapsed / count * (self.batches.total_steps - step),
            memory_mb=memory_mb(self.batches.device),
            device_use=device_use(self.batches.device),
        )

    def end_epoch(self) -> tuple[float, float]:
        """Mean loss and accuracy of the epoch, whose sums are then forgotten."""
        loss, accuracy, steps = self.sums
        self.sums = [0.0, 0.0, 0]
        return loss / steps, accuracy / steps
