"""One optimizer step, from the batch to the new weights."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_lab.models import ResNet
from resnet_lab.training.batches import BatchSource, mix
from resnet_lab.training.config import TrainConfig
from resnet_lab.training.events import Event, Notice
from resnet_lab.training.execution.device import autocast, half_precision, synchronize, tf32
from resnet_lab.training.execution.distributed import ALONE, World, without_sync
from resnet_lab.training.execution.graph import CapturedStep, release
from resnet_lab.training.execution.interrupt import Interrupted, interruptible
from resnet_lab.training.execution.memory import MicroBatch, clone_buffers, put_back
from resnet_lab.training.execution.mode import ExecutionMode, lay_out_as_weights
from resnet_lab.training.execution.tuner import Tuner
from resnet_lab.training.optimization import WarmUp, build_optimizer, learning_rate

SLOW = 0.5  # seconds of a step that a stop does not wait for
AHEAD = 8  # steps that a GPU may be behind, so that a stop and a reading stay quick


@dataclass(frozen=True)
class StepResult:
    """Loss (nats), accuracy (0 to 1) and gradient norm before clipping: scalars on the device; and the rate."""

    loss: Tensor
    accuracy: Tensor
    norm: Tensor
    lr: float


class Stepper:
    """Takes the steps of a run; `step` is how many were taken. `emit` is told of changes in how they are computed.

    Nothing that it owns refers back to it, so that a run's memory on the device is free as soon as the run is gone.
    """

    def __init__(
        self,
        config: TrainConfig,
        batches: BatchSource,
        model: ResNet,
        emit: Callable[[Event], None],
        world: World = ALONE,
    ) -> None:
        self.config, self.batches, self.model = config, batches, model
        self.world, self.emit = world, emit
        self.device, self.step = batches.device, 0
        self.optimizer = build_optimizer(config, model)
        self.warm_up = WarmUp(config.warmup_accuracy)
        scales = config.precision == "fp16" or (
            config.precision == "auto" and half_precision(self.device) == "fp16"
        )
        self.scaler = torch.amp.GradScaler(self.device.type, init_scale=1024.0, enabled=scales)
        self.micro_batch = MicroBatch(config.micro_batch or config.batch_size, world)
        self.mode = ExecutionMode()
        self.captured: CapturedStep | None = None
        self.behind: deque[torch.cuda.Event] = (
            deque()
        )  # the end of each step that the GPU may not have reached
        self.eager = self.net = world.wrap(model)
        self.share = 1.0 / world.size  # of the batch that lies here
        self.tuner = self._new_tuner()
        self.is_slow = True  # until the first step, of a resumed run too, has been timed

    def _new_tuner(self) -> Tuner:
        total = self.batches.total_steps
        return Tuner(self.config, self.model, self.device, self.step, total, self.world, self.emit)

    def take(self, lr: float | None = None, should_stop: Callable[[], bool] | None = None) -> StepResult:
        """The next step, at the schedule's learning rate or at `lr`; `should_stop` can end a slow one half-way.

        Raises:
            Interrupted: `should_stop` turned true; weights and statistics are as before.
            TrainingError: not even one image at a time fits into the memory.
        """
        images, labels = self.batches.batch(self.step)
        mode = self.tuner.mode(partial(self._agreement, images, labels))
        if self.world.size > 1 and not self.micro_batch.fits:
            self._settle(images, labels, mode)
        stop = should_stop if self.is_slow and self.world.size == 1 and not mode.compile else None
        if lr is None:
            lr = learning_rate(self.config, self.step, self.batches.steps_per_epoch) * self.warm_up.factor
        began = time.perf_counter()
        while True:
            try:
                loss, correct, norm = self._compute(images, labels, lr, mode, stop)
                break
            except RuntimeError as error:
                mode = self.tuner.without_extras(error)
        self._wait()
        seconds = time.perf_counter() - began
        self.tuner.record(seconds)
        self.is_slow = seconds > SLOW
        self.step += 1
        accuracy = correct * (self.share / len(labels))
        if self.warm_up.is_on:
            self.warm_up.see(self.world.sum(accuracy.clone()).item())
        return StepResult(loss, accuracy, norm, lr)

    def _compute(
        self,
        images: Tensor,
        labels: Tensor,
        lr: float,
        mode: ExecutionMode,
        should_stop: Callable[[], bool] | None,
    ) -> tuple[Tensor, ...]:
        """Loss, number of right answers and gradient norm of this step, which is taken.

        As a graph from the second step in `mode` on: the first has allocated and planned what a graph cannot.
        """
        rates = [lr * group["scale"] for group in self.optimizer.param_groups]
        one_by_one = replace(mode, graph=False)
        if mode.graph and self.captured is None and self.mode == one_by_one:
            self.captured = CapturedStep(self._step_in_graph, images, labels, self.optimizer)
        if mode.graph and self.captured is not None:
            return self.captured.take(images, labels, rates)
        loss, correct = self._gradients(images, labels, one_by_one, should_stop)
        self.scaler.unscale_(self.optimizer)
        norm = clip_gradients(self.model, self.config.clip_norm)
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss, correct, norm

    def _step_in_graph(self, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """The same, as far as it happens on the device; the optimizer reads the rates there."""
        self.model.train(self.config.backbone_lr > 0)
        self.model.fc.train()
        loss, correct = self._forward_backward(images, labels, None)
        norm = clip_gradients(self.model, self.config.clip_norm)
        self.optimizer.step()
        return loss, correct, norm.float()

    def _wait(self) -> None:
        """Until the GPU is near: within a few steps, or here while steps are timed or slow."""
        if self.tuner.is_timing:
            synchronize(self.device)
        if self.device.type == "cuda":
            self.behind.append(torch.cuda.Event())
            self.behind[-1].record()
            while len(self.behind) > (1 if self.is_slow else AHEAD):
                self.behind.popleft().synchronize()

    def _gradients(
        self,
        images: Tensor,
        labels: Tensor,
        mode: ExecutionMode,
        should_stop: Callable[[], bool] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """As `_forward_backward`, in smaller micro-batches for as long as the memory does not hold them."""
        self._use(mode)
        while True:
            kept = clone_buffers(self.model) if should_stop or not self.micro_batch.fits else []
            try:
                loss, correct = self._forward_backward(images, labels, should_stop)
            except (RuntimeError, ValueError, Interrupted) as error:
                put_back(kept)
                self.optimizer.zero_grad(set_to_none=True)
                self.micro_batch.check(error)
            else:
                self.micro_batch.fits = True
                return loss, correct
            self.micro_batch.shrink(len(labels))
            self._tell_shrunk()

    def _forward_backward(
        self, images: Tensor, labels: Tensor, should_stop: Callable[[], bool] | None
    ) -> tuple[Tensor, Tensor]:
        """Loss and number of right answers; the gradients are in the parameters.

        Those of micro-batches add up to that of the whole batch, as each counts by its share. They are means over this
        process's rows; DistributedDataParallel takes the mean of those.
        """
        self.optimizer.zero_grad(set_to_none=True)
        self.model.seed_joins(mix(self.config.seed, self.step, 3))
        images = images.contiguous(memory_format=self.mode.memory_format)
        loss, correct = torch.zeros(2, device=self.device)
        parts = self.micro_batch.split(images, labels)
        for i, (x, answers) in enumerate(parts, 1):
            with (
                without_sync(self.eager, i < len(parts)),
                interruptible(self.model, should_stop),
                tf32(self.mode.precision == "tf32"),
            ):
                with autocast(self.mode.precision, self.device):
                    logits = self.net(x)
                    part = F.cross_entropy(logits, answers, label_smoothing=self.config.label_smoothing)
                part = part * (len(answers) / len(labels))
                self.scaler.scale(part).backward()
            loss = loss + part.detach().float() * self.share
            correct = correct + (logits.detach().argmax(1) == answers).sum()
        return loss, correct

    def _settle(self, images: Tensor, labels: Tensor, mode: ExecutionMode) -> None:
        """Finds the micro-batch that fits on every process, before one of them could wait for another in vain."""
        kept, asked = clone_buffers(self.model), self.micro_batch.size
        self._use(mode)
        wrapped, self.net = self.net, self.model
        try:
            self._gradients(images, labels, mode)
        finally:
            self.net = wrapped
            put_back(kept)
        if self.micro_batch.agree(asked):
            self._tell_shrunk()

    def _tell_shrunk(self) -> None:
        size = self.micro_batch.size
        text = (
            f"The memory did not hold {self.config.batch_size // self.world.size:,} images at once: from here on "
            f"they pass in micro-batches of up to {size:,}, and BN sees those."
        )
        self.emit(Notice(self.step, text, size))

    def _agreement(self, images: Tensor, labels: Tensor, mode: ExecutionMode) -> float:
        """The cosine between this batch's gradients in `mode` and in float32; nothing else changes."""
        kept, gradients = clone_buffers(self.model), []
        for each in (mode, ExecutionMode("float32", mode.channels_last)):
            self._gradients(images, labels, each)
            flat = torch.cat([p.grad.flatten() for p in self.model.parameters() if p.grad is not None])
            gradients.append(flat / self.scaler.get_scale())
            put_back(kept)
        self.optimizer.zero_grad(set_to_none=True)
        return F.cosine_similarity(gradients[0], gradients[1], dim=0).item()

    def _use(self, mode: ExecutionMode) -> None:
        """Brings net and optimizer into this mode. A frozen backbone keeps its BN statistics."""
        if self.captured is not None:
            release(self.optimizer.param_groups)
            self.captured = None
        self.model.train(self.config.backbone_lr > 0)
        self.model.fc.train()
        if mode.channels_last != self.mode.channels_last:
            self.model.to(memory_format=mode.memory_format)
            lay_out_as_weights(self.optimizer)
        if mode != self.mode:
            self.net = cast(nn.Module, torch.compile(self.eager)) if mode.compile else self.eager
        self.mode = mode

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        return {
            "step": self.step,
            "warm_up": self.warm_up.state(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "micro_batch": self.micro_batch.size,
            "tuner": self.tuner.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint that any mode has left; the model's own state is restored already."""
        self.step = state["step"]
        self.warm_up.restore(state.get("warm_up"))
        self.captured = None
        self.optimizer.load_state_dict(state["optimizer"])
        lay_out_as_weights(self.optimizer)
        release(self.optimizer.param_groups)
        if self.scaler.is_enabled() and state["scaler"]:  # a run in another precision left nothing
            self.scaler.load_state_dict(state["scaler"])
        self.micro_batch.size = state.get("micro_batch", self.micro_batch.size)
        self.tuner = self._new_tuner()
        self.tuner.restore(state.get("tuner"))


def clip_gradients(model: nn.Module, most: float | None) -> Tensor:
    """The norm of all gradients together, before it is scaled down to `most`; a scalar on the device."""
    if most is not None:
        return nn.utils.clip_grad_norm_(model.parameters(), most)
    return nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])


def gradient_norms(model: ResNet) -> tuple[float, ...] | None:
    """Of the main path's convolutions, in forward order, from the last step; None if one of them has no gradient
    (the layers are frozen) or one is not finite.
    """
    gradients = [conv.weight.grad for conv in model.convolutions.values()]
    known = [gradient for gradient in gradients if isinstance(gradient, Tensor)]
    if len(known) < len(gradients):
        return None
    norms = torch.stack(list(torch._foreach_norm(known))).float().tolist()
    return tuple(float(f"{norm:.4g}") for norm in norms) if all(map(math.isfinite, norms)) else None
