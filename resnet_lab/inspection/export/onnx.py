"""A net as an ONNX file, for Netron and ONNX Runtime.

torch.onnx.export folds the norm layers away or buries them among helper nodes, and its newer form patches
nn.Module for all threads, which breaks a run that trains. So the graph is written here, a node for a layer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_lab.inspection.export.safetensors import weights_of
from resnet_lab.inspection.table.layer_table import layer_table
from resnet_lab.models import ResNet
from resnet_lab.models.blocks import PadShortcut
from resnet_lab.models.joins import WeightedSum

OPSET, IR_VERSION = 21, 10  # the first with PyTorch's kind of GroupNormalization; ONNX Runtime since 1.18
MAX_BYTES = 2**31 - 2**25  # protobuf's 2 GB, less room for the nodes
OPERATORS: dict[type, Callable[[Any], tuple[str, str, dict[str, Any]]]] = {  # → operator, tensors, attributes
    nn.Conv2d: lambda m: ("Conv", "weight bias", {"kernel_shape": m.kernel_size, "strides": m.stride,
                          "pads": m.padding * 2, "dilations": m.dilation, "group": m.groups}),
    nn.BatchNorm2d: lambda m: ("BatchNormalization", "weight bias running_mean running_var", {"epsilon": m.eps}),
    nn.GroupNorm: lambda m: ("GroupNormalization", "weight bias", {"epsilon": m.eps, "num_groups": m.num_groups}),
    nn.ReLU: lambda m: ("Relu", "", {}),
    nn.Sigmoid: lambda m: ("Sigmoid", "", {}),
    nn.MaxPool2d: lambda m: ("MaxPool", "", {"kernel_shape": [m.kernel_size] * 2, "strides": [m.stride] * 2,
                             "pads": [m.padding] * 4}),
    nn.AdaptiveAvgPool2d: lambda m: ("GlobalAveragePool", "", {}),
    nn.Linear: lambda m: ("Gemm", "weight bias", {"transB": 1}),
}  # fmt: skip


def to_onnx(
    model: nn.Module, input_size: tuple[int, int, int], metadata: dict[str, str] | None = None
) -> bytes:
    """An ONNX file of `model` in eval mode: "images" (batch, C, H, W) → "logits" (batch, classes), float32.

    A node is called after its module, with the path of the layer table: "layer1.0.conv1/Conv"; the addition
    of a block is "layer1.0/Add", or "layer1.0.join/Add" behind the products of a weighted sum.
    Only the weights of `model` are read: what runs is a twin without any.
    `metadata` become the file's metadata_props. It has passed onnx.checker.

    Raises:
        ValueError: the package onnx is missing; this is no net of this lab, or its layers were replaced; it
            has no weights (meta device) or more than 2 GB; it takes no input of this size.
    """
    try:
        import onnx
    except ImportError:
        raise ValueError("The ONNX export needs the package onnx; install it: pip install onnx") from None
    twin, weights = _twin(model, input_size), weights_of(model)
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    graph = _Graph(twin, input_size, helper.make_node)
    images, *between, logits = (
        helper.make_tensor_value_info(v.name, float32, ["batch", *v.meta.shape[1:]]) for v in graph.values
    )
    graph.nodes[-1].output[0] = logits.name = "logits"
    body = helper.make_graph(graph.nodes, twin.spec.name, [images], [logits], [], value_info=between)
    file = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    helper.set_model_props(file, metadata or {})
    used = {name: t.cpu().float().contiguous() for name, t in weights.items() if t.is_floating_point()}
    tensors = (onnx.numpy_helper.from_array(t.numpy(), name) for name, t in (used | graph.constants).items())
    file.graph.initializer.extend(tensors)  # last and one by one, as make_graph and make_model copy theirs
    content = file.SerializeToString()
    onnx.checker.check_model(content)
    return content


def _twin(model: nn.Module, input_size: tuple[int, int, int]) -> ResNet:
    """The same net in eval mode on the meta device, once it is sure that it can be exported."""
    with torch.device("meta"):
        twin = ResNet(model.spec) if isinstance(model, ResNet) else None
    unmoved = re.sub(
        r"\n *\(join\): WeightedSum\(α=1, β=1\)", "", repr(model)
    )  # which add as if they were not there
    if twin is None or repr(twin) != unmoved:
        raise ValueError(
            f"Only nets with the layers of their spec become ONNX; this {type(model).__name__} is none."
        )
    if (size := sum(tensor.nbytes for tensor in twin.state_dict().values())) > MAX_BYTES:
        raise ValueError(f"The net has {size / 1e9:.1f} GB of weights; an ONNX file holds at most 2 GB.")
    layer_table(twin.spec, input_size)  # raises where the input does not fit
    return twin.eval()


@dataclass(frozen=True)
class _Value:
    """Flows through a net in place of a tensor, and notes what happens to it outside of layers."""

    graph: _Graph
    name: str
    meta: Tensor  # for its shape

    def __add__(self, other: Any) -> _Value:
        block = self.graph.join or self.name.rpartition(".")[0]  # F(x) comes from a layer of the block
        return self.graph.node(block, "Add", [self.name, other.name], self.meta + other.meta)

    def __mul__(self, other: _Value) -> _Value:
        return self.graph.node(self.graph.join, "Mul", [self.name, other.name], self.meta * other.meta)

    def __rmul__(self, scale: float | Tensor) -> _Value:
        return self.graph.node(self.graph.join, "Mul", [self.graph.scalar(scale), self.name], self.meta)

    def __rsub__(self, number: float) -> _Value:
        return self.graph.node(self.graph.join, "Sub", [self.graph.scalar(number), self.name], self.meta)

    def flatten(self, start: int) -> _Value:
        return self.graph.node("", "Flatten", [self.name], self.meta.flatten(start), axis=start)


class _Graph:
    """The nodes of an ONNX graph, their values, and the tensors that they need, noted while a net runs."""

    def __init__(self, net: nn.Module, size: tuple[int, int, int], make_node: Callable[..., Any]) -> None:
        self.make_node = make_node
        self.nodes: list[Any] = []
        self.constants: dict[str, Tensor] = {}
        self.join = ""  # the path of the join that runs
        for path, module in net.named_modules():
            if isinstance(module, WeightedSum):
                module.forward = partial(self.joined, path, module.forward)  # type: ignore[method-assign]
            elif next(module.children(), None) is None:  # a layer: it notes itself instead of computing
                module.forward = partial(self.layer, path, module, module.forward)
        self.values = [_Value(self, "images", torch.empty(1, *size, device="meta"))]
        net(self.values[0])

    def layer(self, path: str, module: nn.Module, forward: Callable[[Tensor], Tensor], x: _Value) -> _Value:
        if isinstance(module, nn.Identity):
            return x
        if isinstance(module, PadShortcut):
            return self.pad_shortcut(path, module, x)
        kind, names, attributes = OPERATORS[type(module)](module)
        own = [f"{path}.{name}" for name in names.split() if getattr(module, name) is not None]
        return self.node(path, kind, [x.name, *own], forward(x.meta), **attributes)

    def joined(self, path: str, forward: Callable[..., Any], *inputs: _Value) -> Any:
        self.join = path
        result = forward(*inputs)
        self.join = ""
        return result

    def scalar(self, value: float | Tensor) -> str:
        """The name of a number, or of the β that the running join has learned."""
        if isinstance(value, Tensor):
            return f"{self.join}.residual_scale"
        self.constants[f"{value:g}"] = torch.tensor(float(value))
        return f"{value:g}"

    def pad_shortcut(self, path: str, module: PadShortcut, x: _Value) -> _Value:
        step, (before, after) = module.stride, module.pad[-2:]
        integers = {"starts": [0, 0], "ends": [2**63 - 1] * 2, "axes": [2, 3], "steps": [step] * 2,
                    "pads": [0, before, 0, 0, 0, after, 0, 0]}  # fmt: skip
        self.constants |= {f"{path}.{name}": torch.tensor(values) for name, values in integers.items()}
        *window, pads = (f"{path}.{name}" for name in integers)
        kept = self.node(path, "Slice", [x.name, *window], x.meta[:, :, ::step, ::step])
        return self.node(path, "Pad", [kept.name, pads], F.pad(kept.meta, module.pad))

    def node(self, path: str, kind: str, inputs: list[str], meta: Tensor, **attributes: Any) -> _Value:
        name = f"{path}/{kind}".lstrip("/")
        if any(value.name == name for value in self.values[-3:]):  # the second product of a join
            name += "_2"
        self.nodes.append(self.make_node(kind, inputs, [name], name, **attributes))
        self.values.append(_Value(self, name, meta))
        return self.values[-1]
