"""The layer table from further away: one row for each stage, or for each block."""

from __future__ import annotations

from typing import Literal, get_args

from resnet_lab.inspection.table.records import LayerRow, LayerTable

Depth = Literal["stages", "blocks", "layers"]
SUMMED = ("params", "trainable_params", "macs", "weight_bytes", "kept_values", "kept_bytes")


def rollup(table: LayerTable, depth: str) -> tuple[LayerRow, ...]:
    """The rows at this depth; whichever it is, their sums are those of the table.

    A residual net falls into stem, stages (or their blocks) and head, any other module by the first part
    (for blocks: the first two parts) of its layers' paths.

    Raises:
        ValueError: for an unknown depth.
    """
    if depth not in get_args(Depth):
        raise ValueError(f"depth is {depth!r}; it may be {', '.join(get_args(Depth))}")
    if depth == "layers":
        return table.rows
    is_residual, end = any(row.stage for row in table.rows), "stem"
    parts: dict[str, list[LayerRow]] = {}
    for row in table.rows:
        path = ".".join(row.path.split(".")[: 1 if depth == "stages" else 2])
        if row.stage:
            end = "head"  # of what comes behind the stages
        elif is_residual:
            path = end
        parts.setdefault(path, []).append(row)
    return tuple(_joined(path, rows) for path, rows in parts.items())


def _joined(path: str, rows: list[LayerRow]) -> LayerRow:
    """The sums; what goes in is the first row's, what comes out the last one's."""
    called = [row for row in rows if row.output_shape] or rows
    last = called[-1]
    return LayerRow(
        path=path,
        type=_kind(path, rows),
        input_shape=called[0].input_shape,
        output_shape=last.output_shape,
        receptive_field=last.receptive_field,
        field_stride=last.field_stride,
        **{name: sum(getattr(row, name) for row in rows) for name in SUMMED},
    )


def _kind(path: str, rows: list[LayerRow]) -> str:
    """ "3 blocks", or what a block is made of: "1×1, 3×3, 1×1"."""
    blocks = {row.block for row in rows}
    if path.count(".") == 0 and blocks != {None}:
        return f"{len(blocks)} block{'s' * (len(blocks) > 1)}"
    products = [row for row in rows if row.macs and not row.is_shortcut]
    names = ["×".join(map(str, row.kernel)) if row.kernel else row.type for row in products]
    return ", ".join(names) or f"{len(rows)} layer{'s' * (len(rows) > 1)}"
