"""A net as one picture: every block in a chain above, one block of each stage opened below."""

from __future__ import annotations

import math
from dataclasses import dataclass

from resnet_lab.inspection import svg
from resnet_lab.inspection.cards import (
    CARD,
    DASHES,
    Layer,
    block_layers,
    card_height,
    layers_of,
    shortcut_kind,
    stack,
    strides,
    unfolded,
)
from resnet_lab.inspection.records import LayerRow, LayerTable
from resnet_lab.inspection.svg import Ink
from resnet_lab.models import ModelSpec

WIDTH = 980.0
GAP = 8.0  # between columns
STEM, HEAD = 112.0, 100.0  # widths; the stages share the rest
STAGE = 170.0  # least width of a stage: with more than four, the picture becomes wider
AXIS = 100.0  # height at which the chain runs
UNIT = 27.0  # least width of a block in the chain

Blocks = list[list[LayerRow]]  # of one stage


def diagram_svg(spec: ModelSpec, table: LayerTable, ink: Ink, opened: int = 0) -> str:
    """The net as an SVG picture, 980 units wide (up to four stages), that scales with the page.

    `table` is the layer table of `spec`. Of each stage, block `opened` (from 0; or its last) is drawn
    layer by layer.
    """
    net = _Net.of(spec, table, ink, opened)
    bottom = CARD + net.depth
    x = 1 + STEM + GAP
    parts = [_stem(net, table.input_size[1:])]
    for stage in range(len(net.stages)):
        parts.append(_stage(net, stage, x))
        x += net.width + GAP
    parts += [_head(net, x), _legend(net, bottom + 68)]
    label = f"Diagram of {spec.name}: stem, {len(net.stages)} stages with {sum(spec.blocks)} blocks, head"
    return svg.document(x + HEAD + 1, bottom + 78, label, parts)


@dataclass(frozen=True)
class _Net:
    """The rows of the table by place, and the measures that all columns share."""

    spec: ModelSpec
    ink: Ink
    opened: int
    stem: list[Layer]
    stages: list[Blocks]
    head: list[Layer]
    width: float  # of a stage
    depth: float  # of every card

    @classmethod
    def of(cls, spec: ModelSpec, table: LayerTable, ink: Ink, opened: int) -> _Net:
        stages: list[Blocks] = [[[] for _ in range(count)] for count in spec.blocks]
        ends: tuple[list[LayerRow], list[LayerRow]] = ([], [])
        for row in table.rows:
            if row.stage is None or row.block is None:
                ends[any(stages[0])].append(row)  # the head comes after the first block
            else:
                stages[row.stage - 1][row.block].append(row)
        stem, head = layers_of(ends[0], preactivation=False), layers_of(ends[1], preactivation=True)
        cards = [block_layers(spec, blocks[min(opened, len(blocks) - 1)]) for blocks in stages]
        width = (WIDTH - 2 - STEM - HEAD - GAP * (len(stages) + 1)) / len(stages)
        depth = max(card_height(layers) for layers in [*cards, stem, head])
        return cls(spec, ink, opened, stem, stages, head, max(width, STAGE), depth)

    def block_height(self, stage: int) -> float:
        """Taller for larger maps: 8 units for every halving, so that the eye sees the map shrink."""
        sides = [_last(blocks[-1]).output_shape[1] for blocks in self.stages]
        return min(60.0, 28 + 8 * math.log2(sides[stage] / min(sides)))


def _last(rows: list[LayerRow]) -> LayerRow:
    """The last convolution on the way through a block."""
    return [row for row in rows if row.macs and not row.is_shortcut][-1]


def _stem(net: _Net, size: tuple[int, ...]) -> str:
    ink, middle = net.ink, 1 + STEM / 2
    last = net.stem[-1].row
    parts = [
        svg.text(middle, 18, "Stem", ink, 15, **{"font-weight": 600}),
        svg.muted(middle, 35, f"from {size[0]} × {size[1]}", ink, 12.5),
        svg.line(4, AXIS, middle - 12, AXIS, ink, arrow=True),
        svg.line(middle + 12, AXIS, 1 + STEM + GAP / 2, AXIS, ink),
        _zoom(middle - 12, middle + 12, AXIS + 30, (1, STEM), ink),
        svg.box(middle - 12, AXIS - 30, 24, 60, ink, "stem"),
        svg.card(1, CARD, STEM, net.depth, ink),
        stack(net.stem, middle, STEM - 14, ink),
        _size_label(last, middle, CARD + net.depth, ink) if last else "",
    ]
    return "".join(parts)


def _head(net: _Net, x: float) -> str:
    ink, middle, classes = net.ink, x + HEAD / 2, net.spec.num_classes
    bottom = CARD + net.depth
    parts = [
        svg.text(middle, 18, "Head", ink, 15, **{"font-weight": 600}),
        svg.line(x - GAP / 2, AXIS, middle - 12, AXIS, ink, arrow=True),
        svg.line(middle + 12, AXIS, x + HEAD - 4, AXIS, ink, arrow=True),
        _zoom(middle - 12, middle + 12, AXIS + 18, (x, HEAD), ink),
        svg.box(middle - 12, AXIS - 18, 24, 36, ink, "head"),
        svg.card(x, CARD, HEAD, net.depth, ink),
        stack(net.head, middle, HEAD - 12, ink),
        svg.text(middle, bottom + 20, f"{classes:,}", ink, 15, **{"font-weight": 600}),
        svg.muted(middle, bottom + 37, "class" if classes == 1 else "classes", ink, 12.5),
    ]
    return "".join(parts)


def _stage(net: _Net, stage: int, x: float) -> str:
    ink, blocks = net.ink, net.stages[stage]
    middle, count = x + net.width / 2, len(blocks)
    shown = min(net.opened, count - 1)
    spread = max(max(row.dilation, default=1) for rows in blocks for row in rows)
    more = f", dilation {spread}" if spread > 1 else ""
    parts = [
        svg.text(middle, 18, f"Stage {stage + 1}", ink, 15, **{"font-weight": 600}),
        svg.muted(middle, 35, f"{count} block{'s' * (count > 1)}", ink, 12.5),
        _chain(net, stage, x, shown),
        svg.card(x, CARD, net.width, net.depth, ink),
        svg.text(x + 8, CARD + 17, f"block {shown + 1}", ink, 11.5, anchor="start", opacity=0.75),
        unfolded(net.spec, blocks[shown], (x, net.width), ink),
        _size_label(_last(blocks[-1]), middle, CARD + net.depth, ink, more),
    ]
    return "".join(parts)


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
        parts += [
            svg.text(middle, AXIS + 5, f"× {count - 3}", ink, 17, **{"font-weight": 600}),
            svg.line(x + 2 * unit, AXIS, middle - 30, AXIS, ink),
            svg.line(middle + 30, AXIS, x + width - unit, AXIS, ink),
        ]
    at = places.get(shown)
    edges = (at + unit * 0.2, at + unit * 0.66) if at is not None else (middle - 24, middle + 24)
    parts += [
        svg.line(x - GAP / 2, AXIS, start, AXIS, ink),
        svg.line(places[count - 1] + unit, AXIS, x + width + GAP / 2, AXIS, ink),
        _zoom(*edges, AXIS + (height / 2 if at is not None else 12), (x, width), ink),
    ]
    for block, left in places.items():
        parts.append(_small_block(net.spec, blocks[block], (left, unit, height), ink))
    return "".join(parts)


def _small_block(spec: ModelSpec, rows: list[LayerRow], place: tuple[float, float, float], ink: Ink) -> str:
    x, unit, height = place
    kind = shortcut_kind(spec, rows)
    left, right, join = x + unit * 0.2, x + unit * 0.66, x + unit * 0.84
    top = AXIS - height / 2
    name = ".".join(rows[0].path.split(".")[:2])
    title = f"{name}: {kind} shortcut" if kind else f"{name}: no shortcut"
    parts = [  # the line stops at the box, which is a tint: it would show through
        svg.line(x, AXIS, left, AXIS, ink),
        svg.box(left, top, right - left, height, ink, title),
        svg.line(right, AXIS, x + unit, AXIS, ink),
    ]
    if any(strides(row) for row in rows):
        parts.append(svg.text((left + right) / 2, AXIS + 4.5, "/2", ink, 12.5, **{"font-weight": 700}))
    if kind:
        fork, peak = x + unit * 0.06, top - 16
        curve = (
            f"M{fork:.1f} {AXIS:.1f}C{fork:.1f} {peak:.1f} {join:.1f} {peak:.1f} {join:.1f} {AXIS - 5:.1f}"
        )
        parts += [svg.arc(curve, DASHES[kind], ink, 2), svg.plus(join, AXIS, min(5.5, unit * 0.17), ink)]
    return "".join(parts)


def _zoom(left: float, right: float, y: float, column: tuple[float, float], ink: Ink) -> str:
    """The light that falls from a small block on its card; `column` is the card's x and width."""
    x, width = column
    points = f"{left:.1f},{y:.1f} {right:.1f},{y:.1f} {x + width:.1f},{CARD:.1f} {x:.1f},{CARD:.1f}"
    return f'<polygon points="{points}" fill="{ink.text}" fill-opacity="0.06"/>'


def _size_label(row: LayerRow, middle: float, bottom: float, ink: Ink, more: str = "") -> str:
    """The map that leaves a column: its sides, then its channels."""
    channels, height, width = row.output_shape
    sides = svg.text(middle, bottom + 20, f"{height} × {width}", ink, 15, **{"font-weight": 600})
    return sides + svg.muted(middle, bottom + 37, f"{channels:,} channels{more}", ink, 12.5)


def _legend(net: _Net, y: float) -> str:
    """What the lines mean; only those that this net has."""
    ink = net.ink
    if net.spec.is_plain:
        return svg.text(1, y, "No shortcuts: the only way is through every block.", ink, 13, anchor="start")
    words = {
        "identity": "identity shortcut",
        "padding": "identity, padded with zero channels (A)",
        "projection": "projection shortcut (1×1 convolution)",
    }
    kinds = {shortcut_kind(net.spec, rows) for blocks in net.stages for rows in blocks}
    x, parts = 1.0, []
    for kind in [kind for kind in words if kind in kinds]:
        parts.append(svg.arc(f"M{x + 2:.1f} {y - 4:.1f}h36", DASHES[kind], ink))
        parts.append(svg.text(x + 46, y, words[kind], ink, 13, anchor="start"))
        x += 46 + 6.3 * len(words[kind]) + 28
    parts.append(svg.plus(x + 8, y - 4.5, 7, ink))
    parts.append(svg.text(x + 22, y, "addition", ink, 13, anchor="start"))
    return "".join(parts) + svg.text(x + 98, y, "/2 halves the map", ink, 13, anchor="start")
