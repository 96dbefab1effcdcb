"""Several processes, one run: who holds which rows of a batch, and what they must agree on.

`torchrun` starts the processes and names their place in the environment (RANK, WORLD_SIZE, LOCAL_RANK).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class World:
    """The processes of a run; the default is one process alone, for which everything here costs nothing."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    control: Any = field(default=None, repr=False)  # a gloo group: small messages stay off the GPUs' streams

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def rows(self, count: int) -> tuple[int, int]:
        """First and last (exclusive) of the `count` rows of a batch that this process holds."""
        return self.rank * count // self.size, (self.rank + 1) * count // self.size

    def device(self, asked: str) -> str:
        """The device of this process: where all could use CUDA, each takes one GPU of its machine."""
        if self.size > 1 and asked in ("auto", "cuda") and torch.cuda.is_available():
            return f"cuda:{self.local_rank}"
        return "cpu" if self.size > 1 and asked == "auto" else asked

    def wrap(self, model: nn.Module) -> nn.Module:
        """`model` with gradients that are averaged over the processes during the backward pass."""
        if self.size == 1:
            return model
        device = next(model.parameters()).device
        return DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def share_buffers(self, model: nn.Module) -> None:
        """Gives all processes the first one's buffers: BN's running statistics differ by what each has seen."""
        if self.size > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)

    def min_rank(self, value: int) -> int:
        return min(self._gather(value)) if self.size > 1 else value

    def any_rank(self, *flags: bool) -> tuple[bool, ...]:
        """Each flag, true for all where it is true for one: so that all stop after the same step."""
        if self.size == 1:
            return flags
        said = torch.tensor(flags, dtype=torch.uint8)
        dist.all_reduce(said, dist.ReduceOp.MAX, group=self.control)
        return tuple(bool(flag) for flag in said)

    def broadcast(self, value: Any) -> Any:
        """What the first process has; the others' values are ignored."""
        return self._gather(value)[0] if self.size > 1 else value

    @contextmanager
    def local_main_first(self) -> Iterator[None]:
        """The first process of each machine goes ahead: what it downloads or draws, the others find cached."""
        if self.size > 1 and self.local_rank != 0:
            dist.barrier(group=self.control)
        yield
        if self.size > 1 and self.local_rank == 0:
            dist.barrier(group=self.control)

    def _gather(self, value: Any) -> list[Any]:
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self.control)
        return values


ALONE = World()


def without_sync(model: nn.Module, wanted: bool) -> AbstractContextManager[object]:
    """Gradients stay here while `wanted`: all micro-batches but the last need no exchange."""
    if wanted and isinstance(model, DistributedDataParallel):
        return cast(AbstractContextManager[object], model.no_sync())
    return nullcontext()


def has_lost_a_peer(error: Exception) -> bool:
    """Whether `error` says that another process is gone; gloo raises a bare RuntimeError."""
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error).lower()
    )


def _attempt() -> str:
    """Keeps what restarted processes of one machine tell each other apart from what the dead ones had said.

    torchrun shares one store between its attempts, and an address left in it is that of nobody. Over several
    machines the counts may differ; there docs/distributed.md has torchrun open a store for each attempt.
    """
    if os.environ.get("GROUP_WORLD_SIZE", "1") != "1":
        return "attempt"
    return f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"


@contextmanager
def joined(device: str) -> Iterator[World]:
    """The world that torchrun set up, or `ALONE` where it did not: NCCL between GPUs, gloo where `device` is a CPU.

    Raises:
        ValueError: more processes than GPUs on this machine.
    """
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    on_gpus = device in ("auto", "cuda") and torch.cuda.is_available()
    if on_gpus:
        if local_rank >= torch.cuda.device_count():
            raise ValueError(
                f"this machine has {torch.cuda.device_count()} GPUs, one for each process, and this is process "
                f"{local_rank + 1}; start as many as there are GPUs, or add --device cpu"
            )
        torch.cuda.set_device(local_rank)
    backend = "nccl" if on_gpus else "gloo"
    store, rank, size = next(dist.rendezvous("env://"))
    dist.init_process_group(backend, store=dist.PrefixStore(_attempt(), store), rank=rank, world_size=size)
    try:
        control = dist.new_group(backend="gloo")
        yield World(dist.get_rank(), dist.get_world_size(), local_rank, control)
    finally:
        dist.destroy_process_group()
