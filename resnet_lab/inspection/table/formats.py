"""The layer table as plain records, CSV, JSON or text: what the page, its downloads and the command line show."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from resnet_lab.inspection.table.records import LayerTable
from resnet_lab.inspection.table.rollup import rollup

FORMATS = ("table", "csv", "json")
TEXT_COLUMNS = ("layer", "type", "kernel", "stride", "output", "parameters", "MACs", "receptive_field")


def records(table: LayerTable, depth: str = "layers") -> list[dict[str, Any]]:
    """One flat record for each row; shares are fractions of the whole net.

    Raises:
        ValueError: for an unknown depth.
    """
    params, macs = max(table.total_params, 1), max(table.total_macs, 1)
    return [
        {
            "layer": row.path,
            "type": f"{row.type}()" if row.is_function else row.type,
            "kernel": "×".join(map(str, row.kernel)),
            "stride": sides(row.stride),
            "padding": sides(row.padding),
            "dilation": sides(row.dilation),
            "groups": row.groups,
            "input": " × ".join(map(str, row.input_shape)),
            "output": " × ".join(map(str, row.output_shape)),
            "parameters": row.params,
            "share_of_parameters": row.params / params,
            "MACs": row.macs,
            "share_of_MACs": row.macs / macs,
            "activation_bytes": row.activation_bytes(),
            "receptive_field": sides(row.receptive_field),
            "field_stride": sides(row.field_stride),
        }
        for row in rollup(table, depth)
    ]


def sides(sizes: Sequence[int] | str) -> str:
    """One number where all sides agree: (2, 2) → 2."""
    if isinstance(sizes, str):
        return sizes
    return "×".join(map(str, sizes if len(set(sizes)) > 1 else sizes[:1]))


def totals(table: LayerTable) -> dict[str, Any]:
    return {
        "net": table.name,
        "input_size": list(table.input_size),
        "rows": len(table.rows),
        "parameters": table.total_params,
        "trainable_parameters": table.trainable_params,
        "MACs": table.total_macs,
        "weight_bytes": table.weight_bytes,
        "activation_bytes": table.activation_bytes(),
    }


def as_csv(table: LayerTable, depth: str = "layers") -> str:
    rows = records(table, depth)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_json(table: LayerTable, depth: str = "layers") -> str:
    return json.dumps({**totals(table), "layers": records(table, depth)}, indent=1, ensure_ascii=False)


def as_text(table: LayerTable, depth: str = "layers") -> str:
    """Columns in line, numbers to the right, and the sums last."""
    rows = [[_cell(record[name]) for name in TEXT_COLUMNS] for record in records(table, depth)]
    header = [name.replace("_", " ") for name in TEXT_COLUMNS]
    total = ["total", "", "", "", "", _cell(table.total_params), _cell(table.total_macs), ""]
    widths = [max(len(line[i]) for line in (header, *rows, total)) for i in range(len(header))]

    def line(cells: list[str]) -> str:
        left = [f"{cell:<{width}}" for cell, width in zip(cells[:2], widths[:2], strict=True)]
        right = [f"{cell:>{width}}" for cell, width in zip(cells[2:], widths[2:], strict=True)]
        return "  ".join(left + right).rstrip()

    return "\n".join(map(line, [header, *rows, total]))


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
