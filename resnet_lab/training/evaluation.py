"""Loss and accuracy of a net over a whole data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_lab.data import Dataset, center_crop, normalize, rescale
from resnet_lab.training.device import autocast
from resnet_lab.training.distributed import ALONE, World
from resnet_lab.training.interrupt import Interrupted, interruptible

BATCH = 256


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy (nats) and accuracy (0 to 1) over `samples` pictures."""

    loss: float
    accuracy: float
    samples: int


@dataclass(frozen=True)
class Sight:
    """How a net is shown the pictures of a test.

    `crop` cuts out the middle of this side, in pixels. `scales` are sides to which pictures are resized whole;
    probabilities are averaged over them (He et al. 2015, Sec. 3.4).
    """

    crop: int | None = None
    scales: Sequence[int] = ()

    def views(self, images: Tensor) -> list[Tensor]:
        """Each (N, 3, side, side), values 0..255."""
        if self.scales:
            return [rescale(images, side) for side in self.scales]
        return [images if self.crop is None else center_crop(images, self.crop)]


@torch.no_grad()
def evaluate(
    model: nn.Module,
    data: Dataset,
    precision: str = "float32",
    should_stop: Callable[[], bool] = lambda: False,
    sight: Sight = Sight(),
    world: World = ALONE,
) -> Evaluation:
    """Puts `model` into eval mode and runs all of `data` through it; both are on the same device.

    In a distributed run each process takes every size-th picture; their sums are those of the whole set.

    Raises:
        Interrupted: `should_stop` turned true (never in a distributed run, whose processes go on together).
    """
    model.eval()
    mine = data.subset(torch.arange(world.rank, len(data), world.size, device=data.labels.device))
    loss = torch.zeros((), device=data.labels.device, dtype=_widest(data.labels.device))
    correct = torch.zeros_like(loss)
    stop = should_stop if world.size == 1 else lambda: False
    with interruptible(model, stop):
        for i in range(0, len(mine), BATCH):
            if stop():
                raise Interrupted
            log_probabilities = _log_probabilities(model, mine, i, precision, sight)
            labels = mine.labels[i : i + BATCH]
            loss += F.nll_loss(log_probabilities, labels, reduction="sum")
            correct += (log_probabilities.argmax(1) == labels).sum()
    total, right = world.sum(torch.stack([loss, correct])).tolist()
    return Evaluation(total / len(data), right / len(data), len(data))


def _log_probabilities(model: nn.Module, data: Dataset, start: int, precision: str, sight: Sight) -> Tensor:
    """float32 (N, classes), the mean over the views."""
    images = data.images[start : start + BATCH]
    views = []
    for view in sight.views(images):
        with autocast(precision, images.device):
            logits = model(normalize(view, data.mean, data.std))
        views.append(logits.float().log_softmax(1))
    if len(views) == 1:
        return views[0]
    return torch.stack(views).logsumexp(0) - torch.tensor(float(len(views))).log()


def _widest(device: torch.device) -> torch.dtype:
    """float64, which MPS lacks."""
    return torch.float32 if device.type == "mps" else torch.float64
