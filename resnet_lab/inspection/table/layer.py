"""What can be said of one layer from its settings and shapes: window, MACs, receptive field."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from resnet_lab.inspection.table import receptive_field
from resnet_lab.inspection.table.receptive_field import Field
from resnet_lab.inspection.table.records import Shape
from resnet_lab.models.blocks import PadShortcut
from resnet_lab.models.joins import WeightedSum

# Modules of torch.nn whose every output value depends on the value at the same place.
POINTWISE = {"torch.nn.modules.activation", "torch.nn.modules.batchnorm", "torch.nn.modules.dropout",
             "torch.nn.modules.instancenorm", "torch.nn.modules.normalization"}  # fmt: skip
GLOBAL = (nn.Softmax, nn.Softmax2d, nn.LogSoftmax, nn.Softmin)
POOLS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
WINDOWS = (_ConvNd, PadShortcut, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d,
           nn.AvgPool3d, nn.LPPool1d, nn.LPPool2d)  # fmt: skip


def is_opaque(module: nn.Module) -> bool:
    """A single layer of torch or of the lab: the functions that it calls are no rows of their own."""
    of_lab = isinstance(module, PadShortcut | WeightedSum)
    known = of_lab or type(module).__module__.startswith("torch.nn.modules.")
    return known and next(module.children(), None) is None


def macs_of(module: nn.Module, inputs: Any, output: Any) -> int:
    """Multiply-accumulates of one call, from the values that go in and come out; a bias does not count.

    0 for a layer that is not opaque: the functions that it calls are rows, and count.
    """
    if not is_opaque(module) or not isinstance(module, nn.Linear | _ConvNd):
        return 0
    values_in, values_out = (0 if t is None else t.numel() for t in map(first_tensor, (inputs, output)))
    if isinstance(module, nn.Linear):
        return values_out * module.in_features
    # Each input value of a transposed convolution is spread over the kernel.
    values = values_in * module.out_channels if module.transposed else values_out * module.in_channels
    return values * math.prod(module.kernel_size) // module.groups


def window_of(module: nn.Module, sides: int) -> dict[str, Any]:
    """Kernel, stride, padding, dilation and groups, for layers that have them; `sides` is 2 for images."""
    if isinstance(module, PadShortcut):
        return {"stride": (module.stride,) * sides}
    if (kernel := getattr(module, "kernel_size", None)) is None:
        return {}
    stride = getattr(module, "stride", None) or kernel  # None: as in torch, the kernel
    settings = {"kernel": kernel, "stride": stride}
    settings |= {"padding": getattr(module, "padding", 0), "dilation": getattr(module, "dilation", 1)}
    window = {name: _per_side(value, sides) for name, value in settings.items()}
    return {**window, "groups": module.groups} if isinstance(module, _ConvNd) else window


def field_after(module: nn.Module, field: Field, shape_in: Shape, shape_out: Shape) -> Field:
    """The receptive field of an opaque layer's output; () where the lab does not know it."""
    sides = shape_in[1:]
    if isinstance(module, nn.Identity | WeightedSum) or (  # F(x), whose field holds that of x
        type(module).__module__ in POINTWISE and not isinstance(module, GLOBAL)
    ):
        return field
    if isinstance(module, nn.Linear):
        return field if not sides else ()
    if isinstance(module, nn.Flatten):
        return receptive_field.over_all(field, sides) if len(shape_out) == 1 else ()
    if isinstance(module, POOLS):
        return receptive_field.over_all(field, sides) if set(shape_out[1:]) == {1} else ()
    if not isinstance(module, WINDOWS) or getattr(module, "transposed", False) or len(field) != len(sides):
        return ()
    one = (1,) * len(sides)
    window = {"kernel": one, "padding": (0,) * len(sides), "dilation": one} | window_of(module, len(sides))
    window.pop("groups", None)
    return receptive_field.through_window(field, **window)


def tensors_of(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return [tensor for item in value for tensor in tensors_of(item)]
    return []


def first_tensor(value: Any) -> Tensor | None:
    return next(iter(tensors_of(value)), None)


def shape_of(value: Any) -> Shape:
    """The shape of the first tensor in `value`, less the batch; () where there is none."""
    return () if (first := first_tensor(value)) is None else tuple(first.shape[1:])


def _per_side(value: Any, sides: int) -> Any:
    """3 → (3, 3), as torch means it; tuples and padding="same" pass through."""
    return value if isinstance(value, str) else (value,) * sides if isinstance(value, int) else tuple(value)
