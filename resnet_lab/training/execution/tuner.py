"""Precision, memory format, CUDA graph and compilation: the fastest sound way, found in the run's own first steps.

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

from resnet_lab.models.joins import RandomSum
from resnet_lab.models.layout import training_format
from resnet_lab.training.config import TrainConfig
from resnet_lab.training.events import ModeChosen
from resnet_lab.training.execution.device import device_name, half_precision, has_tf32
from resnet_lab.training.execution.distributed import World
from resnet_lab.training.execution.graph import CaptureError
from resnet_lab.training.execution.mode import ExecutionMode

TRIES = 3  # steps for each candidate; the first, which allocates and plans, is not counted
WORTH = 10  # a trial may take this part, 1/10, of a run at most
HOPELESS = 1.5  # a step so many times that of the best, first beside first, ends a candidate's trial
SOUND = 0.9  # cosine between the gradients of half precision and of float32, at least
COMPILED_ON = {"cuda"}  # on the CPU channels last alone was faster (docs/decisions/auto.md)
CAPTURED_ON = {"cuda"}
COMPILE_SECONDS = 1.0  # for each convolution, with a cold cache
COMPILE_GAIN = 0.2  # the part of a step's time that compiling must save to be tried


def candidates(config: TrainConfig, device: torch.device, may_be_last: bool = True) -> list[ExecutionMode]:
    """Every mode that `config` leaves open on `device`, the likeliest first; one where it leaves nothing open.

    Channels last, even if it is asked for, only where it `may_be`: see `models.layout`.
    """
    half = half_precision(device)
    precisions: list[str] = [config.precision]
    layouts = [bool(config.channels_last) and may_be_last]
    if config.precision == "auto":
        precisions = ["float32"]
        if not config.deterministic:
            precisions = [name for name in (half, "tf32" if has_tf32(device) else None, "float32") if name]
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
        mode, is_hopeless = self.current, False
        count = len(self.times[mode])
        prepares = count < (2 if mode.graph else int(mode.compile))
        if self.timed and not prepares:
            first, *counted = self.times[self.best]
            is_hopeless = seconds > HOPELESS * (min(counted) if count else first)
        self.times[mode].append(seconds)
        if is_hopeless or len(self.times[mode]) >= TRIES:
            self.left.pop(0)


def is_compiling_worth_it(convolutions: int, seconds_left: float) -> bool:
    """Whether compiling would win back its time in the `seconds_left` that the run takes without it."""
    return seconds_left * COMPILE_GAIN > convolutions * COMPILE_SECONDS


class Tuner:
    """Says how each step of a run is to be computed: as the trial, then its outcome, has it.

    `step` of `total` steps have been taken. With fewer than ten times the steps that a trial takes left, the likeliest
    candidate is kept untimed. `emit` is told what was chosen and why.
    """

    def __init__(
        self,
        config: TrainConfig,
        model: nn.Module,
        device: torch.device,
        step: int,
        total: int,
        world: World,
        emit: Callable[[ModeChosen], None],
    ) -> None:
        self.config, self.model, self.device, self.world = config, model, device, world
        self.step, self.total, self.emit = step, total, emit
        self.may_be_last = training_format(model, device) == torch.channels_last
        options = candidates(config, device, self.may_be_last)
        self.chosen = options[0]
        self.extras = []  # what is still to be tried on top of the fastest
        # A graph would draw the same in each step, and a compiled net be compiled for each seed.
        is_open_for_more = not config.deterministic and not any(
            isinstance(m, RandomSum) for m in model.modules()
        )
        if is_open_for_more and world.size == 1 and device.type in CAPTURED_ON:
            self.extras.append("graph")
        if is_open_for_more and config.compile is None and device.type in COMPILED_ON:
            self.extras.append("compile")
        self.taken: set[ExecutionMode] = set()  # modes in which a step has been taken
        self.unchecked = {"bf16", "fp16", "tf32"} if config.precision == "auto" else set()
        self.is_first, self.is_timing = True, False
        is_open = len(options) > 1 or bool(self.extras)
        self.trial = Trial(options if is_open and total - step >= WORTH * TRIES * len(options) else [])

    def restore(self, state: dict[str, Any] | None) -> None:
        """Goes on in the mode that an earlier part of the run had chosen, if it had on such a device; what is fast and
        sound on one GPU may be neither on another.
        """
        if state and state["device"] == self.place:
            self.trial.left.clear()
            self.unchecked.clear()  # that part has seen to it
            known = {f.name for f in fields(ExecutionMode)}  # older checkpoints hold a way that is no more
            mode = ExecutionMode(**{k: v for k, v in state["choice"].items() if k in known})
            self.chosen = replace(
                mode,
                channels_last=mode.channels_last and self.may_be_last,
                graph=mode.graph and "graph" in self.extras,
            )

    def state(self) -> dict[str, Any] | None:
        """What `restore` takes; None while the trial goes on, or the check is to come."""
        if self.trial.is_running or self.current.precision in self.unchecked:
            return None
        return {"device": self.place, "choice": asdict(self.chosen)}

    @property
    def place(self) -> str:
        return device_name(self.device) if self.device.type == "cuda" else self.device.type

    def tell(self, mode: ExecutionMode, text: str) -> None:
        """That steps are computed so from here on, and why."""
        self.emit(ModeChosen(self.step, mode.precision, mode.channels_last, mode.compile, text))

    @property
    def current(self) -> ExecutionMode:
        return self.trial.current if self.trial.is_running else self.chosen

    @property
    def is_about_to_compile(self) -> bool:
        """Whether the next step takes a minute or so, during which a stop has to wait."""
        new = self.trial.is_running and self.current not in self.trial.times
        return new and self.current.compile and not self.config.compile

    def mode(self, agreement: Callable[[ExecutionMode], float]) -> ExecutionMode:
        """How the next step is to be computed; `record` is to be told how long it took.

        `agreement` is asked once, of a half precision: the cosine between the gradient in this mode and in float32.
        """
        self.is_timing, mode = self.trial.is_running, self.current
        if mode.precision in self.unchecked and self.is_first:
            # In float32, which needs no check: two more gradients would keep the first figures waiting.
            self.is_first = self.is_timing = False
            return replace(mode, precision="float32", compile=False, graph=False)
        if mode.precision in self.unchecked:
            self.unchecked.discard(mode.precision)
            cosine = self.world.broadcast(agreement(mode))
            if cosine < SOUND:
                self._reject(mode, cosine)
        return self.current

    def record(self, seconds: float) -> None:
        """So long the step took; the trial counts it, unless it was none of its own."""
        self.taken.add(self.current)
        if self.is_timing:
            self.trial.record(self.world.broadcast(seconds))
            if not self.trial.is_running:
                self._decide()
        self.step += 1

    def without_extras(self, error: RuntimeError) -> ExecutionMode:
        """How to take the step again that could not be compiled or captured: there may be no compiler on this machine,
        or one that fails on this net.

        Raises:
            RuntimeError: `error`, where compiling was not the lab's own idea, or had worked.
        """
        mode = self.current
        if isinstance(error, CaptureError):
            failed, self.chosen = "the capture", replace(mode, graph=False)
        elif mode.compile and not self.config.compile and mode not in self.taken:
            failed, self.chosen = "torch.compile", replace(mode, compile=False)
        else:
            raise error
        self.trial.left.clear()
        self.is_timing = False
        reason = str(error).strip().splitlines()[0][:120]
        self.tell(self.chosen, f"{self.chosen}: {failed} failed ({reason}).")
        return self.chosen

    def _reject(self, mode: ExecutionMode, cosine: float) -> None:
        self.trial.reject(mode.precision)
        self.chosen = replace(mode, precision="float32")
        found = f"cosine {cosine:.2f}; {SOUND:g} is asked for"
        self.tell(self.current, f"float32: the gradient in {mode.precision} points elsewhere ({found}).")

    def _decide(self) -> None:
        best, seconds = self.trial.best, self.trial.timed[self.trial.best]
        convolutions = sum(isinstance(m, nn.Conv2d) for m in self.model.modules())
        left = seconds * (self.total - self.step - 1)
        while self.extras:
            extra = self.extras.pop(0)
            if extra == "graph" and best.precision == "fp16":  # whose scaler asks the device in each step
                continue
            if extra == "compile" and not is_compiling_worth_it(convolutions, left):
                continue
            self.trial.left.append(
                replace(best, graph=True) if extra == "graph" else replace(best, compile=True)
            )
            return
        self.chosen = best
        measured = sorted((seconds, str(mode)) for mode, seconds in self.trial.timed.items())
        times = "; ".join(f"{name} {1000 * seconds:,.0f} ms" for seconds, name in measured)
        self.tell(best, f"Fastest of the first steps: {best}. A step took: {times}.")
