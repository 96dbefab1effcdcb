"""Precision, memory format and compilation: the fastest sound way, found in the run's own first steps.

Nothing is computed for the trial alone, except one gradient in each half precision to compare with float32's: a
step of the trial is a step of the run, only slower than it might be. docs/decisions/auto.md has the reasons.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from itertools import product
from typing import Any

import torch
from torch import nn

from resnet_lab.models.layout import training_format
from resnet_lab.training.config import TrainConfig
from resnet_lab.training.execution.device import half_precision
from resnet_lab.training.execution.distributed import World
from resnet_lab.training.execution.mode import ExecutionMode

TRIES = 3  # steps for each candidate; the first, which allocates and plans, is not counted
WORTH = 10  # a trial may take this part, 1/10, of a run at most
HOPELESS = 1.5  # a first step so many times the best counted one ends a candidate's trial
SOUND = 0.9  # cosine between the gradients of half precision and of float32, at least
COMPILED_ON = {"cuda"}  # on the CPU channels last alone was faster (docs/decisions/auto.md)
COMPILE_SECONDS = 3.0  # for each convolution, with a cold cache
COMPILE_GAIN = 0.2  # the part of a step's time that compiling must save to be tried


def candidates(config: TrainConfig, device: torch.device, may_be_last: bool = True) -> list[ExecutionMode]:
    """Every mode that `config` leaves open on `device`, the likeliest first; one where it leaves nothing open.

    Channels last, even if it is asked for, only where it `may_be`: see `models.layout`.
    """
    half = half_precision(device)
    precisions: list[str] = [config.precision]
    layouts = [bool(config.channels_last) and may_be_last]
    if config.precision == "auto":
        precisions = ["float32"] if half is None or config.deterministic else [half, "float32"]
    if config.channels_last is None and may_be_last and not config.deterministic:
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
        return {mode: min(times[1:]) for mode, times in self.times.items() if len(times) > 1}

    @property
    def best(self) -> ExecutionMode:
        return min(self.timed, key=self.timed.__getitem__)

    def reject(self, precision: str) -> None:
        """Candidates of this precision are out, whatever their speed."""
        self.left = [mode for mode in self.left if mode.precision != precision]

    def record(self, seconds: float) -> None:
        """The current candidate's step took so long."""
        mode = self.current
        best = min(self.timed.values(), default=float("inf"))
        self.times[mode].append(seconds)
        hopeless = seconds > HOPELESS * best and not (mode.compile and len(self.times[mode]) == 1)
        if hopeless or len(self.times[mode]) >= TRIES:
            self.left.pop(0)


def is_compiling_worth_it(convolutions: int, seconds_left: float) -> bool:
    """Whether compiling would win back its time in the `seconds_left` that the run takes without it."""
    return seconds_left * COMPILE_GAIN > convolutions * COMPILE_SECONDS


class Tuner:
    """Says how each step of a run is to be computed: as the trial, then its outcome, has it.

    With fewer than ten times the steps that a trial takes, the likeliest candidate is kept untimed. `on_mode` is
    told what was chosen and why.
    """

    def __init__(
        self,
        config: TrainConfig,
        model: nn.Module,
        device: torch.device,
        steps: int,
        world: World,
        on_mode: Callable[[ExecutionMode, str], None],
    ) -> None:
        self.model, self.device, self.world = model, device, world
        self.steps_left, self.on_mode = steps, on_mode
        self.may_be_last = training_format(model, device) == torch.channels_last
        options = candidates(config, device, self.may_be_last)
        self.chosen = options[0]
        fits = device.type in COMPILED_ON and not config.deterministic
        self.may_compile = config.compile is None and fits
        self.is_compiling = False  # as a trial, not because the recipe says so
        self.unchecked = {"bf16", "fp16"} if config.precision == "auto" else set()
        self.is_first, self.is_timing = True, False
        is_open = len(options) > 1 or self.may_compile
        self.trial = Trial(options if is_open and steps >= WORTH * TRIES * len(options) else [])

    def restore(self, state: dict[str, Any] | None) -> None:
        """Goes on in the mode that an earlier part of the run had chosen, if it had on such a device."""
        if state and state["device"] == self.device.type:
            self.trial.left.clear()
            self.unchecked.clear()  # that part has seen to it
            known = {f.name for f in fields(ExecutionMode)}  # older checkpoints hold a way that is no more
            mode = ExecutionMode(**{k: v for k, v in state["choice"].items() if k in known})
            self.chosen = replace(mode, channels_last=mode.channels_last and self.may_be_last)

    def state(self) -> dict[str, Any] | None:
        """What `restore` takes; None while the trial goes on, or the check is to come."""
        if self.trial.is_running or self.current.precision in self.unchecked:
            return None
        return {"device": self.device.type, "choice": asdict(self.chosen)}

    @property
    def current(self) -> ExecutionMode:
        return self.trial.current if self.trial.is_running else self.chosen

    @property
    def is_about_to_compile(self) -> bool:
        """Whether the next step takes a minute or so, during which a stop has to wait."""
        return self.is_compiling and self.trial.is_running and self.current not in self.trial.times

    def mode(self, agreement: Callable[[ExecutionMode], float]) -> ExecutionMode:
        """How the next step is to be computed; `record` is to be told how long it took.

        `agreement` is asked once, of a half precision: the cosine between the gradient in this mode and in float32.
        """
        self.steps_left -= 1
        self.is_timing, mode = self.trial.is_running, self.current
        if mode.precision in self.unchecked and self.is_first:
            # In float32, which needs no check: two more gradients would keep the first figures waiting.
            self.is_first = self.is_timing = False
            return replace(mode, precision="float32", compile=False)
        if mode.precision in self.unchecked:
            self.unchecked.discard(mode.precision)
            cosine = self.world.broadcast(agreement(mode))
            if cosine < SOUND:
                self._reject(mode, cosine)
        return self.current

    def record(self, seconds: float) -> None:
        """So long the step took; the trial counts it, unless it was none of its own."""
        if self.is_timing:
            self.trial.record(self.world.broadcast(seconds))
            if not self.trial.is_running:
                self._decide()

    def without_compiling(self, error: RuntimeError) -> ExecutionMode:
        """How to take the step again whose compilation failed: there may be no compiler on this machine, or one that
        fails on this net.

        Raises:
            RuntimeError: `error`, where compiling was not on trial.
        """
        if not (self.is_compiling and self.is_timing):
            raise error
        self.trial.left.clear()
        self.is_timing, self.chosen = False, self.trial.best
        reason = str(error).strip().splitlines()[0][:120]
        self.on_mode(self.chosen, f"{self.chosen}: torch.compile failed ({reason}).")
        return self.chosen

    def _reject(self, mode: ExecutionMode, cosine: float) -> None:
        self.trial.reject(mode.precision)
        self.chosen = replace(mode, precision="float32")
        found = f"cosine {cosine:.2f}; {SOUND:g} is asked for"
        self.on_mode(self.current, f"float32: the gradient in {mode.precision} points elsewhere ({found}).")

    def _decide(self) -> None:
        best, seconds = self.trial.best, self.trial.timed[self.trial.best]
        convolutions = sum(isinstance(m, nn.Conv2d) for m in self.model.modules())
        if self.may_compile and is_compiling_worth_it(convolutions, seconds * self.steps_left):
            self.may_compile, self.is_compiling = False, True
            self.trial.left.append(replace(best, compile=True))
            return
        self.chosen = best
        measured = sorted((seconds, str(mode)) for mode, seconds in self.trial.timed.items())
        times = "; ".join(f"{name} {1000 * seconds:,.0f} ms" for seconds, name in measured)
        self.on_mode(best, f"Fastest of the first steps: {best}. A step took: {times}.")
