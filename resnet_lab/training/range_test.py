"""The learning-rate range test (Smith 2017, "Cyclical Learning Rates for Training Neural Networks", Sec. 3.3)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from resnet_lab.training.config import TrainConfig
from resnet_lab.training.execution.interrupt import Interrupted
from resnet_lab.training.loop import Trainer

LOWEST, HIGHEST, STEPS = 1e-5, 10.0, 100
SMOOTHING = 0.9  # weight of the past in the mean of the losses
BROKEN = 4.0  # the test ends where the loss is so many times its least


@dataclass(frozen=True)
class RangeTest:
    """Losses (nats), as measured and smoothed, at rates that grow by the same factor from step to step.

    `proposal` is a tenth of the rate with the least smoothed loss: below where training begins to break.
    None where the loss never fell.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    proposal: float | None


def range_test(
    config: TrainConfig,
    progress: Callable[[float], object] = lambda fraction: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> RangeTest:
    """Trains a fresh net of `config` for up to 100 steps with a growing rate, and throws it away.

    No run, no weights outside and no global random state are touched.

    Raises:
        TrainingError, DatasetError, ValueError: as `fit`.
    """
    config = config.replace(
        compile=bool(config.compile)
    )  # 100 steps are too few to pay for compiling by guess
    trainer = Trainer(config, lambda event: None, should_stop)
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    for i in range(STEPS):
        rate = LOWEST * (HIGHEST / LOWEST) ** (i / (STEPS - 1))
        try:
            loss = trainer.stepper.take(rate, should_stop).loss.item()
        except Interrupted:
            break
        if not math.isfinite(loss):
            break
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        rates.append(rate)
        losses.append(loss)
        smoothed.append(mean / (1 - SMOOTHING ** (i + 1)))  # corrected for its start, as in Adam
        progress((i + 1) / STEPS)
        if smoothed[-1] > BROKEN * min(smoothed):
            break
    return RangeTest(tuple(rates), tuple(losses), tuple(smoothed), propose(rates, smoothed))


def propose(rates: list[float], smoothed: list[float]) -> float | None:
    """A tenth of the rate with the least loss, to two digits; None where the first loss was the least."""
    if not smoothed or min(smoothed) >= smoothed[0]:
        return None
    best = rates[smoothed.index(min(smoothed))]
    return float(f"{best / 10:.1e}")
