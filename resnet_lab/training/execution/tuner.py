"""Precision, memory format and compilation: the fastest sound way, found in the run's own first steps.

Nothing is computed for the trial alone, except one gradient in each half precision to compare with float32's: a
step of the trial is a step of the run, only slower than it might be. docs/decisions/auto.md has the reasons.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from resnet_lab.training.config import TrainConfig
from resnet_lab.training.execution.device import half_precision, synchronize
from resnet_lab.training.execution.distributed import World
from resnet_lab.training.step import ExecutionMode, Stepper, StepResult

TRIES = 3  # steps for each candidate; the first, which allocates and plans, is not counted
WORTH = 10  # a trial may take this part, 1/10, of a run at most
HOPELESS = 1.5  # a first step so many times the best counted one ends a candidate's trial
SOUND = 0.9  # cosine between the gradients of half precision and of float32, at least
COMPILED_ON = {"cuda"}  # on the CPU channels last alone was faster (docs/decisions/auto.md)
COMPILE_SECONDS = 3.0  # for each convolution, with a cold cache
COMPILE_GAIN = 0.2  # the part of a step's time that compiling must save to be tried


def candidates(config: TrainConfig, device: torch.device) -> list[ExecutionMode]:
    """Every way that `config` leaves open on `device`, the likeliest first; one where it leaves nothing open."""
    half = half_precision(device)
    precisions: list[str] = [config.precision]
    layouts = [bool(config.channels_last)]
    if config.precision == "auto":
        precisions = ["float32"] if half is None or config.deterministic else [half, "float32"]
    if config.channels_last is None and not config.deterministic:
        layouts = [True, False] if device.type == "cuda" else [False, True]
    return [
        ExecutionMode(precision, layout, bool(config.compile))
        for precision, layout in product(precisions, layouts)
    ]


class Trial:
    """Times the candidates one after the other; `current` is how the next step is to be computed."""

    def __init__(self, candidates: list[ExecutionMode]) -> None:
        self.left = list(candidates)
        self.times: dict[ExecutionMode, list[float]] = defaultdict(list)

    @property
    def is_running(self) -> bool:
        return bool(self.left)

    @property
    def current(self) -> ExecutionMode:
        return self.left[0]

    @property
    def timed(self) -> dict[ExecutionMode, float]:
        """Seconds of a step for each candidate that was counted."""
        return {choice: min(times[1:]) for choice, times in self.times.items() if len(times) > 1}

    @property
    def best(self) -> ExecutionMode:
        return min(self.timed, key=self.timed.__getitem__)

    def reject(self, precision: str) -> None:
        """Candidates of this precision are out, whatever their speed."""
        self.left = [choice for choice in self.left if choice.precision != precision]

    def record(self, seconds: float) -> None:
        """The current candidate's step took so long."""
        choice = self.current
        best = min(self.timed.values(), default=float("inf"))
        self.times[choice].append(seconds)
        hopeless = seconds > HOPELESS * best and not (choice.compile and len(self.times[choice]) == 1)
        if hopeless or len(self.times[choice]) >= TRIES:
            self.left.pop(0)


def is_compiling_worth_it(convolutions: int, seconds_left: float) -> bool:
    """Whether compiling would win back its time in the `seconds_left` that the run takes without it."""
    return seconds_left * COMPILE_GAIN > convolutions * COMPILE_SECONDS


class Tuner:
    """Takes a run's steps through `stepper`, each in the way that the trial, then its outcome, says.

    With fewer than ten times the steps that a trial takes, the likeliest candidate is kept untimed.
    `on_choice` is told what was chosen and why; `before_compiling` is called ahead of the long first step.
    """

    def __init__(
        self,
        config: TrainConfig,
        stepper: Stepper,
        steps: int,
        world: World,
        on_choice: Callable[[ExecutionMode, str], None],
        before_compiling: Callable[[], None],
    ) -> None:
        self.stepper, self.steps_left, self.world = stepper, steps, world
        self.on_choice, self.before_compiling = on_choice, before_compiling
        options = candidates(config, stepper.device)
        fits = stepper.device.type in COMPILED_ON and not config.deterministic
        self.may_compile = config.compile is None and fits
        self.is_compiling = False  # as a trial, not because the recipe says so
        self.unchecked = {"bf16", "fp16"} if config.precision == "auto" else set()
        self.is_first = True
        is_open = len(options) > 1 or self.may_compile
        self.trial = Trial(options if is_open and steps >= WORTH * TRIES * len(options) else [])
        stepper.use(options[0])

    def restore(self, state: dict[str, Any] | None) -> None:
        """Goes on in the way that an earlier part of the run had chosen, if it had on such a device."""
        if state and state["device"] == self.stepper.device.type:
            self.trial.left.clear()
            self.unchecked.clear()  # that part has seen to it
            known = {f.name for f in fields(ExecutionMode)}  # older checkpoints hold a way that is no more
            self.stepper.use(ExecutionMode(**{k: v for k, v in state["choice"].items() if k in known}))

    def state(self) -> dict[str, Any] | None:
        """What `restore` takes; None while the trial goes on, or the check is to come."""
        if self.trial.is_running or self.stepper.choice.precision in self.unchecked:
            return None
        return {"device": self.stepper.device.type, "choice": asdict(self.stepper.choice)}

    def take(
        self, x: Tensor, labels: Tensor, lr: float, should_stop: Callable[[], bool] | None
    ) -> StepResult:
        """As `Stepper.take`."""
        self.steps_left -= 1
        if self.stepper.choice.precision in self.unchecked:
            if self.is_first:
                return self._take_first(x, labels, lr, should_stop)
            self._check(x, labels)
        if not self.trial.is_running:
            return self.stepper.take(x, labels, lr, should_stop)
        self.stepper.use(self.trial.current)
        began = time.perf_counter()
        try:
            result = self.stepper.take(x, labels, lr, should_stop)
        except RuntimeError as error:
            if not self.is_compiling:
                raise
            return self._without_compiling(error, x, labels, lr)
        synchronize(self.stepper.device)
        self.trial.record(self.world.broadcast(time.perf_counter() - began))
        if not self.trial.is_running:
            self._decide()
        return result

    def _take_first(
        self, x: Tensor, labels: Tensor, lr: float, should_stop: Callable[[], bool] | None
    ) -> StepResult:
        """In float32, which needs no check: two more gradients would keep the first figures waiting."""
        self.is_first, choice = False, self.stepper.choice
        self.stepper.use(replace(choice, precision="float32", compile=False))
        try:
            return self.stepper.take(x, labels, lr, should_stop)
        finally:
            self.stepper.use(choice)

    def _check(self, x: Tensor, labels: Tensor) -> None:
        """Once for a half precision: does its gradient point where float32's does?"""
        precision = self.stepper.choice.precision
        self.unchecked.discard(precision)
        cosine = self.world.broadcast(self.stepper.agreement(x, labels))
        if cosine >= SOUND:
            return
        self.trial.reject(precision)
        fallback = replace(self.stepper.choice, precision="float32")
        self.stepper.use(self.trial.current if self.trial.is_running else fallback)
        self.on_choice(
            self.stepper.choice,
            f"float32: the gradient in {precision} points elsewhere (cosine {cosine:.2f}; {SOUND:g} is asked for).",
        )

    def _decide(self) -> None:
        best, seconds = self.trial.best, self.trial.timed[self.trial.best]
        convolutions = sum(isinstance(m, nn.Conv2d) for m in self.stepper.model.modules())
        if self.may_compile and is_compiling_worth_it(convolutions, seconds * self.steps_left):
            self.may_compile, self.is_compiling = False, True
            self.before_compiling()
            self.trial.left.append(replace(best, compile=True))
            return
        self.stepper.use(best)
        measured = sorted((seconds, str(choice)) for choice, seconds in self.trial.timed.items())
        times = "; ".join(f"{name} {1000 * seconds:,.0f} ms" for seconds, name in measured)
        self.on_choice(best, f"Fastest of the first steps: {best}. A step took: {times}.")

    def _without_compiling(self, error: RuntimeError, x: Tensor, labels: Tensor, lr: float) -> StepResult:
        """There may be no compiler on this machine, or one that fails on this net."""
        self.trial.left.clear()
        self.stepper.use(self.trial.best)
        reason = str(error).strip().splitlines()[0][:120]
        self.on_choice(self.trial.best, f"{self.trial.best}: torch.compile failed ({reason}).")
        return self.stepper.take(x, labels, lr, None)
