"""How a step is computed: precision, memory format, compiled or not, launched one by one or as a graph."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ExecutionMode:
    """Weights stay float32 in each of them."""

    precision: str = "float32"
    channels_last: bool = False
    compile: bool = False
    graph: bool = False  # on CUDA: captured once, and replayed

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def __str__(self) -> str:
        layout = "channels last" if self.channels_last else "channels first"
        more = [", compiled"] * self.compile + [", as a CUDA graph"] * self.graph
        return f"{self.precision}, {layout}{''.join(more)}"


def lay_out_as_weights(optimizer: torch.optim.Optimizer) -> None:
    """Brings momentum into the memory format of its weights; to be called whenever either may have changed.

    The fused kernels walk through the memory of weight, gradient and momentum side by side and look at no strides:
    with weights in NCHW and momentum in channels last, entry i of one would meet another entry of the other, without
    an error. A checkpoint keeps the strides that its tensors had, `load_state_dict` keeps those of the checkpoint.
    """
    for weight, state in optimizer.state.items():
        for name, value in state.items():
            if (
                isinstance(value, Tensor)
                and value.shape == weight.shape
                and value.stride() != weight.stride()
            ):
                state[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)
