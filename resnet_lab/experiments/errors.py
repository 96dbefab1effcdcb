"""Which test images does a trained net get wrong: the confusion matrix, and the worst mistakes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from resnet_lab.data import load_dataset
from resnet_lab.data.base import Progress
from resnet_lab.figures.confusion import confusion_figure
from resnet_lab.figures.page import Chart
from resnet_lab.runs import Run, RunError, load_run_model

BATCH = 256
BATCH_PIXELS = 2**20  # large images go in smaller batches, for the memory and for a progress that moves


@dataclass(frozen=True, eq=False)
class Predictions:
    """The class that a net predicts for each of N test images.

    `labels` and `predicted`, int64 (N,), are indices into `classes`; `confidences`, float32 (N,), are the
    probabilities, 0 to 1, of the predicted classes; `images` are uint8 (N, 3, H, W). `weights` says of what step they
    are.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidences: NDArray[np.float32]
    images: NDArray[np.uint8]
    weights: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """Images of each class (rows) that were taken for each class (columns), (classes, classes)."""
        count = len(self.classes)
        pairs = np.bincount(self.labels * count + self.predicted, minlength=count * count)
        return pairs.reshape(count, count)

    @property
    def right(self) -> int:
        """The number of images whose class was predicted."""
        return int((self.labels == self.predicted).sum())


def measure(run: Run, progress: Progress = lambda done, text: None) -> Predictions:
    """The best net of `run` on every test image of its data, on the CPU.

    `progress` is told of it before each batch, and may raise to cancel.

    Raises:
        RunError: the run has no readable checkpoint, or the data now has other classes.
        DatasetError: the data cannot be read.
    """
    net = load_run_model(run)
    data = load_dataset(net.dataset, split="test", image_size=net.image_size, progress=progress)
    if data.classes != net.classes:
        raise RunError(
            f"{run.name} was trained on other classes than {net.dataset} has now; train a net on it anew."
        )
    size = max(1, min(BATCH, BATCH_PIXELS // net.image_size**2))
    best = []
    for i in range(0, len(data), size):
        progress(i / len(data), f"{i:,} of {len(data):,} images")
        best.append(net.predict(data.images[i : i + size]).max(1))
    return Predictions(
        classes=data.classes,
        labels=data.labels.numpy(),
        predicted=torch.cat([each.indices for each in best]).numpy(),
        confidences=torch.cat([each.values for each in best]).numpy(),
        images=data.images.numpy(),
        weights=net.weights,
    )


def chart(predictions: Predictions, dark: bool = False) -> Chart:
    """The confusion matrix."""
    caption = (
        "Rows are the true classes, columns the predicted ones. The stronger the colour, the more of that class went "
        "wrong this way; right predictions are grey."
    )
    return Chart(confusion_figure(predictions.confusion, predictions.classes, dark), caption)


def cell(predictions: Predictions, truth: int, predicted: int, limit: int) -> NDArray[np.int64]:
    """Up to `limit` images of class `truth` that were taken for `predicted`, most confident first."""
    chosen = (predictions.labels == truth) & (predictions.predicted == predicted)
    return _most_confident(predictions, chosen, limit)


def worst(predictions: Predictions, limit: int) -> NDArray[np.int64]:
    """Up to `limit` images with a wrong prediction, most confident first."""
    return _most_confident(predictions, predictions.labels != predictions.predicted, limit)


def _most_confident(predictions: Predictions, chosen: NDArray[np.bool_], limit: int) -> NDArray[np.int64]:
    indices = np.flatnonzero(chosen)
    return indices[np.argsort(-predictions.confidences[indices], kind="stable")[:limit]]
