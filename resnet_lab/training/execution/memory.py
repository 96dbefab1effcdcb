"""Memory of the training process: kept between steps, and shared out in micro-batches where it is short."""

from __future__ import annotations

import ctypes
import math
import sys
import threading
from collections.abc import Iterator
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


FULL = (  # what torch and the libraries below it say of a full memory, besides by an exception of their own
    "can't allocate memory",  # the CPU
    "out of memory",  # CUDA by way of an AcceleratorError, and MPS
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "unable to find an engine",  # cuDNN, with no room for a workspace
)


def is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in FULL)


class MicroBatch:
    """How many images pass through the net at once: `size`, halved whenever the device's memory does not hold them."""

    def __init__(self, size: int, world: World) -> None:
        self.size, self.world = size, world
        self.fits = False  # a step at this size has been taken

    def split(self, images: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
        """A batch in parts that differ by one image at most."""
        count = math.ceil(len(labels) / self.size)
        return list(zip(images.tensor_split(count), labels.tensor_split(count), strict=True))

    def check(self, error: Exception) -> None:
        """That a smaller size may help against `error`.

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
        if self.size == 1:
            raise TrainingError(
                "Not even one image at a time fits into the memory of this device; choose a smaller net, "
                "smaller images or a lower precision."
            )

    def shrink(self, batch: int) -> None:
        """Halves the size after a step on `batch` images that the memory did not hold.

        To be called when the exception is gone: as long as it is handled its traceback holds the step's activations.
        """
        if torch.accelerator.is_available():
            torch.accelerator.empty_cache()
        self.size, self.fits = math.ceil(min(self.size, batch) / 2), False

    def agree(self, asked: int) -> bool:
        """All processes take the smallest size that one came to, from `asked`; whether it is new to this one."""
        own, self.size = self.size, self.world.min_rank(self.size)
        return self.size < min(own, asked)


def clone_buffers(model: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """BN's statistics, each with a copy for `put_back`."""
    return [(buffer, buffer.clone()) for buffer in model.buffers()]


def put_back(kept: list[tuple[Tensor, Tensor]]) -> None:
    with torch.no_grad():
        for buffer, value in kept:
            buffer.copy_(value)
