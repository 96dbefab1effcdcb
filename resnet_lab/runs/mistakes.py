"""What a trained net answers to the test images, and where it is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from resnet_lab.data import load_dataset
from resnet_lab.data.base import Progress
from resnet_lab.runs.files import RunError
from resnet_lab.runs.model import load_run_model
from resnet_lab.runs.run import Run

BATCH = 256
BATCH_PIXELS = 2**20  # large images go in smaller batches, for the memory and for a progress that moves


@dataclass(frozen=True, eq=False)
class Answers:
    """A net's answer to each of N test images.

    `labels` and `predictions`, int64 (N,), are indices into `classes`; `confidences`, float32 (N,), are the
    probabilities, 0 to 1, of the answers given; `images` are uint8 (N, 3, H, W). `weights` says of what step they are.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    confidences: NDArray[np.float32]
    images: NDArray[np.uint8]
    weights: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """Images of each class (rows) that were taken for each class (columns), (classes, classes)."""
        count = len(self.classes)
        pairs = np.bincount(self.labels * count + self.predictions, minlength=count * count)
        return pairs.reshape(count, count)

    @property
    def right(self) -> int:
        """The number of images answered with their own class."""
        return int((self.labels == self.predictions).sum())


def answer_test_set(run: Run, progress: Progress = lambda done, text: None) -> Answers:
    """Asks the best net of `run` about every test image of its data, on the CPU.

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
    return Answers(
        classes=data.classes,
        labels=data.labels.numpy(),
        predictions=torch.cat([answer.indices for answer in best]).numpy(),
        confidences=torch.cat([answer.values for answer in best]).numpy(),
        images=data.images.numpy(),
        weights=net.weights,
    )


def cell(answers: Answers, truth: int, predicted: int, limit: int) -> NDArray[np.int64]:
    """Up to `limit` images of class `truth` that were taken for `predicted`, most confident first."""
    return _most_confident(answers, (answers.labels == truth) & (answers.predictions == predicted), limit)


def worst(answers: Answers, limit: int) -> NDArray[np.int64]:
    """Up to `limit` images with a wrong answer, most confident first."""
    return _most_confident(answers, answers.labels != answers.predictions, limit)


def _most_confident(answers: Answers, chosen: NDArray[np.bool_], limit: int) -> NDArray[np.int64]:
    indices = np.flatnonzero(chosen)
    return indices[np.argsort(-answers.confidences[indices], kind="stable")[:limit]]
