"""Loss and accuracy of a net over a whole data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from resnet_lab.data import Dataset
from resnet_lab.models import ResNet
from resnet_lab.models.classifier import Classifier, EvalTransform
from resnet_lab.training.execution.device import autocast
from resnet_lab.training.execution.distributed import ALONE, World
from resnet_lab.training.execution.interrupt import Interrupted, interruptible

BATCH, PIXELS = 256, 2**22  # images at once at most, and their pixels: 83 images of 224 × 224
Sight = EvalTransform  # its former name, which other people's scripts have


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy (nats) and accuracy (0 to 1) over `samples` images."""

    loss: float
    accuracy: float
    samples: int


@torch.no_grad()
def evaluate(
    net: Classifier | ResNet,
    data: Dataset,
    precision: str = "float32",
    should_stop: Callable[[], bool] = lambda: False,
    transform: EvalTransform | None = None,
    world: World = ALONE,
    sight: EvalTransform | None = None,
) -> Evaluation:
    """Puts the model into eval mode and runs all of `data` through it; both are on the same device.

    A bare `ResNet` is fed by the mean and deviation of `data` and by `transform`, once called `sight`; a classifier
    knows its own.
    In a distributed run each process takes every size-th image; their sums are those of the whole set.

    Raises:
        Interrupted: `should_stop` turned true (never in a distributed run, whose processes go on together).
    """
    if isinstance(net, ResNet):
        size = data.images.shape[-1]
        net = Classifier(net, data.classes, size, data.mean, data.std, transform or sight or EvalTransform())
    net.model.eval()
    size = images_at_once(max([data.images.shape[-1], *net.transform.scales]))
    part = data.subset(torch.arange(world.rank, len(data), world.size, device=data.labels.device))
    loss = torch.zeros((), device=data.labels.device, dtype=_widest(data.labels.device))
    correct = torch.zeros_like(loss)
    stop = should_stop if world.size == 1 else lambda: False
    with interruptible(net.model, stop):
        for images, labels in zip(part.images.split(size), part.labels.split(size), strict=True):
            if stop():
                raise Interrupted
            with autocast(precision, images.device):
                log_probabilities = net.log_probabilities(images)
            loss += F.nll_loss(log_probabilities, labels, reduction="sum")
            correct += (log_probabilities.argmax(1) == labels).sum()
    total, right = world.sum(torch.stack([loss, correct])).tolist()
    return Evaluation(total / len(data), right / len(data), len(data))


def images_at_once(side: int) -> int:
    """How many square images of this side (px) a net without gradients is asked about at a time."""
    return max(1, min(BATCH, PIXELS // side**2))


def _widest(device: torch.device) -> torch.dtype:
    """float64, which MPS lacks."""
    return torch.float32 if device.type == "mps" else torch.float64
