"""A net as one Python file that needs torch alone: the lab's own blocks, and the net written out in numbers."""

from __future__ import annotations

import ast
import inspect
import re
from itertools import compress, groupby, takewhile

from resnet_lab.inspection.export.source_feed import LONGEST, feed, fill
from resnet_lab.inspection.table.layer_table import layer_table
from resnet_lab.inspection.table.records import LayerRow, LayerTable
from resnet_lab.models import ModelSpec, blocks, joins
from resnet_lab.models.classifier import Classifier
from resnet_lab.models.resnet import block_class
from resnet_lab.models.spec import BlockShape

KERNELS = ((3, 3), (1, 3, 1))  # those that a block has unless told otherwise
JOINS = {
    "sum": "WeightedSum",
    "exclusive_gate": "ExclusiveGate",
    "shortcut_gate": "ShortcutGate",
    "dropout": "ShortcutDropout",
    "stochastic_depth": "StochasticDepth",
}
NORMS = {"batch": "nn.BatchNorm2d", "group": "group_norm", "none": "nn.Identity"}
PAPERS = """
He et al. 2015, "Deep Residual Learning for Image Recognition", arXiv:1512.03385
He et al. 2016, "Identity Mappings in Deep Residual Networks", arXiv:1603.05027
Zagoruyko and Komodakis 2016, "Wide Residual Networks", arXiv:1605.07146
Huang et al. 2016, "Deep Networks with Stochastic Depth", arXiv:1603.09382
Bachlechner et al. 2021, "ReZero is All You Need: Fast Convergence at Large Depth", arXiv:2003.04887
Xie et al. 2016, "Aggregated Residual Transformations for Deep Neural Networks", arXiv:1611.05431
""".strip().splitlines()
OUTER_COMMA = re.compile(r", (?![^()]*\))")  # between arguments, not within a call
HEADER = '''
"""{name}: a {kind} net of {table.named_layers:,} layers.

{table.total_params:,} parameters; {table.total_macs:,} multiply-accumulates (MACs) for one image of {image}.

{papers}

Modules are named as in torchvision and in ResNet Lab, so that state dicts pass both ways.
"""

{standard}

import torch
{functional}
from torch import Tensor, nn

NormLayer = Callable[[int], nn.Module]
'''
NET = '''
class {net}(nn.Module):
    """Stem, stages and head. The shapes are for B images of {image}; other sizes work too."""

    def __init__(self) -> None:
        super().__init__()
        {layers}
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear({channels}, {spec.num_classes})
        initialize(self)
        {zeros}

    def forward(self, x: Tensor) -> Tensor:
        {forward}
        x = self.avgpool(x).flatten(1)  # (B, {channels})
        return self.fc(x)  # (B, {spec.num_classes})


if __name__ == "__main__":
    model = {net}().eval()
    print(f"{{sum(p.numel() for p in model.parameters()):,}} parameters")
    image = torch.randn(1, {table.input_size[0]}, {table.input_size[1]}, {table.input_size[2]})
    print("logits:", tuple(model(image).shape))  # (1, {spec.num_classes})
'''

ZEROS = """
for module in self.modules():
    if isinstance(module, {block}):
        nn.init.zeros_(module.bn{last}.weight)  # Goyal et al. 2017
""".strip()


def standalone_source(
    spec: ModelSpec, input_size: tuple[int, int, int], net: Classifier | None = None
) -> str:
    """A Python file with exactly the net of `spec`; its shape comments are those of `input_size` (C, H, W).

    The net's class is `ResNet`, or `PlainNet` where there is no shortcut, and takes no arguments. Its state
    dict has the keys and shapes of `resnet_lab.models.ResNet(spec)`; the same weights give the same logits. With `net`
    the file also says how its weights are to be fed and what the outputs mean, which `source_feed.read_source` reads.

    Raises:
        ValueError: for an input size that the net cannot take.
    """
    table = layer_table(spec, input_size)
    names = _names(spec)
    header = _header(spec, table, "PadShortcut" in names or bool(net and net.transform.scales))
    header += f"\n\n{feed(net)}" if net else ""
    own = _own_code()
    return "\n\n\n".join([header, *(own[name] for name in names), _net(spec, table)]) + "\n"


def _own_code() -> dict[str, str]:
    """The classes and functions of models/blocks.py and models/joins.py by name, as they stand there."""
    found: dict[str, str] = {}
    for module in (blocks, joins):  # by name, as the lines of a file that is edited meanwhile are others
        text = inspect.getsource(module)
        nodes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
        found |= {node.name: ast.get_source_segment(text, node) or "" for node in nodes}
    return found


def _names(spec: ModelSpec) -> list[str]:
    """What of models/blocks.py and models/joins.py the net is made of."""
    block = block_class(spec).__name__
    shortcuts = {shape.shortcut for shape in spec.block_shapes()}
    join = JOINS[spec.join] if any(_join(spec, shape) for shape in spec.block_shapes()) else ""
    wanted = {
        "group_norm": spec.norm == "group",
        "deep_stem": spec.stem == "deep",
        block.removeprefix("PreAct"): True,
        block: True,
        "projection": "projection" in shortcuts,
        "PadShortcut": "pad" in shortcuts,
        "times": bool(join),
        "WeightedSum": bool(join),
        "ShortcutGate": "Gate" in join,
        "RandomSum": join in ("ShortcutDropout", "StochasticDepth"),
        join: bool(join),
        "initialize": True,
    }
    return list(compress(wanted, wanted.values()))


def _header(spec: ModelSpec, table: LayerTable, functional: bool) -> str:
    printable = "".join(c if c.isprintable() else " " for c in spec.name)
    name = " ".join(printable.replace('"', "'").replace("\\", "/").split())
    wide = spec.width_per_group > 64 or spec.block not in KERNELS
    is_random = spec.join == "stochastic_depth"
    weighed = any(shape.shortcut_scale != 1 for shape in spec.block_shapes())
    by_2016 = spec.preactivation or weighed or spec.join not in ("sum", "stochastic_depth")
    imports = {
        "import math": spec.norm == "group",
        "from collections.abc import Callable": True,
        "from functools import partial": any(_settings(spec)),
        "from typing import Any": spec.preactivation or spec.join != "sum",
    }
    return fill(
        HEADER,
        name=name[:35].strip() or "unnamed",  # so that the line is short enough in any script
        kind=("pre-activation " if spec.preactivation else "") + ("plain" if spec.is_plain else "residual"),
        table=table,
        image=_image(table),
        papers="\n".join(
            compress(PAPERS, (True, by_2016, wide, is_random, spec.learned_scale, spec.groups > 1))
        ),
        standard="\n".join(compress(imports, imports.values())),
        functional="import torch.nn.functional as F" * functional,
    )


def _image(table: LayerTable) -> str:
    return " × ".join(map(str, table.input_size))


def _net(spec: ModelSpec, table: LayerTable) -> str:
    name, shapes = block_class(spec).__name__, spec.block_shapes()
    block, project = _settings(spec)
    layers, forward = _stem(spec, table)
    layers += [f"block = partial({name}, {block})"] if block else []
    layers += [f"project = partial(projection, {project})"] if project else []
    makers = ("block" if block else name, "project" if project else "projection")
    comments = {row.stage: _comment(row) for row in table.rows}  # of a stage's last row
    for stage, of_stage in groupby(shapes, lambda shape: shape.stage):
        calls = [_call(spec, shape, *makers) for shape in of_stage]
        layers += _sequential(f"self.layer{stage} = nn.Sequential(", calls)
        forward.append(f"x = self.layer{stage}(x)  {comments[stage]}")
    if spec.preactivation:
        layers += [f"self.bn_last = {NORMS[spec.norm]}({shapes[-1].outputs})", "self.relu_last = nn.ReLU()"]
        forward.append("x = self.relu_last(self.bn_last(x))")
    zero_init = spec.zero_init_residual and spec.norm != "none"
    return fill(
        NET,
        net="PlainNet" if spec.is_plain else "ResNet",
        spec=spec,
        table=table,
        image=_image(table),
        channels=shapes[-1].outputs,
        layers="\n".join(layers),
        forward="\n".join(forward),
        zeros=ZEROS.format(block=name, last=len(spec.block)) if zero_init else "",
    )


def _settings(spec: ModelSpec) -> tuple[str, str]:
    """What all blocks, and all projections, are told besides their sizes."""
    norm_and_bias = _norm_and_bias(spec)
    block = [f"groups={spec.groups}"] * (spec.groups > 1)
    block += [f"kernels={spec.block}"] * (spec.block not in KERNELS)
    block += [*norm_and_bias, *["plain=True"] * spec.is_plain]
    project = ["norm=None", *["bias=True"] * spec.conv_bias] if spec.preactivation else norm_and_bias
    projects = any(shape.shortcut == "projection" for shape in spec.block_shapes())
    return ", ".join(block), ", ".join(project) if projects else ""


def _norm_and_bias(spec: ModelSpec) -> list[str]:
    norm = [f"norm={NORMS[spec.norm]}"] * (spec.norm != "batch")
    return norm + ["bias=True"] * spec.conv_bias


def _call(spec: ModelSpec, shape: BlockShape, block: str, project: str) -> str:
    stride = f", stride={shape.stride}" * (shape.stride > 1)
    dilation = f", dilation={shape.dilation}" * (shape.dilation > 1)
    inner = f"{shape.inner}, " * (len(spec.block) == 3)
    downsample = ""
    if shape.shortcut in ("pad", "projection"):
        kind = "PadShortcut" if shape.shortcut == "pad" else project
        downsample = f", downsample={kind}({shape.inputs}, {shape.outputs}{stride})"
    return (
        f"{block}({shape.inputs}, {inner}{shape.outputs}{stride}{dilation}{downsample}{_join(spec, shape)})"
    )


def _join(spec: ModelSpec, shape: BlockShape) -> str:
    """The argument that says what joins F(x) and the shortcut; "" where they are added as they are."""
    arguments = []
    if "gate" in spec.join:
        arguments = [f"{shape.inputs}, {shape.outputs}", *[f"stride={shape.stride}"] * (shape.stride > 1)]
        arguments += [f"gate_bias={spec.gate_bias}"] * (spec.gate_bias != -6)
    elif spec.join != "sum":
        arguments = [f"{shape.drop_rate}"]
    arguments += [f"shortcut_scale={shape.shortcut_scale}"] * (shape.shortcut_scale != 1)
    arguments += [f"residual_scale={shape.residual_scale}"] * (shape.residual_scale != 1)
    arguments += ["learned=True"] * spec.learned_scale
    return f", join={JOINS[spec.join]}({', '.join(arguments)})" if arguments else ""


def _sequential(start: str, calls: list[str]) -> list[str]:
    """On one line where that fits, as `ruff format` would have it; three blocks or more in a row that are alike
    share a line.
    """
    lines = []
    for call, alike in groupby(calls):
        count = len(list(alike))
        lines += [call] * count if count < 3 else [f"*[{call} for _ in range({count})]"]
    joined = f"{start}{', '.join(lines)})"
    if 8 + len(joined) <= LONGEST:
        return [joined]
    comma = "," * (len(lines) > 1)
    return [start, *(f"    {part}" for line in lines for part in _wrapped(f"{line}{comma}")), ")"]


def _wrapped(call: str) -> list[str]:
    """A call within `nn.Sequential`; where it is too long, its arguments on a line of their own, or each on one."""
    if 12 + len(call) <= LONGEST:
        return [call]
    start, end = call.index("(") + 1, call.rindex(")")
    lines = [call[start:end]]
    if 16 + len(lines[0]) > LONGEST:
        lines = [f"{argument}," for argument in OUTER_COMMA.split(lines[0])]
    return [call[:start], *(f"    {line}" for line in lines), call[end:]]


def _stem(spec: ModelSpec, table: LayerTable) -> tuple[list[str], list[str]]:
    """The lines in `__init__` and those in `forward`."""
    width, norm, bias = spec.width, NORMS[spec.norm], "" if spec.conv_bias else ", bias=False"
    conv = f"nn.Conv2d(3, {width}, 7, stride=2, padding=3{bias})"
    if spec.stem == "cifar":
        conv = f"nn.Conv2d(3, {width}, 3, padding=1{bias})"
    if spec.stem == "deep":
        conv = f"deep_stem({', '.join([str(width), *_norm_and_bias(spec)])})"
    layers, x = [f"self.conv1 = {conv}"], "self.conv1(x)"
    if not spec.preactivation and spec.stem != "tutorial":  # the first pre-activation block brings them
        layers += [f"self.bn1 = {norm}({width})", "self.relu = nn.ReLU()"]
        x = f"self.relu(self.bn1({x}))"
    comments = [_comment(row) for row in takewhile(lambda row: row.stage is None, table.rows)]
    if spec.stem == "cifar":
        return layers, [f"x = {x}  {comments[-1]}"]
    layers.append("self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)")
    note = ", straight into the pool" if spec.stem == "tutorial" else ""
    return layers, [f"x = {x}  {comments[-2]}{note}", f"x = self.maxpool(x)  {comments[-1]}"]


def _comment(row: LayerRow) -> str:
    return f"# (B, {', '.join(map(str, row.output_shape))})"
