"""Norm, addition and ReLU as one operation for training on a CPU; docs/decisions/fused-norms.md has the reasons."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import threading
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from resnet_lab.data.cache import cache_path
from resnet_lab.data.datasets import data_root
from resnet_lab.models import ResNet
from resnet_lab.models.blocks import Block, PreActivationBlock

M = TypeVar("M", bound=nn.Module)

WIDTH = 16  # channels that the kernels compute together
KINDS = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC")
_compiling = threading.Lock()


class _Norm(ctypes.Structure):
    """`Norm` of fused.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("rows", "channels")),
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "stats")),
    ]


@cache
def prepare() -> tuple[Path, subprocess.Popen[bytes] | None] | None:
    """Begins to compile fused.cpp for this processor, beside whatever comes next, unless that was done before.

    Returns where the library will be, and the compiler at work, if there is one; None where it cannot be compiled.
    """
    compiler = shutil.which("c++") or shutil.which("g++")
    if sys.platform != "linux" or compiler is None:
        return None
    source = Path(__file__).with_suffix(".cpp")
    key = source.read_bytes(), FLAGS, os.path.realpath(compiler), _openmp_of_torch(), _processor()
    target = cache_path(data_root(), "kernels", *key).with_suffix(".so")
    if target.exists():
        return target, None
    command = [compiler, *FLAGS, str(source), "-o", str(_unfinished(target)), *_openmp_of_torch()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return target, subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError:
        return None


def kernels() -> ctypes.CDLL | None:
    """What fused.cpp exports; None where it cannot be compiled. Waits for what `prepare` began, about a second."""
    with _compiling:
        return _library()


@cache
def _library() -> ctypes.CDLL | None:
    prepared = prepare()
    if prepared is None:
        return None
    target, compiler = prepared
    try:
        if compiler is not None:
            if compiler.wait() != 0:
                return None
            os.replace(_unfinished(target), target)
        library = ctypes.CDLL(str(target.resolve()))  # lets other Python threads run meanwhile
    except OSError:
        target.unlink(missing_ok=True)  # damaged; the next process compiles it again
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_double
    for kind in KINDS.values():
        getattr(library, f"forward_{kind}").argtypes = [pointer] * 6 + [number] * 2
        getattr(library, f"backward_{kind}").argtypes = [pointer] * 8
    return library


def _unfinished(target: Path) -> Path:
    return target.with_suffix(f".{os.getpid()}.tmp")


def _openmp_of_torch() -> list[str]:
    """The library whose threads torch uses: a second set of threads would be in the way of the first."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    names = "libgomp", "libiomp", "libomp"
    found = {line.split()[-1] for line in lines if line.split("/")[-1].startswith(names)}
    return sorted(found, key=lambda path: ("torch" not in path, path))[:1]  # scikit-learn brings one too


def _processor() -> list[str]:
    """Name and instructions, for a folder that machines share."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return sorted(
        {line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))}
    )


class _Function(torch.autograd.Function):
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
    return ctypes.byref(_Norm(x.numel() // channels, channels, *(t.data_ptr() for t in (*weights, stats))))


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
        return _Function.apply(x, shortcut, bn, bn.weight, bn.bias)


def _fits(bn: nn.BatchNorm2d, x: Tensor) -> bool:
    return (
        bn.training
        and bn.num_features % WIDTH == 0
        and x.numel() > bn.num_features  # of one value there is no variance; torch says so
        and x.dtype in KINDS
        and kernels() is not None
    )


class FusedBlock(Block):
    """A block of the modules of another one, each norm at once with the ReLU after it."""

    def __init__(self, block: Block) -> None:
        nn.Module.__init__(self)
        self.depth, self.has_shortcut, self.downsample = block.depth, block.has_shortcut, block.downsample
        for i in range(1, self.depth + 1):
            self.add_module(f"conv{i}", getattr(block, f"conv{i}"))
            self.add_module(f"bn{i}", NormReLU(getattr(block, f"bn{i}")))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for i in range(1, self.depth + 1):
            shortcut = self.shortcut(x) if i == self.depth and self.has_shortcut else None
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y), shortcut)
        return y


def fuse(model: ResNet) -> ResNet:
    """`model`, made of the same modules, with `NormReLU` wherever a norm comes before a ReLU.

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
    """A shallow copy in which norm and ReLU of each pair, where there is one, are one module."""
    twin = copy(module)
    twin._modules = dict(module._modules)
    for norm, relu in pairs:
        if isinstance(getattr(module, relu, None), nn.ReLU):
            setattr(twin, norm, NormReLU(getattr(module, norm)))
            setattr(twin, relu, nn.Identity())
    return twin
