"""Optimizers, and learning-rate schedules as pure functions of the step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from resnet_lab.training.config import TrainConfig


def build_optimizer(config: TrainConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer that `config` names, over all parameters alike (as He et al. 2015 do)."""
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
        )
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=config.lr, weight_decay=config.weight_decay)


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
