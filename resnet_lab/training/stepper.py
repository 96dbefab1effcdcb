"""One optimizer step: forward, backward, clipping, update; in micro-batches where memory or the config asks for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_lab.training.config import TrainConfig
from resnet_lab.training.device import autocast, is_out_of_memory
from resnet_lab.training.interrupt import Interrupted, interruptible


class TrainingError(RuntimeError):
    """A run that cannot begin or go on; the message says why and what to do, in one sentence."""


@dataclass(frozen=True)
class StepResult:
    """Loss (nats), accuracy (0 to 1) and gradient norm before clipping: scalars on the device."""

    loss: Tensor
    accuracy: Tensor
    norm: Tensor


class Stepper:
    """Takes optimizer steps. `micro_batch` is how many pictures pass through the net at once.

    Gradients of micro-batches add up to that of the whole batch, as each counts by its share; only BN sees
    smaller batches. When the device runs out of memory, the step is taken again in micro-batches of half the
    size, and the later ones too; `on_shrink` is told the new size.
    """

    def __init__(
        self,
        config: TrainConfig,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        precision: str,
        on_shrink: Callable[[int], None],
    ) -> None:
        self.config, self.model, self.optimizer, self.scaler = config, model, optimizer, scaler
        self.precision, self.on_shrink = precision, on_shrink
        self.step_model: nn.Module = torch.compile(model) if config.compile else model  # type: ignore[assignment]
        self.micro_batch = config.micro_batch or config.batch_size

    def take(
        self, x: Tensor, labels: Tensor, lr: float, should_stop: Callable[[], bool] | None
    ) -> StepResult:
        """One step on a batch (B, 3, H, W) with labels (B,). With `should_stop` it can be left half-way.

        Raises:
            Interrupted: `should_stop` turned true; weights and statistics are as before.
            TrainingError: not even one picture at a time fits into the memory.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.model.train()
        loss, correct = self._gradients(x, labels, should_stop)
        self.scaler.unscale_(self.optimizer)
        norm = self._clip_gradients()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return StepResult(loss, correct / len(labels), norm)

    def _gradients(
        self, x: Tensor, labels: Tensor, should_stop: Callable[[], bool] | None
    ) -> tuple[Tensor, Tensor]:
        """Loss and number of right answers; the gradients are in the parameters. Shrinks until it fits."""
        while True:
            careful = should_stop is not None or self.micro_batch < len(labels) or x.is_cuda
            kept = [(b, b.clone()) for b in self.model.buffers()] if careful else []
            try:
                return self._accumulate(x, labels, should_stop)
            except Interrupted:
                _put_back(kept)  # as if the half step had not begun
                raise
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                _put_back(kept)
                self._shrink(len(labels))

    def _accumulate(
        self, x: Tensor, labels: Tensor, should_stop: Callable[[], bool] | None
    ) -> tuple[Tensor, Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=x.device)
        correct = torch.zeros((), device=x.device)
        count = math.ceil(len(labels) / self.micro_batch)
        for images, answers in zip(x.tensor_split(count), labels.tensor_split(count), strict=True):
            part, right = self._forward_backward(images, answers, len(answers) / len(labels), should_stop)
            loss, correct = loss + part, correct + right
        return loss, correct

    def _forward_backward(
        self, x: Tensor, labels: Tensor, share: float, should_stop: Callable[[], bool] | None
    ) -> tuple[Tensor, Tensor]:
        """`share` of the mean loss of a micro-batch, and its number of right answers."""

        def compute() -> tuple[Tensor, Tensor]:
            with autocast(self.precision, x.device):
                logits = self.step_model(x)
                loss = F.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)
            loss = loss * share if share < 1 else loss
            self.scaler.scale(loss).backward()
            return loss.detach().float(), (logits.detach().argmax(1) == labels).float().sum()

        if should_stop is None or self.config.compile:
            return compute()
        with interruptible(self.model, should_stop):
            return compute()

    def _shrink(self, batch: int) -> None:
        """Half the micro-batch from now on."""
        self.optimizer.zero_grad(set_to_none=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self.micro_batch == 1:
            raise TrainingError(
                "Not even one picture at a time fits into the memory of this device; choose a smaller net, "
                "smaller pictures or a lower precision."
            )
        self.micro_batch = math.ceil(min(self.micro_batch, batch) / 2)
        self.on_shrink(self.micro_batch)

    def _clip_gradients(self) -> Tensor:
        """The norm of all gradients together, before clipping; a scalar on the device."""
        if self.config.clip_norm is not None:
            return nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        return nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])


def _put_back(kept: list[tuple[Tensor, Tensor]]) -> None:
    with torch.no_grad():
        for buffer, value in kept:
            buffer.copy_(value)
