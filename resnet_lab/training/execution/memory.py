"""Memory of the training process: kept between steps, and shared out in micro-batches where it is short."""

from __future__ import annotations

import ctypes
import math
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from resnet_lab.training.execution.distributed import World
from resnet_lab.training.result import TrainingError

_keeping, _keepers = threading.Lock(), 0
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)


@contextmanager
def kept_memory() -> Iterator[None]:
    """Freed memory stays with this process until the last run under way ends, where glibc hands out memory.

    Otherwise the activations of each step go back to the system, which must clear the pages anew for the next step
    (docs/decisions/kept-memory.md). Memory on a GPU is not concerned.
    """
    global _keepers
    with _keeping:
        _keepers += 1
        _set_thresholds(2**31 - 1, 2**30)
    try:
        yield
    finally:
        with _keeping:
            _keepers -= 1
            if _keepers == 0:
                _set_thresholds(2**26, 2**25)  # the most that glibc would have come to by itself
                _libc("malloc_trim", 0)


def _set_thresholds(trim: int, mmap: int) -> None:
    """Free bytes at the heap's end that go back to the system, and bytes of a block that gets a mapping of its own."""
    _libc("mallopt", M_TRIM_THRESHOLD, trim)
    _libc("mallopt", M_MMAP_THRESHOLD, mmap)


def _libc(name: str, *arguments: int) -> None:
    """Calls a function of the C library, if it has such a one."""
    if sys.platform == "linux":
        getattr(ctypes.CDLL(None), name, lambda *_: None)(*arguments)


def is_out_of_memory(error: Exception) -> bool:
    """On a GPU torch has an exception of its own, on the CPU only a message."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


class MicroBatch:
    """How many images pass through the net at once: `size`, halved whenever the device's memory does not hold them.

    `on_shrink` is told the new size.
    """

    def __init__(self, size: int, world: World, on_shrink: Callable[[int], None]) -> None:
        self.size, self.world, self.on_shrink = size, world, on_shrink
        self.fits = False  # a step at this size has been taken

    def split(self, images: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
        """A batch in parts that differ by one image at most."""
        count = math.ceil(len(labels) / self.size)
        return list(zip(images.tensor_split(count), labels.tensor_split(count), strict=True))

    def shrink(self, error: Exception, batch: int) -> None:
        """Halves the size after a step on `batch` images that the memory did not hold, as `error` says.

        Raises:
            TrainingError: not even one image at a time fits, or a norm wants more than that.
            Exception: `error`, where it says something else, or other processes would not know of a new size.
        """
        if (
            isinstance(error, ValueError) and self.size == 1 and not self.fits
        ):  # a norm's, which preflight foresees
            raise TrainingError(
                "The memory holds one image at a time, and a norm has no variance over the one value per channel "
                "that is left of it; choose a smaller net, larger images or a lower precision."
            ) from None
        if not is_out_of_memory(error) or (self.world.size > 1 and self.fits):
            raise error
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self.size == 1:
            raise TrainingError(
                "Not even one image at a time fits into the memory of this device; choose a smaller net, "
                "smaller images or a lower precision."
            )
        self.size, self.fits = math.ceil(min(self.size, batch) / 2), False
        self.on_shrink(self.size)

    def agree(self, asked: int) -> None:
        """All processes take the smallest size that one of them came to, from `asked`."""
        own, self.size = self.size, self.world.min_rank(self.size)
        if self.size < min(own, asked):
            self.on_shrink(self.size)


def clone_buffers(model: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """BN's statistics, each with a copy for `put_back`."""
    return [(buffer, buffer.clone()) for buffer in model.buffers()]


def put_back(kept: list[tuple[Tensor, Tensor]]) -> None:
    with torch.no_grad():
        for buffer, value in kept:
            buffer.copy_(value)
