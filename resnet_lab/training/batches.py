"""Batches of a run: which images, in what order, how augmented; all of it a function of (seed, step)."""

from __future__ import annotations

import torch
from torch import Tensor

from resnet_lab.data import Dataset, augment, normalize
from resnet_lab.data.transforms import Draws
from resnet_lab.training.config import TrainConfig
from resnet_lab.training.execution.distributed import ALONE, World
from resnet_lab.training.result import TrainingError


class BatchSource:
    """The training set `data` in batches, on the device where it lies; each process gets its rows.

    Raises:
        TrainingError: the batch is larger than the set, or cannot be divided between the processes.
    """

    def __init__(self, data: Dataset, config: TrainConfig, world: World = ALONE) -> None:
        _check_batch(config.batch_size, len(data), world.size)
        self.data, self.config = data, config
        self.device = data.images.device
        self.steps_per_epoch = len(data) // config.batch_size
        self.total_steps = config.epochs * self.steps_per_epoch
        self.first, self.end = world.rows(config.batch_size)
        self._generator = torch.Generator(self.device)
        self._order_of = -1  # the epoch whose order is at hand

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Images float32 (B, 3, H, W) and labels (B,) of this process in step `step`."""
        size = self.config.batch_size
        begin = (step % self.steps_per_epoch) * size
        indices = self._order(step // self.steps_per_epoch)[begin + self.first : begin + self.end]
        self._generator.manual_seed(mix(self.config.seed, step, 2))
        draws = Draws(self._generator, len(indices), self.first, size)
        images = augment(self.data.images[indices], self.config.augmentation, draws)
        return normalize(images, self.data.mean, self.data.std), self.data.labels[indices]

    def _order(self, epoch: int) -> Tensor:
        """The permutation of the training set in this epoch, (N,) on the device."""
        if self._order_of != epoch:
            generator = torch.Generator().manual_seed(mix(self.config.seed, epoch, 1))
            order = torch.randperm(len(self.data), generator=generator)
            self._permutation = order.to(self.device)
            self._order_of = epoch
        return self._permutation


def _check_batch(size: int, count: int, processes: int) -> None:
    if size > count:
        raise TrainingError(
            f"The batch size is {size:,} and the training set has {count:,} images; "
            f"choose a batch size of at most {count:,}."
        )
    if size % processes:
        raise TrainingError(
            f"The batch size is {size:,} and there are {processes} processes; choose a multiple of them."
        )


def mix(*parts: int) -> int:
    """One seed out of several numbers, spread so that neighbours share nothing."""
    value = 0x9E3779B97F4A7C15
    for part in parts:
        value = (value ^ part) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        value ^= value >> 31
    return value >> 1
