"""One optimizer step, from the batch to the new weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_lab.models import ResNet
from resnet_lab.training.batches import BatchSource
from resnet_lab.training.config import TrainConfig
from resnet_lab.training.execution.device import autocast, synchronize
from resnet_lab.training.execution.distributed import ALONE, World, without_sync
from resnet_lab.training.execution.interrupt import Interrupted, interruptible
from resnet_lab.training.execution.memory import MicroBatch, clone_buffers, put_back
from resnet_lab.training.execution.mode import ExecutionMode, lay_out_as_weights
from resnet_lab.training.execution.tuner import Tuner
from resnet_lab.training.optimization import WarmUp, build_optimizer, learning_rate

SLOW = 0.5  # seconds of a step that a stop does not wait for


@dataclass(frozen=True)
class StepResult:
    """Loss (nats), accuracy (0 to 1) and gradient norm before clipping: scalars on the device; and the rate."""

    loss: Tensor
    accuracy: Tensor
    norm: Tensor
    lr: float


class Stepper:
    """Takes the steps of a run; `step` is how many were taken.

    `on_mode` is told how steps are computed from here on, and why; `on_shrink` the new size of micro-batches.
    """

    def __init__(
        self,
        config: TrainConfig,
        batches: BatchSource,
        model: ResNet,
        on_mode: Callable[[ExecutionMode, str], None],
        on_shrink: Callable[[int], None],
        world: World = ALONE,
    ) -> None:
        self.config, self.batches, self.model = config, batches, model
        self.world, self.on_mode = world, on_mode
        self.device, self.step = batches.device, 0
        self.optimizer = build_optimizer(config, model)
        self.warm_up = WarmUp(config.warmup_accuracy)
        scales = self.device.type == "cuda" and config.precision != "bf16"
        self.scaler = torch.amp.GradScaler(self.device.type, init_scale=1024.0, enabled=scales)
        self.micro_batch = MicroBatch(config.micro_batch or config.batch_size, world, on_shrink)
        self.mode = ExecutionMode()
        self.eager = self.net = world.wrap(model)
        self.share = 1.0 / world.size  # of the batch that lies here
        self.tuner = self._new_tuner()
        self.is_slow = True  # until the first step, of a resumed run too, has been timed

    def _new_tuner(self) -> Tuner:
        left = self.batches.total_steps - self.step
        return Tuner(self.config, self.model, self.device, left, self.world, self.on_mode)

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
        began = time.perf_counter()
        try:
            loss, correct = self._gradients(images, labels, mode, stop)
        except RuntimeError as error:
            loss, correct = self._gradients(images, labels, self.tuner.without_compiling(error), stop)
        self.scaler.unscale_(self.optimizer)
        norm = clip_gradients(self.model, self.config.clip_norm)
        if lr is None:
            lr = learning_rate(self.config, self.step, self.batches.steps_per_epoch) * self.warm_up.factor
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["scale"]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.tuner.is_timing:
            synchronize(self.device)
        seconds = time.perf_counter() - began
        self.tuner.record(seconds)
        self.is_slow = seconds > SLOW
        self.step += 1
        accuracy = correct * (self.share / len(labels))
        if self.warm_up.is_on:
            self.warm_up.see(self.world.sum(accuracy.clone()).item())
        return StepResult(loss, accuracy, norm, lr)

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
                self.micro_batch.shrink(error, len(labels))
            else:
                self.micro_batch.fits = True
                return loss, correct

    def _forward_backward(
        self, images: Tensor, labels: Tensor, should_stop: Callable[[], bool] | None
    ) -> tuple[Tensor, Tensor]:
        """Loss and number of right answers; the gradients are in the parameters.

        Those of micro-batches add up to that of the whole batch, as each counts by its share. They are means over this
        process's rows; DistributedDataParallel takes the mean of those.
        """
        self.optimizer.zero_grad(set_to_none=True)
        images = images.contiguous(memory_format=self.mode.memory_format)
        loss, correct = torch.zeros(2, device=self.device)
        parts = self.micro_batch.split(images, labels)
        for i, (x, answers) in enumerate(parts, 1):
            with without_sync(self.eager, i < len(parts)), interruptible(self.model, should_stop):
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
        self.micro_batch.agree(asked)

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
        self.optimizer.load_state_dict(state["optimizer"])
        lay_out_as_weights(self.optimizer)
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
