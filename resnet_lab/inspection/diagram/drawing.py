"""A net as one image: every block in a chain above, one block of each stage opened below.

Blocks and layers carry their path (`data-path`), a folded stage "fold:<stage>": a page can make them choosable.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import partial
from itertools import groupby, takewhile

from resnet_lab.inspection.diagram import svg
from resnet_lab.inspection.diagram.cards import (
    CARD,
    DASHES,
    Box,
    DrawnBlock,
    boxes_of,
    card_height,
    opened,
    stack,
)
from resnet_lab.inspection.diagram.svg import Ink, Rect, Target
from resnet_lab.inspection.sums import factors, say_sum
from resnet_lab.inspection.table.records import LayerRow, LayerTable
from resnet_lab.models import ModelSpec

WIDTH = 980.0
GAP = 8.0  # between columns
STEM, HEAD = 112.0, 100.0  # widths; the stages share the rest
STAGE = 170.0  # least width of a stage: with more than four, the image becomes wider
AXIS = 100.0  # height at which the chain runs
UNIT = 27.0  # least width of a block in the chain
LINE = 46.0  # height of a line of blocks in the strip of an unfolded stage
LEGEND = {
    "identity": "identity shortcut",
    "pad": "identity, padded with zero channels (A)",
    "projection": "projection shortcut (1×1 convolution)",
    "none": "no shortcut",
}


@dataclass(frozen=True)
class Selection:
    """What of a net is opened and marked.

    Args:
        opened: for each stage, the block (from 0) that is drawn layer by layer; else its first.
        unfolded: the stage (from 1) whose blocks are all drawn, or 0.
        chosen: the path of a block or a layer that is marked, or "".
    """

    opened: tuple[int, ...] = ()
    unfolded: int = 0
    chosen: str = ""

    def block(self, stage: int, count: int) -> int:
        """The opened block of `stage` (from 0), which has `count`."""
        return min(self.opened[stage], count - 1) if stage < len(self.opened) else 0


def diagram_svg(spec: ModelSpec, table: LayerTable, ink: Ink, selection: Selection = Selection()) -> str:
    """The net as an SVG image, 980 units wide (up to four stages), that scales with the page.

    `table` is the layer table of `spec`.
    """
    net = _Net(spec, table, ink, selection)
    starts = [1 + STEM + GAP + i * (net.width + GAP) for i in range(len(net.stages) + 1)]
    width, bottom = starts[-1] + HEAD + 1, CARD + net.strip + net.depth
    parts = [_stem(net, table)]
    parts += [_stage(net, stage, x) for stage, x in enumerate(starts[:-1])]
    parts += [_head(net, starts[-1]), _strip(net, width), _legend(net, bottom + 68)]
    label = f"Diagram of {spec.name}: stem, {len(net.stages)} stages with {sum(spec.blocks)} blocks, head"
    return svg.document(width, bottom + 78, label, parts, net.chosen)


class _Net:
    """The rows of the table by place, and the measures that all columns share."""

    def __init__(self, spec: ModelSpec, table: LayerTable, ink: Ink, selection: Selection) -> None:
        self.spec, self.ink, self.selection = spec, ink, selection
        first, *blocks, last = [
            list(rows) for _, rows in groupby(table.rows, lambda row: (row.stage, row.block))
        ]
        drawn = map(partial(DrawnBlock, spec=spec), spec.block_shapes(), blocks)
        self.stages = [list(stage) for _, stage in groupby(drawn, lambda block: block.shape.stage)]
        self.stem, self.head = boxes_of(first, preactivation=False), boxes_of(last, preactivation=True)
        opened = [stage[selection.block(i, len(stage))].boxes for i, stage in enumerate(self.stages)]
        self.cards = [*opened, self.stem, self.head]
        self.depth = max(map(card_height, self.cards))  # of every card
        count = len(self.stages)
        ends = 2 + STEM + HEAD + GAP * (count + 1)
        self.width = max((WIDTH - ends) / count, STAGE)  # of a stage
        self.per_line = int((ends + self.width * count) // UNIT)  # blocks, in the strip of an unfolded stage
        self.strip = 0.0  # its height, by which the cards move down
        if 1 <= selection.unfolded <= count:
            self.strip = LINE * math.ceil(len(self.stages[selection.unfolded - 1]) / self.per_line) + 40

    @property
    def chosen(self) -> tuple[str, ...]:
        """The shapes to mark: the block, and in its card the box with the chosen layer."""
        path = self.selection.chosen
        if not re.fullmatch(r"[\w.()]+", path):  # it comes from a link, and goes into a style sheet
            return ()
        holds = [box.path for boxes in self.cards for box in boxes if box.path and path in box.members]
        if ".downsample." in path:
            holds.append(path[: path.index(".downsample.")] + ".downsample.0")
        return (".".join(path.split(".")[:2]), path, *holds)

    def block_height(self, stage: int) -> float:
        """Taller for larger maps: 8 units for every halving, so that the eye sees the map shrink."""
        sides = [_last(blocks[-1].rows).output_shape[1] for blocks in self.stages]
        return min(60.0, 28 + 8 * math.log2(sides[stage] / min(sides)))


def _last(rows: list[LayerRow]) -> LayerRow:
    """The last convolution on the way through a block."""
    return [row for row in rows if row.macs and not row.is_shortcut][-1]


def _column(
    net: _Net,
    place: tuple[float, float],
    heading: tuple[str, str],
    chain: str,
    card: str,
    size: tuple[str, str],
) -> str:
    """The stem, a stage or the head; `place` is x and width, `card` what stands on its card.

    The card is drawn at its usual height, and moved below the strip if there is one.
    """
    (x, width), ink = place, net.ink
    middle, bottom = x + width / 2, CARD + net.depth
    card = svg.card(Rect(x, CARD, width, net.depth), ink) + card
    card += svg.bold(middle, bottom + 20, size[0], ink) + svg.muted(middle, bottom + 37, size[1], ink, 12.5)
    if net.strip:
        card = f'<g transform="translate(0 {net.strip:g})">{card}</g>'
    above = svg.bold(middle, 18, heading[0], ink)
    above += svg.muted(middle, 35, heading[1], ink, 12.5) if heading[1] else ""
    return above + chain + card


def _end(net: _Net, place: tuple[float, float], half: float, name: str, boxes: list[Box]) -> str:
    """The stem or the head on the chain, a box twice `half` high."""
    (x, width), ink = place, net.ink
    middle, is_stem = x + width / 2, name == "stem"
    start, end = (4.0, x + width + GAP / 2) if is_stem else (x - GAP / 2, x + width - 4)
    target = Target(name, boxes[0 if is_stem else -1].path)
    return (
        svg.line(start, AXIS, middle - 12, AXIS, ink, arrow=True)
        + svg.line(middle + 12, AXIS, end, AXIS, ink, arrow=not is_stem)
        + _zoom(net, (middle - 12, middle + 12), AXIS + half, place)
        + svg.box(Rect(middle - 12, AXIS - half, 24, 2 * half), ink, target)
    )


def _stem(net: _Net, table: LayerTable) -> str:
    place, (height, width) = (1.0, STEM), table.input_size[1:]
    last = [row for row in takewhile(lambda row: row.stage is None, table.rows) if row.kernel][-1]
    chain, card = _end(net, place, 30, "stem", net.stem), stack(net.stem, 1 + STEM / 2, STEM - 14, net.ink)
    return _column(net, place, ("Stem", f"from {height} × {width}"), chain, card, _map_size(last))


def _head(net: _Net, x: float) -> str:
    place, classes = (x, HEAD), net.spec.num_classes
    chain, card = _end(net, place, 18, "head", net.head), stack(net.head, x + HEAD / 2, HEAD - 12, net.ink)
    size = (f"{classes:,}", "class" if classes == 1 else "classes")
    return _column(net, place, ("Head", ""), chain, card, size)


def _stage(net: _Net, stage: int, x: float) -> str:
    blocks, place = net.stages[stage], (x, net.width)
    count = len(blocks)
    shown = net.selection.block(stage, count)
    spread = max(block.shape.dilation for block in blocks)
    card = svg.text(x + 8, CARD + 17, f"block {shown + 1}", net.ink, 11.5, anchor="start", opacity=0.75)
    card += opened(blocks[shown], place, net.ink)
    size = _map_size(_last(blocks[-1].rows), f", dilation {spread}" if spread > 1 else "")
    heading = (f"Stage {stage + 1}", f"{count} block{'s' * (count > 1)}")
    return _column(net, place, heading, _chain(net, stage, x, shown), card, size)


def _chain(net: _Net, stage: int, x: float, shown: int) -> str:
    """The blocks of a stage one after the other; a long stage shows its first two, its last, and a count."""
    ink, blocks, width = net.ink, net.stages[stage], net.width
    count, height = len(blocks), net.block_height(stage)
    parts = []
    if count * UNIT <= width:
        unit = min(40.0, width / count)
        start = x + (width - unit * count) / 2
        places = {block: start + unit * block for block in range(count)}
    else:
        unit, start = UNIT, x
        places = {0: x, 1: x + unit, count - 1: x + width - unit}
        middle = x + width / 2 + unit / 2
        folds = net.selection.unfolded == stage + 1
        words = f"fold stage {stage + 1}" if folds else f"show all {count} blocks of stage {stage + 1}"
        parts += [
            svg.line(x + 2 * unit, AXIS, middle - 30, AXIS, ink),
            svg.line(middle + 30, AXIS, x + width - unit, AXIS, ink),
            svg.box(Rect(middle - 30, AXIS - 14, 60, 28), ink, Target(words, f"fold:{stage + 1}")),
            svg.text(middle, AXIS + 5, f"× {count - 3}", ink, 16, **{"font-weight": 600}),
        ]
    at = places.get(shown)
    edges = (middle - 24, middle + 24) if at is None else (at + unit * 0.2, at + unit * 0.66)
    parts += [
        svg.line(x - GAP / 2, AXIS, start, AXIS, ink),
        svg.line(places[count - 1] + unit, AXIS, x + width + GAP / 2, AXIS, ink),
        _zoom(net, edges, AXIS + (14 if at is None else height / 2), (x, width)),
    ]
    parts += [_small_block(net, blocks[i], Rect(left, AXIS, unit, height)) for i, left in places.items()]
    return "".join(parts)


def _small_block(net: _Net, block: DrawnBlock, place: Rect) -> str:
    """A block of the chain; `place` has the height at which the chain runs as its y."""
    ink, (x, axis, unit, height) = net.ink, place
    shape, name = block.shape, block.shape.name
    left, right, join = x + unit * 0.2, x + unit * 0.66, x + unit * 0.84
    middle, top = (left + right) / 2, axis - height / 2
    weighed = f", y = {say_sum(block.spec, shape)}" if any(factors(block.spec, shape)) else ""
    target = Target(f"{name}: {LEGEND[shape.shortcut]}{weighed}", name)
    drawn = svg.line(x, axis, left, axis, ink)  # it stops at the box, which is a tint: it would show through
    drawn += svg.box(Rect(left, top, right - left, height), ink, target)
    drawn += svg.line(right, axis, x + unit, axis, ink)
    if shape.stride > 1:
        drawn += svg.text(middle, axis + 4.5, "/2", ink, 12.5, **{"font-weight": 700})
    if shape.dilation > 1:
        drawn += svg.text(middle, axis + height / 2 + 11, f"d{shape.dilation}", ink, 10.5)
    if shape.shortcut != "none":
        fork, peak = f"{x + unit * 0.06:.1f}", f"{top - 16:.1f}"
        curve = f"M{fork} {axis:.1f}C{fork} {peak} {join:.1f} {peak} {join:.1f} {axis - 5:.1f}"
        drawn += svg.arc(
            curve, DASHES[shape.shortcut], ink.of(shape.shortcut), 2 * block.stroke, block.is_cut
        )
        drawn += svg.plus(join, axis, min(5.5, unit * 0.17), ink)
    return drawn


def _strip(net: _Net, width: float) -> str:
    """All blocks of the unfolded stage, line by line."""
    if not net.strip:
        return ""
    stage, ink = net.selection.unfolded, net.ink
    blocks, top = net.stages[stage - 1], CARD - 14
    panel = Rect(1, top, width - 2, net.strip)
    parts = [
        f'<rect {panel.shape} rx="7" fill="{ink.page}"/>',  # the light on the cards passes behind it
        svg.card(panel, ink),
        svg.text(10, top + 20, f"Stage {stage}, all {len(blocks)} blocks", ink, 13, anchor="start"),
    ]
    left = (width - net.per_line * UNIT) / 2
    for i, block in enumerate(blocks):
        line, column = divmod(i, net.per_line)
        y = top + 54 + LINE * line
        parts.append(_small_block(net, block, Rect(left + UNIT * column, y, UNIT, 20)))
        if column == 0 and line:
            parts.append(svg.text(6, y - 17, str(i + 1), ink, 10, anchor="start", opacity=0.75))
    return "".join(parts)


def _zoom(net: _Net, edges: tuple[float, float], y: float, column: tuple[float, float]) -> str:
    """The light that falls from a small block on its card; `column` is the card's x and width."""
    (left, right), (x, width), low = edges, column, CARD + net.strip
    points = f"{left:.1f},{y:.1f} {right:.1f},{y:.1f} {x + width:.1f},{low:.1f} {x:.1f},{low:.1f}"
    return f'<polygon points="{points}" fill="{net.ink.text}" fill-opacity="0.06" pointer-events="none"/>'


def _map_size(row: LayerRow, more: str = "") -> tuple[str, str]:
    """The map that leaves a column: its sides, then its channels."""
    channels, height, width = row.output_shape
    return f"{height} × {width}", f"{channels:,} channels{more}"


def _legend(net: _Net, y: float) -> str:
    """What the lines mean; only those that this net has."""
    ink = net.ink
    if net.spec.is_plain:
        return svg.text(1, y, "No shortcuts: the only way is through every block.", ink, 13, anchor="start")
    shapes = net.spec.block_shapes()
    x, drawn = 1.0, ""
    for kind in [kind for kind in LEGEND if kind in {shape.shortcut for shape in shapes}]:
        drawn += svg.arc(f"M{x + 2:.1f} {y - 4:.1f}h36", DASHES[kind], ink.of(kind))
        drawn += svg.text(x + 46, y, LEGEND[kind], ink, 13, anchor="start")
        x += 46 + 6.3 * len(LEGEND[kind]) + 28
    drawn += svg.plus(x + 8, y - 4.5, 7, ink) + svg.text(x + 22, y, "addition", ink, 13, anchor="start")
    dilated = any(shape.dilation > 1 for shape in shapes)
    words = "/2 halves the map" + (", d2 dilates the 3×3 by 2 instead" if dilated else "")
    if any(shape.shortcut_scale != 1 for shape in shapes):
        words = "thin: weighed by α; broken: cut, α = 0"
    return drawn + svg.text(x + 98, y, words, ink, 13, anchor="start")
