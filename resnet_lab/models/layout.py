"""The memory format that a net can be trained in."""

from __future__ import annotations

import torch
from torch import nn

BLOCK = 16  # channels that oneDNN takes at a time with AVX-512; 8 with AVX2


def training_format(model: nn.Module, device: torch.device) -> torch.memory_format:
    """Channels last, or channels first where a backward pass in channels last would corrupt the heap or be wrong.

    On x86 CPUs oneDNN's gradient of a strided 1×1 convolution with fewer input channels than its block writes past its
    workspace (oneDNN issue 6035): the process crashes or hangs, at once or later. Forward passes are sound.
    On MPS gradients in channels last are wrong (pytorch issue 175189).
    """
    if device.type == "mps":
        return torch.contiguous_format
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    projections = [conv for conv in convolutions if conv.kernel_size == (1, 1) and conv.stride != (1, 1)]
    narrow = any(conv.in_channels < BLOCK for conv in projections)
    return torch.contiguous_format if narrow and device.type == "cpu" else torch.channels_last
