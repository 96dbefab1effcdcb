"""What the checks and measurements on a GPU share: the device, small data, and how a difference is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_lab.data import Dataset, load_dataset, normalize
from resnet_lab.models import ModelSpec, ResNet, init_model
from resnet_lab.training import TrainConfig, fit
from resnet_lab.training.events import Event, StepEvent


class Skipped(Exception):
    """It cannot be asked here, and why."""


class Failed(Exception):
    """It does not hold, and what was found."""

    def __init__(self, text: str, figures: dict[str, Any] | None = None) -> None:
        super().__init__(text)
        self.figures = figures or {}


@dataclass
class Lab:
    """Where things run. `tiny`: in seconds, on any device."""

    device: torch.device
    tiny: bool
    folder: Path
    cifar: Path | None = None
    deadline: float = float("inf")  # time.monotonic() after which nothing more is begun

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    def only_cuda(self) -> None:
        if not self.is_cuda:
            raise Skipped(f"it is about CUDA, not {self.device.type}")

    def config(self, **changes: Any) -> TrainConfig:
        """Eight steps an epoch of resnet20 (tiny: resnet8) on the device, in float32, nothing left open."""
        net = (
            ModelSpec("resnet8", (3, 3), (1, 1, 1), width=8, stem="cifar", shortcut="pad")
            if self.tiny
            else "resnet20"
        )
        settings: dict[str, Any] = {
            "variant": net, "train_limit": 160 if self.tiny else 1280, "epochs": 2,
            "batch_size": 16 if self.tiny else 128, "lr": 0.05, "precision": "float32", "channels_last": False,
            "compile": False, "device": str(self.device),
        }  # fmt: skip
        return TrainConfig(**(settings | changes))

    def dataset(self) -> str:
        if self.cifar is None:
            raise Skipped("no --cifar FOLDER was given")
        return f"folder:{self.cifar}"


def images(count: int, side: int = 32) -> tuple[Dataset, Tensor]:
    """The first training images of the shapes, and the same normalised, float32, on the CPU."""
    data = load_dataset("shapes", limit=count, image_size=side)
    return data, normalize(data.images, data.mean, data.std)


def net_of(spec: str | ModelSpec, device: torch.device, dtype: torch.dtype = torch.float32) -> ResNet:
    return init_model(spec, 0, 10).to(device=device, dtype=dtype)


def gradients(model: ResNet, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, loss and all gradients in one row, in train mode, as float64 on the CPU."""
    model.train()
    logits = model(x)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    flat = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    return logits.detach().double().cpu(), loss.detach().double().cpu(), flat.double().cpu()


def relative(found: Tensor, expected: Tensor) -> float:
    """The largest difference, as a part of the largest expected value."""
    return float(
        (found.double().cpu() - expected.double().cpu()).abs().max() / expected.abs().max().clamp_min(1e-30)
    )


def apart(found: Tensor, expected: Tensor) -> float:
    """1 − cosine."""
    return 1 - float(F.cosine_similarity(found.double(), expected.double(), dim=0))


def within(figures: dict[str, float], bounds: dict[str, float]) -> dict[str, float]:
    """`figures`, if each is at most its bound.

    Raises:
        Failed: the first that is not, or is no number.
    """
    for name, value in figures.items():
        if not value <= bounds[name]:
            raise Failed(f"{name} is {value:.3g}, {bounds[name]:.3g} at most", figures)
    return figures


def trained(config: TrainConfig, **options: Any) -> list[Event]:
    events: list[Event] = []
    fit(config, events.append, **options)
    return events


def losses(events: list[Event]) -> Tensor:
    """Of each reading; of each step within `reading_each_step`."""
    return torch.tensor([event.loss for event in events if isinstance(event, StepEvent)], dtype=torch.float64)


@contextmanager
def set_to(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute, for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def reading_each_step() -> Any:
    from resnet_lab.training import meter

    return set_to(meter, "READ_EVERY", 0.0)


Ask = Callable[[Lab], dict[str, Any]]
