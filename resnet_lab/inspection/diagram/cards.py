"""The cards of the diagram: the layers of the stem, of one block of each stage, and of the head."""

from __future__ import annotations

from dataclasses import dataclass, field

from resnet_lab.inspection.diagram import svg
from resnet_lab.inspection.diagram.svg import Ink, Rect, Target
from resnet_lab.inspection.sums import factors, say_sum
from resnet_lab.inspection.table.records import LayerRow, say_shape
from resnet_lab.models import ModelSpec
from resnet_lab.models.spec import BlockShape

CARD = 158.0  # top of the cards
BOX_GAP = 10.0
HEADROOM, FOOTROOM = 26.0, 38.0  # of a card, for the fork above the layers and the addition below them

DASHES = {"identity": "", "pad": "7 5", "projection": "0.1 5"}  # solid, dashed, dotted
SHORT = {"BatchNorm2d": "BN", "GroupNorm": "GN", "ReLU": "ReLU"}


@dataclass
class Box:
    """One box of an opened block: a convolution, pool or linear layer, with the norms and ReLUs around it."""

    row: LayerRow | None
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    members: list[str] = field(default_factory=list)  # paths of the norms and ReLUs

    @property
    def path(self) -> str:
        return self.row.path if self.row else ""

    @property
    def lines(self) -> list[str]:
        """What is written into the box, in the order in which it happens."""
        lines = [", ".join(self.before)]
        if self.row is not None:
            spread, groups = max(self.row.dilation, default=1), self.row.groups or 1
            lines += [_layer_name(self.row), f"{groups} groups" * (groups > 1)]
            lines.append(f"dilation {spread}" * (spread > 1))
        return [line for line in [*lines, ", ".join(self.after)] if line]

    @property
    def height(self) -> float:
        return max(34.0, 6 + 14.0 * len(self.lines))


@dataclass(frozen=True)
class DrawnBlock:
    shape: BlockShape
    rows: list[LayerRow]
    spec: ModelSpec

    @property
    def preactivation(self) -> bool:
        return self.spec.preactivation

    @property
    def is_cut(self) -> bool:
        """Whether the shortcut carries nothing: α is 0."""
        return self.shape.shortcut_scale == 0

    @property
    def stroke(self) -> float:
        """How wide the shortcut is drawn, as a part of its usual width: it follows α."""
        return min(0.45 + 0.55 * self.shape.shortcut_scale, 1.6)

    @property
    def sum_key(self) -> str:
        """The row that adds the shortcut."""
        return next((row.key for row in reversed(self.rows) if row.is_function or row.is_join), "")

    @property
    def boxes(self) -> list[Box]:
        """As `boxes_of`; where a pre-activation block changes shape, its first norm and ReLU are a box of their own."""
        boxes = boxes_of(self.rows, self.preactivation)
        if self.preactivation and self.shape.shortcut in ("pad", "projection"):
            first = boxes[0]
            return [Box(None, first.before, members=first.members), Box(first.row), *boxes[1:]]
        if self.shape.shortcut != "none" and not self.preactivation:
            boxes[-1].after.remove("ReLU")  # it comes after the addition
        return boxes


def boxes_of(rows: list[LayerRow], preactivation: bool) -> list[Box]:
    """The boxes of a block, the stem or the head; norms and ReLUs go with the convolution they serve."""
    boxes: list[Box] = []
    waiting: list[LayerRow] = []
    for row in rows:
        if row.is_shortcut or row.is_function:  # drawn as a line and as ⊕
            continue
        if row.type not in SHORT:
            boxes.append(Box(row, [SHORT[r.type] for r in waiting], members=[r.path for r in waiting]))
            waiting = []
        elif preactivation or not boxes:
            waiting.append(row)
        else:
            boxes[-1].after.append(SHORT[row.type])
            boxes[-1].members.append(row.path)
    return boxes


def card_height(boxes: list[Box]) -> float:
    return HEADROOM + _stack_height(boxes) + FOOTROOM


def _stack_height(boxes: list[Box]) -> float:
    return sum(box.height + BOX_GAP for box in boxes)


def stack(boxes: list[Box], middle: float, width: float, ink: Ink) -> str:
    """Boxes from top to bottom along a line."""
    drawn, y = "", CARD + HEADROOM
    for box in boxes:
        top = CARD + 4 if box is boxes[0] else y - BOX_GAP
        drawn += svg.line(middle, top, middle, y, ink, arrow=True) + _box(box, middle, y, width, ink)
        y += box.height + BOX_GAP
    return drawn + svg.line(middle, y - BOX_GAP, middle, y + 4, ink, arrow=True)


def _box(box: Box, middle: float, y: float, width: float, ink: Ink) -> str:
    row, lines = box.row, box.lines
    target, strong = (_target(row), _strides(row)) if row else (Target(), False)
    drawn = svg.box(Rect(middle - width / 2, y, width, box.height), ink, target, strong)
    baseline = y + (22 if len(lines) == 1 else 14 if box.before else 16)
    for words in lines:
        if row and words == _layer_name(row):
            drawn += svg.text(middle, baseline, words, ink, 14, **{"font-weight": 600})
        else:
            drawn += svg.muted(middle, baseline, words, ink)
        baseline += 14.5 if box.before else 13.5
    return drawn


def _target(row: LayerRow) -> Target:
    """What the pointer shows: the layer's path, its sizes and its parameters."""
    sizes = f"{say_shape(row.input_shape)} → {say_shape(row.output_shape)}"
    return Target(f"{row.path}: {sizes}, {row.params:,} parameters", row.path)


def _layer_name(row: LayerRow) -> str:
    """3×3, 128 /2 for a convolution; the paper's notation."""
    stride = f" /{max(row.stride)}" if _strides(row) else ""
    if row.type == "Linear":
        return f"fc {row.output_shape[-1]:,}"
    if row.type == "AdaptiveAvgPool2d":
        return "avg pool"
    if row.type == "MaxPool2d":
        return f"max pool{stride}"
    return f"{'×'.join(map(str, row.kernel))}, {row.output_shape[0]}{stride}"


def _strides(row: LayerRow) -> bool:
    return max(row.stride, default=1) > 1 and row.type != "AdaptiveAvgPool2d"


def opened(block: DrawnBlock, place: tuple[float, float], ink: Ink) -> str:
    """One block: its layers on the left, its shortcut on the right, joined at ⊕; `place` is x and width."""
    x, width = place
    boxes, kind, name = block.boxes, block.shape.shortcut, block.shape.name
    room = {"none": 0.0, "identity": 62.0 if factors(block.spec, block.shape)[1] else 44.0}.get(kind, 62.0)
    box_width = min(116.0, width - 12 - room)
    middle = x + (width - room) / 2
    drawn = stack(boxes, middle, box_width, ink)
    if kind == "none":
        return drawn
    late = boxes[0].row is None  # the shortcut then starts after the first norm and ReLU
    fork = CARD + 12 + (boxes[0].height + BOX_GAP + 7 if late else 0)
    join = CARD + HEADROOM + _stack_height(boxes) + 9
    side = middle + box_width / 2 + room / 2
    curve = (
        f"M{middle:.1f} {fork:.1f}H{side - 10:.1f}Q{side:.1f} {fork:.1f} {side:.1f} {fork + 10:.1f}"
        f"V{join - 10:.1f}Q{side:.1f} {join:.1f} {side - 10:.1f} {join:.1f}H{middle + 10:.1f}"
    )
    drawn += svg.arc(curve, DASHES[kind], ink.of(kind), 2.2 * block.stroke, block.is_cut)
    target = Target(f"{name}: y = {say_sum(block.spec, block.shape)}", block.sum_key)
    drawn += svg.plus(middle, join, 8, ink, target)
    on_residual, _ = factors(block.spec, block.shape)
    if on_residual:
        drawn += svg.text(middle - 14, join + 4, f"{' '.join(on_residual)} ×", ink, 12, anchor="end")
    drawn += _shortcut_label(block, side, (fork + join) / 2, ink)
    drawn += svg.line(middle, join + 8, middle, join + 25, ink, arrow=True)
    if not block.preactivation:
        drawn += svg.text(middle + 8, join + 22, "ReLU", ink, 11.5, anchor="start", opacity=0.75)
    return drawn


def _shortcut_label(block: DrawnBlock, x: float, y: float, ink: Ink) -> str:
    """What stands on the shortcut, on a patch that interrupts its line; nothing on an identity as it is."""
    kind, own = block.shape.shortcut, [row for row in block.rows if row.is_shortcut and not row.is_join]
    stride = f"/{block.shape.stride}" if block.shape.stride > 1 else ""
    norm = [SHORT[row.type] for row in own[1:]]
    projected = ["1×1", f"{block.shape.outputs}", " ".join([stride, *norm]).strip()]
    words = [] if kind == "identity" else ["pad 0", stride] if kind == "pad" else projected
    words = [word for word in words if word] + [
        f"× {factor}" for factor in factors(block.spec, block.shape)[1]
    ]
    if not words:
        return ""
    key = own[0] if own else next(row for row in block.rows if row.key == block.sum_key)
    top, width = y - (8 + 14 * len(words)) / 2, max(48, 6.4 * max(map(len, words)))
    drawn = svg.patch(Rect(x - width / 2, top, width, 8 + 14 * len(words)), ink, ink.of(kind), _target(key))
    return drawn + "".join(svg.text(x, top + 15 + 14 * i, word, ink, 12) for i, word in enumerate(words))
