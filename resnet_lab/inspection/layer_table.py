"""The layers of a net in execution order, with shapes, parameters and MACs: records, no formatting."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from resnet_lab.models import ModelSpec, ResNet, get_spec
from resnet_lab.models.blocks import PadShortcut

MAX_SIDE = 1024  # pixels

Shape = tuple[int, ...]


@dataclass(frozen=True)
class LayerRow:
    """One call of one layer. Shapes are without the batch; a layer that is never called has none.

    `params` and `weight_bytes` are 0 where the parameters were counted in an earlier row.
    """

    path: str
    type: str
    input_shape: Shape
    output_shape: Shape
    params: int
    macs: int
    weight_bytes: int
    kernel: Shape = ()
    stride: Shape = ()
    padding: Shape | str = ()
    dilation: Shape = ()
    groups: int | None = None

    @property
    def stage(self) -> int | None:
        """Stage, from 1; None in the stem and the head."""
        return self._place[0]

    @property
    def block(self) -> int | None:
        """Block of the stage, from 0; None in the stem and the head."""
        return self._place[1]

    @property
    def is_shortcut(self) -> bool:
        """Whether the layer stands on the shortcut and not on the way through the block."""
        return "downsample" in self.path.split(".")

    @property
    def _place(self) -> tuple[int | None, int | None]:
        match = re.match(r"layer(\d+)\.(\d+)(\.|$)", self.path)
        return (int(match[1]), int(match[2])) if match else (None, None)


@dataclass(frozen=True)
class LayerTable:
    """The rows of a net; every total is a sum over them."""

    name: str
    input_size: Shape  # (C, H, W)
    rows: tuple[LayerRow, ...]

    @property
    def total_params(self) -> int:
        return sum(row.params for row in self.rows)

    @property
    def total_macs(self) -> int:
        """Multiply-accumulates of one picture, in convolutions and linear layers; FLOPs are twice that."""
        return sum(row.macs for row in self.rows)

    @property
    def weight_bytes(self) -> int:
        """Memory of the parameters alone: no buffers, activations or gradients."""
        return sum(row.weight_bytes for row in self.rows)

    @property
    def weight_layers(self) -> int:
        """Convolutions and linear layers, projections included."""
        return sum(row.macs > 0 for row in self.rows)

    @property
    def named_layers(self) -> int:
        """As the papers count (the 50 of ResNet-50): without the projections on shortcuts."""
        return sum(row.macs > 0 and not row.is_shortcut for row in self.rows)


def layer_table(model: str | ModelSpec | nn.Module, input_size: Shape = (3, 224, 224)) -> LayerTable:
    """The layers of `model` in execution order, for one picture of `input_size` (C, H, W).

    Nothing is computed: names and specs are built on the meta device, and a module runs once on meta copies
    of its parameters and buffers. Its modes, hooks and statistics are as before, also after an error.
    MACs count convolutions and linear layers, as ../shared/REFERENCE.md and torchvision's metadata do.

    Raises:
        ValueError: for an unknown variant, a side outside 1 to 1,024 pixels, or a forward that fails; it
            names the layer and the sizes.
    """
    size = tuple(input_size)
    _check_size(size)
    if isinstance(model, nn.Module):
        spec = getattr(model, "spec", None)
        name = spec.name if isinstance(spec, ModelSpec) else type(model).__name__
        return LayerTable(name, size, _trace(model, size))
    return _table_of_spec(get_spec(model), size)


@lru_cache(maxsize=64)
def _table_of_spec(spec: ModelSpec, size: Shape) -> LayerTable:
    with torch.device("meta"):
        model = ResNet(spec)
    return LayerTable(spec.name, size, _trace(model, size))


def _check_size(size: Shape) -> None:
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in size)
    if len(size) != 3 or not whole or size[0] < 1:
        raise ValueError(f"input size is {size!r}; it is three whole numbers: channels, height, width")
    if not all(1 <= side <= MAX_SIDE for side in size[1:]):
        raise ValueError(
            f"input size is {size[1]:,} × {size[2]:,}; a side may be from 1 to {MAX_SIDE:,} pixels"
        )


class _Recorder:
    """Turns the calls of layers into rows; parameters count where they are met first."""

    def __init__(self, model: nn.Module) -> None:
        self.rows: list[LayerRow] = []
        self.current = "the net"
        self.layers = {path: module for path, module in model.named_modules() if _is_row(module)}
        # By identity and before the forward, which sees meta copies: shared parameters are one object.
        self.params = {id(m): list(m.parameters(recurse=False)) for m in self.layers.values()}
        self.counted: set[int] = set()
        self.called: set[int] = set()

    def enter(self, path: str, module: nn.Module, inputs: Any) -> None:
        self.current = f"{path or 'the net'} ({type(module).__name__}, input {say_shape(_shape(inputs))})"

    def leave(self, path: str, module: nn.Module, inputs: Any, output: Any) -> None:
        shape_in, shape_out = _shape(inputs), _shape(output)
        if 0 in shape_out:
            raise ValueError(f"nothing is left of the picture: its output is {say_shape(shape_out)}")
        self.add(path, module, shape_in, shape_out)

    def add(self, path: str, module: nn.Module, shape_in: Shape, shape_out: Shape) -> None:
        new = {id(p): p for p in self.params[id(module)] if id(p) not in self.counted}
        self.counted |= new.keys()
        self.called.add(id(module))
        row = LayerRow(
            path=path,
            type=type(module).__name__,
            input_shape=shape_in,
            output_shape=shape_out,
            params=sum(p.numel() for p in new.values()),
            macs=_macs(module, shape_in, shape_out),
            weight_bytes=sum(p.numel() * p.element_size() for p in new.values()),
            **_window(module, len(shape_out) - 1),
        )
        self.rows.append(row)

    def add_uncalled(self) -> None:
        """Layers that hold parameters but were not called: without them the total would be too small."""
        for path, module in self.layers.items():
            if self.params[id(module)] and id(module) not in self.called:
                self.add(path, module, (), ())


def _is_row(module: nn.Module) -> bool:
    """Leaves, and whatever holds parameters of its own; not the Identity placeholders."""
    if isinstance(module, nn.Identity):
        return False
    leaf = next(module.children(), None) is None
    return leaf or any(True for _ in module.parameters(recurse=False))


def _trace(model: nn.Module, size: Shape) -> tuple[LayerRow, ...]:
    recorder = _Recorder(model)
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    dtype = next((t.dtype for t in model.parameters() if t.is_floating_point()), torch.float32)
    picture = torch.empty(1, *size, dtype=dtype, device="meta")
    try:
        with _watched(model, recorder), torch.no_grad():
            meta = {name: torch.empty_like(t, device="meta") for name, t in state.items()}
            torch.func.functional_call(model, meta, (picture,))
    except Exception as error:  # a net of anyone's: its forward may raise whatever it likes
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ValueError(
            f"with an input of {say_shape(size)} the net fails at {recorder.current}: {reason}"
        ) from error
    recorder.add_uncalled()
    return tuple(recorder.rows)


@contextmanager
def _watched(model: nn.Module, recorder: _Recorder) -> Iterator[None]:
    """Eval mode (BN refuses a single value in training mode) and hooks, both put back at the end."""
    modes = {module: module.training for module in model.modules()}
    handles = []
    try:
        for module in modes:
            module.training = False
        for path, layer in recorder.layers.items():
            handles.append(layer.register_forward_pre_hook(partial(recorder.enter, path)))
            handles.append(layer.register_forward_hook(partial(recorder.leave, path)))
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode


def _shape(value: Any) -> Shape:
    """The shape of the first tensor in `value`, less the batch; () where there is none."""
    if isinstance(value, Tensor):
        return tuple(value.shape[1:])
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return next((_shape(item) for item in value if isinstance(item, Tensor | tuple | list | dict)), ())
    return ()


def say_shape(shape: Shape) -> str:
    """(64, 56, 56) → 64 × 56 × 56."""
    return " × ".join(f"{n:,}" for n in shape) or "–"


def _macs(module: nn.Module, shape_in: Shape, shape_out: Shape) -> int:
    """Multiply-accumulates of one call; a bias is an addition and does not count."""
    if not shape_out:
        return 0
    if isinstance(module, nn.Linear):
        return math.prod(shape_out) * module.in_features
    if isinstance(module, _ConvNd):
        taps = math.prod(module.kernel_size)
        if module.transposed:  # each input value is spread over the kernel
            return math.prod(shape_in) * taps * module.out_channels // module.groups
        return math.prod(shape_out) * taps * module.in_channels // module.groups
    return 0


def _window(module: nn.Module, sides: int) -> dict[str, Any]:
    """Kernel, stride, padding, dilation and groups, for layers that have them; `sides` is 2 for pictures."""
    if isinstance(module, PadShortcut):
        return {"stride": (module.stride,) * sides}
    kernel = getattr(module, "kernel_size", None)
    if kernel is None:
        return {}
    window = {
        "kernel": _per_side(kernel, sides),
        "stride": _per_side(
            getattr(module, "stride", None) or kernel, sides
        ),  # None: as in torch, the kernel
        "padding": _per_side(getattr(module, "padding", 0), sides),
        "dilation": _per_side(getattr(module, "dilation", 1), sides),
    }
    return {**window, "groups": module.groups} if isinstance(module, _ConvNd) else window


def _per_side(value: Any, sides: int) -> Any:
    """3 → (3, 3), as torch means it; tuples and padding="same" pass through."""
    return value if isinstance(value, str) else (value,) * sides if isinstance(value, int) else tuple(value)
