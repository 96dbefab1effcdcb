"""One forward pass on the meta device, watched: every layer and every function call becomes a row."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from resnet_lab.inspection.table import receptive_field
from resnet_lab.inspection.table.layer import (
    field_after,
    first_tensor,
    is_opaque,
    macs_of,
    shape_of,
    tensors_of,
    window_of,
)
from resnet_lab.inspection.table.on_meta import META, on_meta, reason, stand_ins, unchanged
from resnet_lab.inspection.table.receptive_field import Field
from resnet_lab.inspection.table.records import LayerRow, Shape, say_shape

ELEMENTWISE = {
    "add", "sub", "mul", "div", "neg", "clamp", "exp", "pow", "cat", "dropout",
    "relu", "relu6", "leaky_relu", "gelu", "silu", "sigmoid", "tanh", "hardtanh", "hardswish", "hardsigmoid",
    "batch_norm", "group_norm", "layer_norm",
}  # fmt: skip
PRODUCTS = {  # functions that multiply and accumulate
    "linear", "bilinear", "matmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "conv1d", "conv2d", "conv3d",
    "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "scaled_dot_product_attention", "multi_head_attention_forward",
}  # fmt: skip
JOINED = {"flatten", "reshape", "view", "squeeze"}  # may put all positions of a map into one vector
VIEWS = JOINED | {
    "permute", "transpose", "contiguous", "unsqueeze", "getitem", "chunk", "split", "unbind", "expand",
    "detach", "to", "float", "half", "type", "get", "T", "mT", "clone",
}  # fmt: skip
CONSTANTS = {  # made like a tensor, but not out of its values
    "new_tensor", "new_empty", "new_zeros", "new_ones", "new_full", "empty_like", "zeros_like", "ones_like",
    "full_like", "rand_like", "randn_like", "randint_like",
}  # fmt: skip
_LOCK = threading.Lock()  # hooks, modes and parameters of a module are swapped for the time of a trace


def trace(model: nn.Module, size: Shape) -> tuple[LayerRow, ...]:
    """The rows of `model` for one image of `size` (C, H, W).

    The model runs once on meta copies of its parameters and buffers: nothing is computed, no weight is
    copied, and its modes, hooks, statistics and attributes are as before, also after an error. Tensors that its
    forward makes, holds or moves elsewhere come to the meta device too.

    Raises:
        ValueError: where its forward fails or nothing is left of the image; it names the layer.
    """
    with _LOCK, torch.inference_mode(False), unchanged(model):
        dtype = next((t.dtype for t in model.parameters() if t.is_floating_point()), torch.float32)
        image, meta = torch.empty(1, *size, dtype=dtype, device="meta"), stand_ins(model)
        recorder = _Recorder(model, image, meta.values())
        for path, layer in recorder.modules.items():
            layer.training = False  # BatchNorm refuses a single value in training mode
            enter, leave = partial(recorder.enter, path), partial(recorder.leave, path)
            layer.register_forward_pre_hook(enter, with_kwargs=True)
            layer.register_forward_hook(leave, with_kwargs=True, always_call=True)
        keeps = torch.autograd.graph.saved_tensors_hooks(recorder.pack, _no_backward)
        try:
            with torch.enable_grad(), keeps, META, _Functions(recorder):
                torch.func.functional_call(model, meta, (image,))
        except Exception as error:  # a net of anyone's: its forward may raise whatever it likes
            raise ValueError(
                f"with an input of {say_shape(size)} the net fails at {recorder.current}: {reason(error)}"
            ) from error
        return recorder.finish()


class _Recorder:
    """Turns calls into rows; parameters count where they are met first, and a storage that autograd keeps once."""

    def __init__(self, model: nn.Module, image: Tensor, state: Iterable[Tensor]) -> None:
        self.rows: list[LayerRow] = []
        self.current = "the net"
        self.modules = dict(model.named_modules())
        self.layers = {path: module for path, module in self.modules.items() if _is_row(module)}
        # By identity and before the forward, which sees meta copies: shared parameters are one object.
        self.params = {id(m): list(m.parameters(recurse=False)) for m in self.layers.values()}
        self.counted: set[int] = set()
        self.called: set[int] = set()
        self.inside: list[str] = []  # the modules that are being called, outermost first
        self.opaque = 0  # how many of them are layers of torch.nn, whose own calls are no rows
        # By id of the tensor; of those that depend on the image, which sees itself.
        self.fields: dict[int, Field] = {id(image): receptive_field.of_input(image.dim() - 2)}
        self.alive: list[Tensor] = []  # so that no id and no storage is used a second time
        self.makers: dict[int, int] = {}  # storage → row that made it
        self.kept = set(map(_storage, [image, *state]))  # storages; these are no activations
        self.kept_values: Counter[int] = Counter()  # floating-point values, by row
        self.kept_bytes: Counter[int] = Counter()  # of other values

    def enter(self, path: str, module: nn.Module, args: Any, kwargs: Any) -> None:
        self.inside.append(path)
        self.opaque += is_opaque(module)
        if path in self.layers:
            shape = say_shape(shape_of((args, kwargs)))
            self.current = f"{path or 'the net'} ({type(module).__name__}, input {shape})"

    def leave(self, path: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        self.inside.pop()
        self.opaque -= is_opaque(module)
        if output is None:  # its forward raised, or gives nothing
            return
        inputs = (args, kwargs)
        shape_in, shape_out = shape_of(inputs), shape_of(output)
        if is_opaque(module):
            field = self._field(inputs)
            self._made(output, field_after(module, field, shape_in, shape_out) if field else ())
        if path in self.layers:
            _refuse_nothing(shape_out)
            self._add(
                path,
                module,
                macs_of(module, inputs, output),
                _place(shape_in, shape_out, self._field(output)),
            )

    @property
    def caller(self) -> str:
        """The path of the innermost module that is being called."""
        return self.inside[-1] if self.inside else ""

    def function(self, name: str, inputs: Any, output: Any, macs: int) -> None:
        """A call that no hook sees. Views and constants compute nothing and are no rows."""
        shape_in, shape_out = shape_of(inputs), shape_of(output)
        known = [self.fields[id(t)] for t in tensors_of(inputs) if id(t) in self.fields]
        field: Field | None = None
        if known and name not in CONSTANTS:
            field = receptive_field.union(known) if name in ELEMENTWISE | JOINED else ()
        if field and name in JOINED and shape_in[1:] != shape_out[1:]:
            field = receptive_field.over_all(field, shape_in[1:]) if len(shape_out) == 1 else ()
        is_row = name not in VIEWS | CONSTANTS
        if is_row:
            _refuse_nothing(shape_out)
        self._made(output, field, is_row)
        if is_row:
            place = _place(shape_in, shape_out, field or ())
            self.rows.append(LayerRow(self.caller, name, macs=macs, is_function=True, **place))

    def finish(self) -> tuple[LayerRow, ...]:
        """The rows; layers with parameters that were not called too, else the total would be too small."""
        for path, module in self.layers.items():
            if self.params[id(module)] and id(module) not in self.called:
                self._add(path, module, 0, _place((), (), ()))
        return tuple(
            replace(row, kept_values=self.kept_values[i], kept_bytes=self.kept_bytes[i])
            for i, row in enumerate(self.rows)
        )

    def pack(self, tensor: Tensor) -> None:
        """Autograd keeps `tensor` for the backward pass: of the row that made it, or of the one in progress."""
        self.alive.append(tensor)
        storage = _storage(tensor)
        if storage in self.kept:
            return
        self.kept.add(storage)
        row, size = self.makers.get(storage, len(self.rows)), tensor.untyped_storage().nbytes()
        if tensor.is_floating_point():
            self.kept_values[row] += size // tensor.element_size()
        else:
            self.kept_bytes[row] += size

    def _field(self, value: Any) -> Field:
        first = first_tensor(value)
        return () if first is None else self.fields.get(id(first), ())

    def _made(self, output: Any, field: Field | None, is_row: bool = True) -> None:
        """What a view, or the row that comes next, gives out; `field` is None where no pixel has a part in it."""
        for tensor in tensors_of(output):
            if field is not None:
                self.fields[id(tensor)] = field
            self.alive.append(tensor)
            if is_row:
                self.makers.setdefault(_storage(tensor), len(self.rows))

    def _add(self, path: str, module: nn.Module, macs: int, place: dict[str, Any]) -> None:
        new = [p for p in self.params[id(module)] if id(p) not in self.counted]
        self.counted |= set(map(id, new))
        self.called.add(id(module))
        row = LayerRow(
            path,
            type(module).__name__,
            params=sum(p.numel() for p in new),
            trainable_params=sum(p.numel() for p in new if p.requires_grad),
            macs=macs,
            weight_bytes=sum(p.nbytes for p in new),
            bias=getattr(module, "bias", None) is not None,
            **place,
            **window_of(module, len(place["output_shape"]) - 1),
        )
        self.rows.append(row)


class _Functions(TorchFunctionMode):
    """Sees the calls that are no modules: the addition of a block, F.relu, x @ w; keeps them on the meta device."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        func, args, kwargs = on_meta(func, args, kwargs or {})
        if self.recorder.opaque or not tensors_of((*args, *kwargs.values())):
            return func(*args, **kwargs)
        name, macs = _name(func), 0
        try:
            if name not in PRODUCTS:
                result = func(*args, **kwargs)
            else:
                from torch.utils.flop_counter import FlopCounterMode  # here, as it brings triton

                with FlopCounterMode(display=False) as counter:
                    result = func(*args, **kwargs)
                macs = counter.get_total_flops() // 2
        except Exception:
            self.recorder.current = f"{name}() in {self.recorder.caller or 'the net'}"
            raise
        if tensors_of(result):
            self.recorder.function(name, (*args, *kwargs.values()), result, macs)
        return result


def _name(func: Any) -> str:
    """Tensor.__iadd__, Tensor.add_ and torch.add → add."""
    name = getattr(func, "__name__", "function").strip("_")
    return name[1:] if name[1:] in ELEMENTWISE and name[0] in "ir" else name


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _is_row(module: nn.Module) -> bool:
    """Leaves, and whatever holds parameters of its own; not the Identity placeholders."""
    leaf = next(module.children(), None) is None
    own = next(module.parameters(recurse=False), None)
    return not isinstance(module, nn.Identity) and (leaf or own is not None)


def _refuse_nothing(shape: Shape) -> None:
    if 0 in shape:
        raise ValueError(f"nothing is left of the image: its output is {say_shape(shape)}")


def _place(shape_in: Shape, shape_out: Shape, field: Field) -> dict[str, Any]:
    return {
        "input_shape": shape_in,
        "output_shape": shape_out,
        "receptive_field": tuple(span.size for span in field),
        "field_stride": tuple(span.jump for span in field),
    }


def _no_backward(_: None) -> Tensor:
    raise RuntimeError("a traced net has no backward pass")
