"""Loss and accuracy of a net over a whole data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from resnet_lab.data import Dataset, normalize
from resnet_lab.training.device import autocast
from resnet_lab.training.interrupt import Interrupted, interruptible

BATCH = 256


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy (nats) and accuracy (0 to 1) over `samples` pictures."""

    loss: float
    accuracy: float
    samples: int


@torch.no_grad()
def evaluate(
    model: nn.Module,
    data: Dataset,
    precision: str = "float32",
    should_stop: Callable[[], bool] = lambda: False,
) -> Evaluation:
    """Puts `model` into eval mode and runs all of `data` through it; both are on the same device.

    Raises:
        Interrupted: `should_stop` turned true.
    """
    model.eval()
    device = data.images.device
    loss = torch.zeros((), device=device)
    correct = torch.zeros((), device=device, dtype=torch.int64)
    with interruptible(model, should_stop):
        for i in range(0, len(data), BATCH):
            if should_stop():
                raise Interrupted
            x = normalize(data.images[i : i + BATCH], data.mean, data.std)
            labels = data.labels[i : i + BATCH]
            with autocast(precision, device):
                logits = model(x)
            loss += F.cross_entropy(logits.float(), labels, reduction="sum")
            correct += (logits.argmax(1) == labels).sum()
    return Evaluation(loss.item() / len(data), correct.item() / len(data), len(data))
