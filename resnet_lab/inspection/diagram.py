"""A net as one picture: every block in a chain above, the first block of each stage unfolded below."""

from __future__ import annotations

import math

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
from resnet_lab.inspection.layer_table import LayerRow, LayerTable
from resnet_lab.inspection.svg import Ink
from resnet_lab.models import ModelSpec

WIDTH = 980.0
GAP = 8.0  # between columns
STEM, HEAD = 112.0, 100.0  # widths; the stages share the rest
AXIS = 100.0  # height at which the chain runs
UNIT = 27.0  # least width of a block in the chain


def diagram_svg(spec: ModelSpec, table: LayerTable, dark: bool = False) -> str:
    """The net as an SVG picture, 980 units wide, that scales with the page.

    Colours are those of every figure of the lab: blue for residual nets, vermillion for plain ones.
    """
    ink = Ink.of(spec.is_plain, dark)
    stages = len(spec.blocks)
    width = (WIDTH - 2 - STEM - HEAD - GAP * (stages + 1)) / stages
    depth = max(card_height(layers) for layers in _all_layers(spec, table))
    parts = [_stem(spec, table, ink, depth)]
    x = 1 + STEM + GAP
    for stage in range(1, stages + 1):
        parts.append(_stage(spec, table, stage, (x, width, depth), ink))
        x += width + GAP
    parts.append(_head(spec, table, ink, x, depth))
    bottom = CARD + depth
    parts.append(_legend(spec, table, ink, bottom + 68))
    label = f"Diagram of {spec.name}: stem, {stages} stages with {sum(spec.blocks)} blocks, head"
    return svg.document(WIDTH, bottom + 78, label, parts)


def _block_rows(table: LayerTable, stage: int, block: int) -> list[LayerRow]:
    return [row for row in table.rows if row.stage == stage and row.block == block]


def _ends(spec: ModelSpec, table: LayerTable) -> tuple[list[Layer], list[Layer]]:
    """The boxes of the stem and of the head."""
    first = next(i for i, row in enumerate(table.rows) if row.stage)
    last = max(i for i, row in enumerate(table.rows) if row.stage)
    return layers_of(list(table.rows[:first]), False), layers_of(list(table.rows[last + 1 :]), True)


def _all_layers(spec: ModelSpec, table: LayerTable) -> list[list[Layer]]:
    firsts = [block_layers(spec, _block_rows(table, s + 1, 0)) for s in range(len(spec.blocks))]
    return [*firsts, *_ends(spec, table)]


def _stem(spec: ModelSpec, table: LayerTable, ink: Ink, depth: float) -> str:
    layers, _ = _ends(spec, table)
    middle = 1 + STEM / 2
    height, width = table.input_size[1:]
    parts = [
        svg.text(middle, 18, "Stem", ink, 15, **{"font-weight": 600}),
        svg.muted(middle, 35, f"from {height} × {width}", ink, 12.5),
        svg.line(4, AXIS, middle - 12, AXIS, ink, arrow=True),
        svg.line(middle + 12, AXIS, 1 + STEM + GAP / 2, AXIS, ink),
        _zoom(middle - 12, middle + 12, AXIS + 30, 1, STEM, ink),
        svg.box(middle - 12, AXIS - 30, 24, 60, ink, "stem"),
        svg.card(1, CARD, STEM, depth, ink),
        stack(layers, middle, STEM - 14, ink),
    ]
    return "".join(parts) + _size_label(layers[-1].row, middle, CARD + depth, ink)


def _head(spec: ModelSpec, table: LayerTable, ink: Ink, x: float, depth: float) -> str:
    _, layers = _ends(spec, table)
    middle = x + HEAD / 2
    parts = [
        svg.text(middle, 18, "Head", ink, 15, **{"font-weight": 600}),
        svg.line(x - GAP / 2, AXIS, middle - 12, AXIS, ink, arrow=True),
        svg.line(middle + 12, AXIS, x + HEAD - 4, AXIS, ink, arrow=True),
        _zoom(middle - 12, middle + 12, AXIS + 18, x, HEAD, ink),
        svg.box(middle - 12, AXIS - 18, 24, 36, ink, "head"),
        svg.card(x, CARD, HEAD, depth, ink),
        stack(layers, middle, HEAD - 12, ink),
        svg.text(middle, CARD + depth + 20, f"{spec.num_classes:,}", ink, 15, **{"font-weight": 600}),
        svg.muted(middle, CARD + depth + 37, "class" if spec.num_classes == 1 else "classes", ink, 12.5),
    ]
    return "".join(parts)


def _stage(
    spec: ModelSpec, table: LayerTable, stage: int, place: tuple[float, float, float], ink: Ink
) -> str:
    x, width, depth = place
    middle, count = x + width / 2, spec.blocks[stage - 1]
    rows = _block_rows(table, stage, 0)
    last = [row for row in _block_rows(table, stage, count - 1) if not row.is_shortcut and row.macs][-1]
    spread = max(max(row.dilation, default=1) for row in table.rows if row.stage == stage)
    parts = [
        svg.text(middle, 18, f"Stage {stage}", ink, 15, **{"font-weight": 600}),
        svg.muted(middle, 35, f"{count} block{'s' * (count > 1)}", ink, 12.5),
        _chain(spec, table, stage, (x, width), ink),
        svg.card(x, CARD, width, depth, ink),
        unfolded(spec, rows, (x, width), ink),
        _size_label(last, middle, CARD + depth, ink, f", dilation {spread}" if spread > 1 else ""),
    ]
    return "".join(parts)


def _chain(spec: ModelSpec, table: LayerTable, stage: int, place: tuple[float, float], ink: Ink) -> str:
    """The blocks of a stage one after the other; a long stage shows its first two, its last, and a count."""
    x, width = place
    count = spec.blocks[stage - 1]
    height = _block_height(table, stage)
    if count * UNIT <= width:
        unit = min(40.0, width / count)
        start = x + (width - unit * count) / 2
        shown = {block: start + unit * block for block in range(count)}
        parts = []
    else:
        unit, start = UNIT, x
        shown = {0: x, 1: x + unit, count - 1: x + width - unit}
        parts = [svg.text(x + width / 2 + unit / 2, AXIS + 5, f"× {count - 3} more", ink, 14)]
    parts += [
        svg.line(x - GAP / 2, AXIS, start, AXIS, ink),
        svg.line(shown[count - 1] + unit, AXIS, x + width + GAP / 2, AXIS, ink),
        _zoom(start + unit * 0.2, start + unit * 0.66, AXIS + height / 2, x, width, ink),
    ]
    for block, at in shown.items():
        parts.append(_small_block(spec, _block_rows(table, stage, block), (at, unit, height), ink))
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
        fork, peak = x + unit * 0.06, top - 13
        curve = f"M{fork:.1f} {AXIS:.1f}C{fork:.1f} {peak - 3:.1f} {join:.1f} {peak - 3:.1f} {join:.1f} {AXIS - 5:.1f}"
        parts += [svg.arc(curve, DASHES[kind], ink, 2), svg.plus(join, AXIS, min(5.5, unit * 0.17), ink)]
    return "".join(parts)


def _block_height(table: LayerTable, stage: int) -> float:
    """Taller for larger maps: 8 units for every halving, so that the eye sees the map shrink."""
    sides = {row.stage: max(row.output_shape[1], 1) for row in table.rows if row.stage and row.macs}
    return min(60.0, 28 + 8 * math.log2(sides[stage] / min(sides.values())))


def _zoom(left: float, right: float, y: float, x: float, width: float, ink: Ink) -> str:
    """The light that falls from a small block on its card."""
    points = f"{left:.1f},{y:.1f} {right:.1f},{y:.1f} {x + width:.1f},{CARD:.1f} {x:.1f},{CARD:.1f}"
    return f'<polygon points="{points}" fill="{ink.text}" fill-opacity="0.06"/>'


def _size_label(row: LayerRow | None, middle: float, bottom: float, ink: Ink, more: str = "") -> str:
    """The map that leaves a column: its sides, then its channels."""
    if row is None:
        return ""
    channels, height, width = row.output_shape
    sides = svg.text(middle, bottom + 20, f"{height} × {width}", ink, 15, **{"font-weight": 600})
    return sides + svg.muted(middle, bottom + 37, f"{channels:,} channels{more}", ink, 12.5)


def _legend(spec: ModelSpec, table: LayerTable, ink: Ink, y: float) -> str:
    """What the lines mean; only those that this net has."""
    kinds = {
        shortcut_kind(spec, _block_rows(table, s + 1, b)) for s, n in enumerate(spec.blocks) for b in range(n)
    }
    words = {
        "identity": "identity shortcut",
        "padding": "identity, padded with zero channels (A)",
        "projection": "projection shortcut (1×1 convolution)",
    }
    if spec.is_plain:
        return svg.text(1, y, "No shortcuts: the only way is through every block.", ink, 13, anchor="start")
    x, parts = 1.0, []
    for kind in [kind for kind in words if kind in kinds]:
        parts.append(svg.arc(f"M{x + 2:.1f} {y - 4:.1f}h36", DASHES[kind], ink))
        parts.append(svg.text(x + 46, y, words[kind], ink, 13, anchor="start"))
        x += 46 + 6.3 * len(words[kind]) + 28
    parts.append(svg.plus(x + 8, y - 4.5, 7, ink))
    parts.append(svg.text(x + 22, y, "addition", ink, 13, anchor="start"))
    return "".join(parts) + svg.text(x + 98, y, "/2 halves the map", ink, 13, anchor="start")
