"""The shapes of what the lab's own nets compute.

Torch's functions for the meta device say the same of any operation, but load its compiler (torch._dynamo) at their
first use, which takes as long as torch itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from resnet_lab.inspection.table.records import Shape

aten: Any = torch.ops.aten


class OwnShapes(TorchDispatchMode):
    """Answers the operations of `SHAPES` for tensors on the meta device; all others are torch's.

    It stands below autograd, which keeps for the backward pass what it always does. Whether sizes fit is not asked:
    those of a `ModelSpec` do for images of 3 channels.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # torch loads it to be able to
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in SHAPES:
            return func(*args, **(kwargs or {}))
        made = [torch.empty(shape, dtype=args[0].dtype, device="meta") for shape in SHAPES[func](*args)]
        if func is aten.max_pool2d_with_indices.default:
            made[1] = made[1].long()
        return made[0] if len(made) == 1 else tuple(made)


def _convolution(x: Tensor, weight: Tensor, bias: Any, *window: Any) -> list[Shape]:
    return [(len(x), len(weight), *_places(x, weight.shape[2:], *window[:3]))]


def _pool(x: Tensor, kernel: Sequence[int], stride: Any, padding: Any = 0, *_: Any) -> list[Shape]:
    return [(*x.shape[:2], *_places(x, kernel, stride, padding, 1))]


def _places(x: Tensor, *window: Any) -> Shape:
    """Where a window with this kernel, stride, padding and dilation can stand, along each side of the image."""
    sides = [setting if isinstance(setting, Sequence) else (setting,) * 2 for setting in window]
    sides = [tuple(setting) * (2 // len(setting)) for setting in sides]
    return tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(x.shape[2:], *sides, strict=True)
    )


def _mean(x: Tensor, dims: Sequence[int], keepdim: bool = False) -> list[Shape]:
    gone = {dim % x.ndim for dim in dims}
    return [tuple(1 if i in gone else n for i, n in enumerate(x.shape) if keepdim or i not in gone)]


SHAPES: dict[Any, Callable[..., list[Shape]]] = {
    aten.empty_like.default: lambda x: [x.shape],
    aten.relu.default: lambda x: [x.shape],
    aten.add.Tensor: lambda x, _: [x.shape],
    aten.mul.Tensor: lambda x, y: [
        max(x.shape, getattr(y, "shape", ()), key=len)
    ],  # a number, or one of 0 dimensions
    aten.rsub.Scalar: lambda x, _: [x.shape],
    aten.sigmoid.default: lambda x: [x.shape],
    aten.mean.dim: _mean,
    aten.addmm.default: lambda bias, x, weight: [(len(x), weight.shape[1])],
    aten.convolution.default: _convolution,
    aten.avg_pool2d.default: _pool,
    aten.max_pool2d_with_indices.default: lambda *args: _pool(*args) * 2,
    aten.native_batch_norm.default: lambda x, *_: [x.shape, x.shape[1:2], x.shape[1:2]],
    aten.native_group_norm.default: lambda x, w, b, n, c, hw, groups, eps: [x.shape, *[(n, groups)] * 2],
}
