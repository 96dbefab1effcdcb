"""The operations of a net that kernels.py computes faster than torch does, for training on a CPU.

Norm, addition and ReLU are one operation, and 3×3 convolutions in bfloat16 are our own;
docs/decisions/cpu-kernels.md has the reasons.
"""

from __future__ import annotations

import ctypes
from copy import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from resnet_lab.models import ResNet
from resnet_lab.models.blocks import Block, PreActivationBlock
from resnet_lab.training.kernels import Norm, Shape, kernels

M = TypeVar("M", bound=nn.Module)

WIDTH = 16  # channels that the kernels compute together
KINDS = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
WIDEST = 128  # channels up to which our convolution is quicker than torch's


class _NormFunction(torch.autograd.Function):
    """relu(batch_norm(x) + shortcut); x, shortcut and the result (B, C, H, W), channels last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shortcut: Tensor | None, bn: nn.BatchNorm2d, *weights: Tensor) -> Tensor:
        y = torch.empty_like(x)
        stats = x.new_empty((4, x.shape[1]), dtype=torch.float32)  # mean, 1 / deviation, scale, offset
        arguments = x.data_ptr(), _pointer(shortcut), y.data_ptr(), _norm(x, weights, stats)
        running = bn.running_mean.data_ptr(), bn.running_var.data_ptr()  # type: ignore[union-attr]
        _kernel("forward", x)(*arguments, *running, bn.momentum, bn.eps)
        ctx.save_for_backward(x, None if shortcut is None else y, stats, *weights)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_y: Tensor) -> tuple[Tensor | None, ...]:
        x, y, stats, *weights = ctx.saved_tensors
        g_y = g_y.contiguous(memory_format=torch.channels_last)
        g_x = torch.empty_like(x)
        g_shortcut = None if y is None else torch.empty_like(x)
        g_weight, g_bias = map(torch.empty_like, weights)
        tensors = g_y, x, y, g_x, g_shortcut
        _kernel("backward", x)(
            *map(_pointer, tensors), _norm(x, weights, stats), g_weight.data_ptr(), g_bias.data_ptr()
        )
        return g_x, g_shortcut, None, g_weight, g_bias


def _kernel(way: str, x: Tensor) -> Any:
    return getattr(kernels(), f"{way}_{KINDS[x.dtype]}")


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _norm(x: Tensor, weights: Any, stats: Tensor) -> Any:
    channels = x.shape[1]
    return ctypes.byref(Norm(x.numel() // channels, channels, *(t.data_ptr() for t in (*weights, stats))))


class NormReLU(nn.Module):
    """ReLU after `bn`, with an addition between where a shortcut is given; at once where the kernels can."""

    def __init__(self, bn: nn.Module) -> None:
        super().__init__()
        self.bn = bn

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        bn = self.bn
        if not (isinstance(bn, nn.BatchNorm2d) and _fits(bn, x)):
            y = bn(x)
            return F.relu(y if shortcut is None else y + shortcut)
        bn.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        if shortcut is not None:
            shortcut = shortcut.to(x.dtype).contiguous(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
        return _NormFunction.apply(x, shortcut, bn, bn.weight, bn.bias)


def _fits(bn: nn.BatchNorm2d, x: Tensor) -> bool:
    return (
        bn.training
        and bn.num_features % WIDTH == 0
        and x.numel() > bn.num_features  # of one value there is no variance; torch says so
        and x.dtype in KINDS
        and kernels() is not None
    )


class _ConvolutionFunction(torch.autograd.Function):
    """conv2d(x, weight, padding=1); x and the result (B, C, H, W) in bfloat16, weight (O, C, 3, 3) in any precision."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        weight = weight.to(x.dtype, memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        return _convolve(x, weight, is_gradient=False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_y: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        g_y = g_y.contiguous(memory_format=torch.channels_last)
        g_x = g_weight = None
        if ctx.needs_input_grad[0]:
            g_x = _convolve(g_y, weight, is_gradient=True)
        if ctx.needs_input_grad[1]:
            g_weight = torch.empty_like(weight, dtype=torch.float32)
            tensors = x, g_y, g_weight
            kernels().convolution_weight(*map(_pointer, tensors), _shape(x, g_y))  # type: ignore[union-attr]
        return g_x, g_weight


def _convolve(x: Tensor, weight: Tensor, is_gradient: bool) -> Tensor:
    """As the kernel `convolution`."""
    size = len(x), weight.shape[is_gradient], *x.shape[2:]
    y = torch.empty(size, dtype=x.dtype, memory_format=torch.channels_last)
    kernels().convolution(*map(_pointer, (x, weight, y)), _shape(x, y), is_gradient)  # type: ignore[union-attr]
    return y


def _shape(x: Tensor, y: Tensor) -> Any:
    return ctypes.byref(Shape(len(x), *x.shape[2:], x.shape[1], y.shape[1]))


class Convolution(nn.Module):
    """`conv`, a convolution 3×3, in bfloat16 by the kernels."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    @staticmethod
    def of(module: nn.Module) -> nn.Module:
        """A `Convolution` where the kernels compute what `module` does, and sooner; otherwise `module`."""
        if not isinstance(module, nn.Conv2d) or not hasattr(kernels(), "convolution"):
            return module
        channels = module.in_channels, module.out_channels
        plain = nn.Conv2d(*channels, kernel_size=3, padding=1, bias=False, device="meta")
        fits = repr(module) == repr(plain) and all(c % WIDTH == 0 and c <= WIDEST for c in channels)
        return Convolution(module) if fits else module

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.bfloat16:
            return self.conv(x)
        return _ConvolutionFunction.apply(x.contiguous(memory_format=torch.channels_last), self.conv.weight)


class FusedBlock(Block):
    """A block of the modules of another one, each norm at once with the ReLU after it, `Convolution` where it fits."""

    def __init__(self, block: Block) -> None:
        nn.Module.__init__(self)
        self.depth, self.has_shortcut, self.downsample = block.depth, block.has_shortcut, block.downsample
        for i in range(1, self.depth + 1):
            self.add_module(f"conv{i}", Convolution.of(getattr(block, f"conv{i}")))
            self.add_module(f"bn{i}", NormReLU(getattr(block, f"bn{i}")))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for i in range(1, self.depth + 1):
            shortcut = self.shortcut(x) if i == self.depth and self.has_shortcut else None
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y), shortcut)
        return y


def fuse(model: ResNet) -> ResNet:
    """`model`, made of the same modules, with `NormReLU` and `Convolution` wherever they fit.

    For training on a CPU, channels last. Gradients are those of `model` up to rounding; there is no second derivative.
    """
    twin = _with_fused_pairs(model, ("bn1", "relu"), ("bn_last", "relu_last"))
    for name, stage in model.named_children():
        if name.startswith("layer"):
            setattr(twin, name, nn.Sequential(*map(_fused_block, stage.children())))
    return twin


def _fused_block(block: nn.Module) -> nn.Module:
    if isinstance(block, PreActivationBlock):
        return _with_fused_pairs(block, *((f"bn{i}", f"relu{i}") for i in range(1, block.depth + 1)))
    return FusedBlock(block) if isinstance(block, Block) else block


def _with_fused_pairs(module: M, *pairs: tuple[str, str]) -> M:
    """A shallow copy with `Convolution` where it fits, and one module for norm and ReLU of each pair there is."""
    twin = copy(module)
    twin._modules = dict(module._modules)
    for name, child in module.named_children():
        setattr(twin, name, Convolution.of(child))
    for norm, relu in pairs:
        if isinstance(getattr(module, relu, None), nn.ReLU):
            setattr(twin, norm, NormReLU(getattr(module, norm)))
            setattr(twin, relu, nn.Identity())
    return twin
