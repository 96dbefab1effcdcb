"""Optimizers, and learning-rate schedules as pure functions of the step."""

from __future__ import annotations

import math
from typing import Any

import torch

from resnet_lab.models import ResNet
from resnet_lab.training.config import TrainConfig


def build_optimizer(config: TrainConfig, model: ResNet) -> torch.optim.Optimizer:
    """The optimizer that `config` names, over all parameters alike (as He et al. 2015 do).

    Each group has a "scale", the factor on the learning rate: 1 for the head, `backbone_lr` for the rest.
    """
    head = list(model.fc.parameters())
    ids = {id(p) for p in head}
    backbone = [p for p in model.parameters() if id(p) not in ids and p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": list(model.parameters()), "scale": 1.0}]
    if config.backbone_lr < 1:
        groups = [{"params": backbone, "scale": config.backbone_lr}, {"params": head, "scale": 1.0}]
        groups = [group for group in groups if group["params"]]
    shared: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": True}
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=config.momentum, nesterov=config.nesterov, **shared)
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, **shared)


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """The learning rate of step `step` (from 0).

    A function of the step alone, so that a resumed run needs no scheduler state. Warm-up is linear from
    lr / (steps + 1) (Goyal et al. 2017, Sec. 2.2); the schedules are those of torch.optim.lr_scheduler,
    with cosine and one-cycle counted in steps.
    """
    total = config.epochs * steps_per_epoch
    warmup = 0 if config.schedule == "onecycle" else round(config.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return config.lr * (step + 1) / (warmup + 1)
    epoch = step / steps_per_epoch
    match config.schedule:
        case "step":
            return config.lr * config.gamma ** math.floor(epoch / config.step_epochs + 1e-9)
        case "multistep":
            return config.lr * config.gamma ** sum(epoch >= m - 1e-9 for m in config.milestones)
        case "cosine":
            return _cosine(config.lr, 0.0, (step - warmup) / max(total - warmup, 1))
        case "onecycle":
            return _one_cycle(config.lr, step, total)
    return config.lr


def _one_cycle(peak: float, step: int, total: int, rise: float = 0.3) -> float:
    """Smith and Topin 2018, with cosine arcs: peak/25 → peak → peak/250,000 (torch's OneCycleLR)."""
    top = rise * total - 1
    if step <= top:
        return _cosine(peak / 25, peak, step / top if top > 0 else 1.0)
    return _cosine(peak, peak / 25e4, (step - top) / (total - 1 - top))


def _cosine(start: float, end: float, fraction: float) -> float:
    """Half a cosine from `start` (fraction 0) to `end` (fraction 1)."""
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


class WarmUp:
    """A tenth of the rate until the training accuracy of 50 steps passes `accuracy`; None for no warm-up.

    He et al. 2015, Sec. 4.2: the 110-layer net is trained at 0.01 "until the training error is below 80%
    (about 400 iterations)", and at 0.1 from there on. The mean is over fixed steps, so that it does not depend
    on when the run was paused.
    """

    STEPS = 50

    def __init__(self, accuracy: float | None) -> None:
        self.accuracy = accuracy
        self.is_on = accuracy is not None
        self._seen: list[float] = []

    @property
    def factor(self) -> float:
        return 0.1 if self.is_on else 1.0

    def see(self, accuracy: float) -> None:
        """The accuracy (0 to 1) of a step."""
        self._seen.append(accuracy)
        if len(self._seen) == self.STEPS:
            self.is_on = self.accuracy is not None and sum(self._seen) / self.STEPS < self.accuracy
            self._seen = []

    def state(self) -> dict[str, Any]:
        return {"is_on": self.is_on, "seen": list(self._seen)}

    def restore(self, state: dict[str, Any] | None) -> None:
        if state:
            self.is_on, self._seen = state["is_on"], list(state["seen"])
