"""One optimizer step: forward, backward, clipping, update; in micro-batches where memory or the config asks for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_lab.models import ResNet
from resnet_lab.training.config import TrainConfig
from resnet_lab.training.execution.device import autocast, is_out_of_memory
from resnet_lab.training.execution.distributed import ALONE, World, without_sync
from resnet_lab.training.execution.interrupt import Interrupted, interruptible


class TrainingError(RuntimeError):
    """A run that cannot begin or go on; the message says why and what to do, in one sentence."""


@dataclass(frozen=True)
class StepResult:
    """Loss (nats), accuracy (0 to 1) and gradient norm before clipping: scalars on the device."""

    loss: Tensor
    accuracy: Tensor
    norm: Tensor


@dataclass(frozen=True)
class ExecutionMode:
    """How a step is computed."""

    precision: str
    channels_last: bool = False
    compile: bool = False

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def __str__(self) -> str:
        layout = "channels last" if self.channels_last else "channels first"
        return f"{self.precision}, {layout}{', compiled' if self.compile else ''}"


class Stepper:
    """Takes optimizer steps. `micro_batch` is how many images pass through the net at once.

    Gradients of micro-batches add up to that of the whole batch, as each counts by its share; only BN sees
    smaller batches. When the device runs out of memory, the step is taken again in micro-batches of half the
    size, and the later ones too; `on_shrink` is told the new size.
    """

    def __init__(
        self,
        config: TrainConfig,
        model: ResNet,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        on_shrink: Callable[[int], None],
        world: World = ALONE,
    ) -> None:
        self.config, self.model, self.optimizer, self.scaler = config, model, optimizer, scaler
        self.world, self.on_shrink = world, on_shrink
        self.device = next(model.parameters()).device
        self.choice = ExecutionMode("float32")
        self.eager = world.wrap(model)
        self.step_model: nn.Module = self.eager
        self.share = 1.0 / world.size  # of the batch that lies here
        self.micro_batch = config.micro_batch or config.batch_size
        self.fits = False  # a step at this size has been taken

    def use(self, choice: ExecutionMode) -> None:
        """From the next step on, computes in this way."""
        if choice == self.choice:
            return
        if choice.channels_last != self.choice.channels_last:
            self.model.to(memory_format=choice.memory_format)
            _lay_out_as_weights(self.optimizer)
        self.step_model = self.eager
        if choice.compile:
            self.step_model = torch.compile(self.eager)  # type: ignore[assignment]
        self.choice = choice

    def restore(self, state: dict[str, Any]) -> None:
        """Takes optimizer, loss scale and micro-batch over from a checkpoint that any way of computing has left."""
        self.optimizer.load_state_dict(state["optimizer"])
        _lay_out_as_weights(self.optimizer)
        self.scaler.load_state_dict(state["scaler"])
        self.micro_batch = state.get("micro_batch", self.micro_batch)

    def take(
        self, x: Tensor, labels: Tensor, lr: float, should_stop: Callable[[], bool] | None
    ) -> StepResult:
        """One step on a batch (B, 3, H, W) with labels (B,). With `should_stop` it can be left half-way.

        Raises:
            Interrupted: `should_stop` turned true; weights and statistics are as before.
            TrainingError: not even one image at a time fits into the memory.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["scale"]
        self._train_mode()
        if self.world.size > 1 and not self.fits:
            self._settle(x, labels)
        loss, correct = self._gradients(x, labels, should_stop)
        self.fits = True
        self.scaler.unscale_(self.optimizer)
        norm = self._clip_gradients()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return StepResult(loss, correct * (self.share / len(labels)), norm)

    def agreement(self, x: Tensor, labels: Tensor) -> float:
        """The cosine between this batch's gradients as now computed and in float32; nothing else changes."""
        chosen, kept = self.choice, [(b, b.clone()) for b in self.model.buffers()]
        self._train_mode()
        gradients = []
        for choice in (chosen, ExecutionMode("float32", chosen.channels_last)):
            self.use(choice)
            self._gradients(x, labels, None)
            gradients.append(self._flat_gradient())
            _put_back(kept)
        self.use(chosen)
        self.optimizer.zero_grad(set_to_none=True)
        return F.cosine_similarity(gradients[0], gradients[1], dim=0).item()

    def _settle(self, x: Tensor, labels: Tensor) -> None:
        """Finds the micro-batch that fits on every process, before one of them could wait for another in vain."""
        kept, asked = [(b, b.clone()) for b in self.model.buffers()], self.micro_batch
        wrapped, self.step_model = self.step_model, self.model
        try:
            self._gradients(x, labels, None)
        finally:
            self.step_model = wrapped
            _put_back(kept)
        mine, self.micro_batch = self.micro_batch, self.world.min_rank(self.micro_batch)
        self.fits = True
        if self.micro_batch < min(mine, asked):
            self.on_shrink(self.micro_batch)

    def _flat_gradient(self) -> Tensor:
        scale = self.scaler.get_scale()
        return torch.cat([p.grad.flatten() for p in self.model.parameters() if p.grad is not None]) / scale

    def _train_mode(self) -> None:
        """A frozen backbone keeps its BN statistics."""
        self.model.train()
        if self.config.backbone_lr == 0:
            for name, module in self.model.named_children():
                module.train(name == "fc")

    def _gradients(
        self, x: Tensor, labels: Tensor, should_stop: Callable[[], bool] | None
    ) -> tuple[Tensor, Tensor]:
        """Loss and number of right answers; the gradients are in the parameters. Shrinks until it fits."""
        while True:
            careful = should_stop is not None or not self.fits
            kept = [(b, b.clone()) for b in self.model.buffers()] if careful else []
            try:
                return self._accumulate(x, labels, should_stop)
            except Interrupted:
                _put_back(kept)  # as if the half step had not begun
                raise
            except RuntimeError as error:
                may_shrink = self.world.size == 1 or not self.fits  # later, the others would not know of it
                if not is_out_of_memory(error) or not may_shrink:
                    raise
                _put_back(kept)
                self._shrink(len(labels))
            except ValueError:  # torch's, from a norm; a run whose own micro-batch is too small was not begun
                if self.micro_batch > 1 or self.fits:
                    raise
                raise TrainingError(
                    "The memory holds one image at a time, and a norm has no variance over the one value per channel "
                    "that is left of it; choose a smaller net, larger images or a lower precision."
                ) from None

    def _accumulate(
        self, x: Tensor, labels: Tensor, should_stop: Callable[[], bool] | None
    ) -> tuple[Tensor, Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        x = x.contiguous(memory_format=self.choice.memory_format)
        loss = torch.zeros((), device=x.device)
        correct = torch.zeros((), device=x.device)
        count = math.ceil(len(labels) / self.micro_batch)
        parts = zip(x.tensor_split(count), labels.tensor_split(count), strict=True)
        for i, (images, answers) in enumerate(parts, 1):
            with without_sync(self.eager, i < count):
                part, right = self._forward_backward(images, answers, len(answers) / len(labels), should_stop)
            loss, correct = loss + part, correct + right
        return loss, correct

    def _forward_backward(
        self, x: Tensor, labels: Tensor, share: float, should_stop: Callable[[], bool] | None
    ) -> tuple[Tensor, Tensor]:
        """`share` of the mean loss of a micro-batch, and its number of right answers.

        The gradients are means over this process's rows; DistributedDataParallel takes the mean of those.
        """

        def compute() -> tuple[Tensor, Tensor]:
            with autocast(self.choice.precision, x.device):
                logits = self.step_model(x)
                loss = F.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)
            loss = loss * share if share < 1 else loss
            self.scaler.scale(loss).backward()
            return loss.detach().float() * self.share, (logits.detach().argmax(1) == labels).float().sum()

        if should_stop is None or self.choice.compile:
            return compute()
        with interruptible(self.step_model, should_stop):
            return compute()

    def _shrink(self, batch: int) -> None:
        """Half the micro-batch from now on."""
        self.optimizer.zero_grad(set_to_none=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self.micro_batch == 1:
            raise TrainingError(
                "Not even one image at a time fits into the memory of this device; choose a smaller net, "
                "smaller images or a lower precision."
            )
        self.micro_batch = math.ceil(min(self.micro_batch, batch) / 2)
        self.fits = False
        self.on_shrink(self.micro_batch)

    def _clip_gradients(self) -> Tensor:
        """The norm of all gradients together, before clipping; a scalar on the device."""
        if self.config.clip_norm is not None:
            return nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        return nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])


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


def _lay_out_as_weights(optimizer: torch.optim.Optimizer) -> None:
    """Brings momentum into the memory format of its weights; to be called whenever either may have changed.

    The fused kernels walk through the memory of weight, gradient and momentum side by side and look at no strides:
    with weights in NCHW and momentum in channels last, entry i of one would meet another entry of the other, without
    an error. A checkpoint keeps the strides that its tensors had, `load_state_dict` keeps those of the checkpoint.
    """
    for weight, state in optimizer.state.items():
        for name, value in state.items():
            if (
                isinstance(value, Tensor)
                and value.shape == weight.shape
                and value.stride() != weight.stride()
            ):
                state[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


def _put_back(kept: list[tuple[Tensor, Tensor]]) -> None:
    with torch.no_grad():
        for buffer, value in kept:
            buffer.copy_(value)
