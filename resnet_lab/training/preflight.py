"""What is known to go wrong before a run takes its first step."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn

from resnet_lab.data import DATASETS
from resnet_lab.models import ModelSpec, ResNet
from resnet_lab.training.config import TrainConfig
from resnet_lab.training.execution.device import pick_device
from resnet_lab.training.result import TrainingError


def check(config: TrainConfig, side: int, processes: int = 1) -> None:
    """
    Raises:
        TrainingError: the first of `problems`.
    """
    if found := problems(config, side, processes):
        raise TrainingError(found[0])


def problems(config: TrainConfig, side: int, processes: int = 1) -> list[str]:
    """In a sentence each, why `config` cannot train on images of `side` × `side` pixels in so many processes."""
    return [text for text in (_crop(config, side), _norm(config, side, processes)) if text]


def known_side(config: TrainConfig) -> int | None:
    """Of the images before any crop, in pixels; None where only a look into their folder tells."""
    info = DATASETS.get(config.dataset)
    return config.image_size or (info.image_size if info else None) or None


class FirstStep(NamedTuple):
    """What a run's first step is, as far as its memory goes; `precision` and `optimizer` as estimates know them."""

    spec: ModelSpec
    input_size: tuple[int, int, int]
    images: int
    precision: str
    optimizer: str
    device: torch.device


def first_step(config: TrainConfig) -> FirstStep | None:
    """None where the images' size or the device is not known yet, or where a frozen net keeps next to nothing."""
    side = config.augmentation.crop_size or known_side(config)
    if side is None or config.backbone_lr == 0:
        return None
    try:
        device = pick_device(config.device)
    except ValueError:
        return None
    images = min(config.micro_batch or config.batch_size, config.batch_size)
    precision = "float32" if config.precision == "auto" else config.precision  # a trial's first step
    optimizer = "adam" if config.optimizer == "adamw" else config.optimizer  # which keep the same
    return FirstStep(config.spec, (3, side, side), images, precision, optimizer, device)


def _crop(config: TrainConfig, side: int) -> str:
    crop, padding = config.augmentation.crop_size, config.augmentation.crop_padding
    if crop is None or crop <= side + 2 * padding:
        return ""
    padded = f" and are padded by {padding:,}" if padding else ""
    return (
        f"crop_size is {crop:,}; the images have {side:,} × {side:,} pixels{padded}, so it may be at most "
        f"{side + 2 * padding:,}."
    )


def _norm(config: TrainConfig, side: int, processes: int) -> str:
    """A norm has no variance over one value per channel, and torch refuses it: one image of 1 × 1 there.

    Whether the images have shrunk to that is asked of torch itself, which needs no values for its answer.
    """
    rows = config.batch_size // processes
    smallest = rows // math.ceil(rows / min(config.micro_batch or rows, rows))  # as tensor_split divides them
    if smallest > 1 or (config.sync_bn and processes > 1):
        return ""
    side = config.augmentation.crop_size or side
    with torch.device("meta"):
        net, image = ResNet(config.spec), torch.empty(1, 3, side, side)
    net.train(config.backbone_lr > 0)  # a frozen net takes the statistics that it has
    entered: list[str] = []
    for name, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            module.register_forward_pre_hook(lambda *_, name=name: entered.append(name))
    try:
        with torch.no_grad():
            net(image)
    except ValueError:
        return (
            f"At {entered[-1]} the images have shrunk to 1 × 1 pixels, and a norm has no variance over the one value "
            "per channel of a single image; choose a batch and micro-batch that leave no image alone, or larger images."
        )
    return ""
