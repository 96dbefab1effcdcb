"""A net as one Python file that needs torch alone, written to be read: it holds only what this net has.

The templates show the shape of that file; the functions below them say what goes into the gaps.
"""

from __future__ import annotations

import math
from itertools import compress, groupby, takewhile

from resnet_lab.inspection.export.source_feed import feed
from resnet_lab.inspection.export.source_templates import BLOCK, HEADER, NET, PAD, PAPERS, PROJECTION
from resnet_lab.inspection.table.layer_table import layer_table
from resnet_lab.inspection.table.records import LayerTable
from resnet_lab.models import ModelSpec
from resnet_lab.models.blocks import BlockShape
from resnet_lab.models.classifier import Classifier

_Block = tuple[BlockShape, bool]  # and whether its shortcut is more than x


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
    facts = _Facts(spec, layer_table(spec, input_size), net)
    header = "\n\n".join([_header(facts), *([feed(net, facts.fill)] if net else [])])
    pieces = [header, _shortcut(facts), _block(facts), _net(facts)]
    return "\n\n\n".join(filter(None, pieces)) + "\n"


class _Facts:
    """What the net has, and so what the file must hold."""

    def __init__(self, spec: ModelSpec, table: LayerTable, net: Classifier | None = None) -> None:
        self.spec, self.table, self.stages = spec, table, _stages(spec)
        blocks = {block for stage in self.stages for block in stage}
        self.net = "PlainNet" if spec.is_plain else "ResNet"
        self.kind = {(3, 3): "BasicBlock", (1, 3, 1): "Bottleneck"}.get(spec.block, "Block")
        self.block = f"PreAct{self.kind}" if spec.preactivation else self.kind
        self.widths = ["inputs", "inner", "outputs"] if self.kind == "Bottleneck" else ["inputs", "outputs"]
        self.channels = self.stages[-1][-1][0].outputs  # of the last block
        self.strided = any(shape.stride > 1 for shape, _ in blocks)
        self.bias = "" if spec.conv_bias else ", bias=False"
        self.shortcuts = "plain" if spec.is_plain else _shortcuts(blocks)
        self.pads = spec.shortcut == "pad" and self.shortcuts != "no"
        self.functional = self.pads or bool(net and net.transform.scales)  # whether the file imports it
        strides = sorted({shape.stride for shape, special in blocks if special})
        self.shortcut_stride = {(): "", (1,): "", (2,): "2"}.get(tuple(strides), "stride")
        self.picture = " × ".join(map(str, table.input_size))
        self.shapes = [(row.stage, f"# (B, {', '.join(map(str, row.output_shape))})") for row in table.rows]

    def norm(self, channels: str | int) -> str:
        """A norm layer for the number, or for the name of an argument; "" where the net has none."""
        if self.spec.norm == "group":
            groups = math.gcd(32, channels) if isinstance(channels, int) else f"math.gcd(32, {channels})"
            return f"nn.GroupNorm({groups}, {channels})"
        return f"nn.BatchNorm2d({channels})" if self.spec.norm == "batch" else ""

    def normed(self, norm: str, x: str) -> str:
        return x if self.spec.norm == "none" else f"self.{norm}({x})"

    def fill(self, template: str, **gaps: str) -> str:
        """The template without its gaps: a line goes where its gap is empty, and several keep its indent."""
        lines = []
        for line in template.strip("\n").split("\n"):
            text = line.format(facts=self, spec=self.spec, table=self.table, **gaps)
            if text.strip() or not line:
                lines.append(text.replace("\n", "\n" + " " * (len(line) - len(line.lstrip()))))
        return "\n".join(lines)


def _stages(spec: ModelSpec) -> list[list[_Block]]:
    stages, inputs, dilation = [], spec.width, 1
    for i, count in enumerate(spec.blocks):
        inner, outputs = spec.inner_width(i), spec.planes(i) * spec.expansion
        dilated = i > 0 and any(spec.dilation[i - 1 : i])
        first = BlockShape(inputs, inner, outputs, 1 if i == 0 or dilated else 2, dilation=dilation)
        dilation *= 2 if dilated else 1  # from the second block on
        shapes = [first, *[BlockShape(outputs, inner, outputs, dilation=dilation)] * (count - 1)]
        extra = spec.extra_projections[i] if spec.extra_projections else ()
        every = spec.shortcut == "projection_all"
        special = [every or shape.changes_shape or place in extra for place, shape in enumerate(shapes)]
        stages.append(list(zip(shapes, special, strict=True)))
        inputs = outputs
    return stages


def _shortcuts(blocks: set[_Block]) -> str:
    """Whose shortcut is more than x: of "no" block, "all", those that "change" the shape, or "some"."""
    if len({special for _, special in blocks}) == 1:
        return "all" if all(special for _, special in blocks) else "no"
    return "change" if all(special == shape.changes_shape for shape, special in blocks) else "some"


def _header(facts: _Facts) -> str:
    spec = facts.spec
    printable = "".join(c if c.isprintable() else " " for c in spec.name)
    name = " ".join(printable.replace('"', "'").replace("\\", "/").split())
    wide = spec.width_per_group > 64 or facts.kind == "Block"
    applies = (True, spec.preactivation, wide, spec.groups > 1)
    return facts.fill(
        HEADER,
        name=name[:35].strip() or "unnamed",  # so that the line is short enough in any script
        kind=("pre-activation " if spec.preactivation else "") + ("plain" if spec.is_plain else "residual"),
        papers="\n".join(compress(PAPERS, applies)),
        import_math="import math\n" if spec.norm == "group" else "",
        import_functional="import torch.nn.functional as F" if facts.functional else "",
    )


def _shortcut(facts: _Facts) -> str:
    """What changes x on its way around a block."""
    where = {"change": "where the shape changes", "all": "of every block", "some": "of some blocks"}
    if facts.shortcuts not in where:
        return ""
    stride = facts.shortcut_stride
    given = ", stride: int" if stride == "stride" else ""
    gaps = {"where": where[facts.shortcuts], "parameters": f"inputs: int, outputs: int{given}"}
    if facts.pads:
        gaps["keep_stride"] = "self.stride = stride" if given else ""
        gaps["pixels"] = {"": "", "2": "every second pixel of ", "stride": "every stride-th pixel of "}[
            stride
        ]
        step = {"": "", "2": "::2", "stride": ":: self.stride"}[stride]
        return facts.fill(PAD, **gaps, step=step and f"[:, :, {step}, {step}]")
    norm = "" if facts.spec.preactivation else facts.norm("outputs")  # preactivated, x has had its norm
    return facts.fill(PROJECTION, **gaps, stride=stride and f", stride={stride}", norm=norm and f"{norm},")


def _block(facts: _Facts) -> str:
    spec = facts.spec
    groups = f" in {spec.groups} groups" if spec.groups > 1 else ""
    steps = [f"conv {kernel}×{kernel}{groups if kernel == 3 else ''}" for kernel in spec.block]
    parameters = ["self", *(f"{width}: int" for width in facts.widths)]
    parameters += ["stride: int = 1"] if facts.strided else []
    parameters += ["dilation: int = 1"] if any(spec.dilation) else []
    parameters += ["project: bool = False"] if facts.shortcuts == "some" else []
    formula = {"plain": "F(x)", "no": "F(x) + x"}.get(facts.shortcuts, "F(x) + shortcut(x)")
    return facts.fill(
        BLOCK,
        formula=formula if spec.preactivation else f"relu({formula})",
        steps=" → ".join(steps),
        head=_wrapped("def __init__(", ", ".join(parameters), ") -> None:", 4),
        layers="\n".join(filter(None, _block_layers(facts))),
        downsample=_downsample(facts),
        forward="\n".join(_forward(facts)),
    )


def _block_layers(facts: _Facts) -> list[str]:
    spec, lines = facts.spec, []
    channels = ["inputs", *[facts.widths[1]] * (len(spec.block) - 1), "outputs"]
    for i, kernel in enumerate(spec.block):
        arguments = f"{channels[i]}, {channels[i + 1]}, {kernel}"
        if facts.strided and i == spec.block.index(3):
            arguments += ", stride=stride"
        if kernel == 3:
            arguments += ", padding=dilation, dilation=dilation" if any(spec.dilation) else ", padding=1"
            arguments += f", groups={spec.groups}" if spec.groups > 1 else ""
        conv = _wrapped(f"self.conv{i + 1} = nn.Conv2d(", arguments + facts.bias, ")", 8)
        norm = facts.norm(channels[i if spec.preactivation else i + 1])
        norm = norm and f"self.bn{i + 1} = {norm}"
        lines += [norm, conv] if spec.preactivation else [conv, norm]
    return lines


def _downsample(facts: _Facts) -> str:
    new = "PadShortcut" if facts.pads else "projection"
    new += "(inputs, outputs, stride)" if facts.shortcut_stride == "stride" else "(inputs, outputs)"
    same = "None" if facts.spec.preactivation else "nn.Identity()"
    when = {"all": "", "change": f" if inputs != outputs else {same}", "some": f" if project else {same}"}
    return f"self.downsample = {new}{when[facts.shortcuts]}" if facts.shortcuts in when else ""


def _forward(facts: _Facts) -> list[str]:
    """Of a block: conv, norm, relu and so on; a pre-activation block starts one norm and ReLU earlier."""
    last, early = len(facts.spec.block), facts.spec.preactivation
    x = "activated" if early else "x"
    convs = [f"self.conv{i}({x if i == 1 else 'y'})" for i in range(1, last + 1)]
    lines = [f"activated = self.relu({facts.normed('bn1', 'x')})"] if early else []
    for i, conv in enumerate(convs[:-1], start=2 if early else 1):
        lines.append(f"y = self.relu({facts.normed(f'bn{i}', conv)})")
    plus = {"plain": "", "no": " + x"}.get(facts.shortcuts, f" + self.downsample({x})")
    if not early:
        return [*lines, f"y = {facts.normed(f'bn{last}', convs[-1])}", f"return self.relu(y{plus})"]
    if facts.shortcuts in ("change", "some"):
        lines.append("shortcut = x if self.downsample is None else self.downsample(activated)")
        plus = " + shortcut"
    return [*lines, f"return {convs[-1]}{plus}"]


def _net(facts: _Facts) -> str:
    spec = facts.spec
    layers, forward = _stem(facts)
    shapes = dict(facts.shapes)  # of a stage's last row
    for i, stage in enumerate(facts.stages, start=1):
        layers += _stage(f"self.layer{i} = nn.Sequential(", stage, facts)
        forward.append(f"x = self.layer{i}(x)  {shapes[i]}")
    if spec.preactivation:
        norm = facts.norm(facts.channels)
        layers += [norm and f"self.bn_last = {norm}", "self.relu = nn.ReLU()"]
        forward.append(f"x = self.relu({facts.normed('bn_last', 'x')})")
    zeros = ""
    if spec.zero_init_residual and spec.norm != "none":
        weight = f"module.bn{len(spec.block)}.weight"
        zeros = f"elif isinstance(module, {facts.block}):\n    nn.init.zeros_({weight})  # Goyal et al. 2017"
    text = "\n".join(filter(None, layers))
    return facts.fill(NET, layers=text, forward="\n".join(forward), zeros=zeros)


def _stage(start: str, blocks: list[_Block], facts: _Facts) -> list[str]:
    """More than two blocks that are alike, one after the other, share a line."""
    lines = []
    for (shape, special), alike in groupby(blocks):
        arguments = ", ".join(str(getattr(shape, width)) for width in facts.widths)
        arguments += f", stride={shape.stride}" if shape.stride > 1 else ""
        arguments += f", dilation={shape.dilation}" if shape.dilation > 1 else ""
        arguments += ", project=True" if special and facts.shortcuts == "some" else ""
        call, count = f"{facts.block}({arguments})", len(list(alike))
        lines += [call] * count if count < 3 else [f"*[{call} for _ in range({count})]"]
    if len(lines) == 1:
        return [_wrapped(start, lines[0], ")", 8)]
    return [start, *(f"    {line}," for line in lines), ")"]


def _stem(facts: _Facts) -> tuple[list[str], list[str]]:
    """The lines in `__init__` and those in `forward`."""
    spec, width, norm = facts.spec, facts.spec.width, facts.norm(facts.spec.width)
    conv = f"nn.Conv2d(3, {width}, 7, stride=2, padding=3{facts.bias})"
    if spec.stem == "cifar":
        conv = f"nn.Conv2d(3, {width}, 3, padding=1{facts.bias})"
    if spec.stem == "deep":
        half = max(width // 2, 1)
        three = (f"3, {half}, 3, stride=2", f"{half}, {half}, 3", f"{half}, {width}, 3")
        norm_of_half = f"{facts.norm(half)}," if norm else "nn.Identity(),  # no norm"
        between = f"\n    {norm_of_half}\n    nn.ReLU(),\n    "
        convs = between.join(f"nn.Conv2d({sizes}, padding=1{facts.bias})," for sizes in three)
        conv = f"nn.Sequential(\n    {convs}\n)"
    layers, x = [f"self.conv1 = {conv}"], "self.conv1(x)"
    if not spec.preactivation and spec.stem != "tutorial":  # the first pre-activation block brings them
        layers += [norm and f"self.bn1 = {norm}", "self.relu = nn.ReLU()"]
        x = f"self.relu({facts.normed('bn1', x)})"
    shapes = [shape for _, shape in takewhile(lambda row: row[0] is None, facts.shapes)]
    if spec.stem == "cifar":
        return layers, [f"x = {x}  {shapes[-1]}"]
    layers.append("self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)")
    note = ", straight into the pool" if spec.stem == "tutorial" else ""
    return layers, [f"x = {x}  {shapes[-2]}{note}", f"x = self.maxpool(x)  {shapes[-1]}"]


def _wrapped(start: str, arguments: str, end: str, indent: int) -> str:
    """On one line where that fits, as `ruff format` would have it."""
    line = f"{start}{arguments}{end}"
    return line if indent + len(line) <= 110 else f"{start}\n    {arguments}\n{end}"
