"""The memory format that a net can be trained in."""

from __future__ import annotations

import torch
from torch import nn

BLOCK = 16  # channels that oneDNN takes at a time with AVX-512; 8 with AVX2


def training_format(model: nn.Module, device: torch.device) -> torch.memory_format:
    """Channels last, or channels first where a backward pass in channels last would corrupt the heap.

    On x86 CPUs oneDNN's gradient of a strided 1×1 convolution with fewer input channels than its block writes past its
    workspace (oneDNN issue 6035): the process crashes or hangs, at once or later. Forward passes are sound.
    """
    if device.type == "cpu" and any(_is_narrow_projection(module) for module in model.modules()):
        return torch.contiguous_format
    return torch.channels_last


def _is_narrow_projection(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.stride != (1, 1)
        and module.in_channels < BLOCK
    )
