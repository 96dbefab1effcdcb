"""The parts of the architecture page: diagram, numbers and tables of a net."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from resnet_lab.figures.palette import INK
from resnet_lab.figures.theme import kind_colour
from resnet_lab.inspection import Ink, LayerRow, LayerTable, diagram_svg, layer_table, published, twin_of
from resnet_lab.inspection.reference import MACS, PARAMS
from resnet_lab.models import ModelSpec, default_input_size
from resnet_lab.ui.runs import is_dark
from resnet_lab.ui.text import facts

JS = Path(__file__).with_name("net_diagram.js")
PAGE = {"light": "#FFFFFF", "dark": "#12161B"}  # backgroundColor in .streamlit/config.toml
NUMBER = st.column_config.NumberColumn(format="localized")
RIGHT = st.column_config.TextColumn(alignment="right")
BLOCKS = {(3, 3): "Basic blocks (3×3, 3×3)", (1, 3, 1): "Bottleneck blocks (1×1, 3×3, 1×1)"}
SHORTCUTS = {
    "pad": "identity shortcuts, padded with zeros where the shape changes (option A)",
    "projection": "identity shortcuts, projections where the shape changes (option B)",
    "projection_all": "projection shortcuts everywhere (option C)",
    "none": "no shortcuts",
}


@st.cache_resource(show_spinner=False)
def _component() -> Callable[..., Any]:
    html = '<div class="net-diagram"></div>'
    return st.components.v2.component("net_diagram", html=html, js=JS.read_text())


def diagram(spec: ModelSpec, table: LayerTable, opened: int) -> None:
    """Draws the net; of each stage, block `opened` (from 0) is shown layer by layer."""
    theme = "dark" if is_dark() else "light"
    ink = Ink(INK[theme][0], PAGE[theme], kind_colour(spec.is_plain, is_dark()))
    _component()(data={"svg": diagram_svg(spec, table, ink, opened)}, key="diagram")


def describe(spec: ModelSpec) -> str:
    """The net in one line."""
    block = BLOCKS.get(spec.block) or f"Blocks of {', '.join(f'{k}×{k}' for k in spec.block)}"
    before = ", norm and ReLU before each convolution" if spec.preactivation else ""
    extra = sum(map(len, spec.extra_projections))
    more = f", and on {extra} more blocks" if extra else ""
    stages = "-".join(map(str, spec.blocks))
    return f"{block}, {stages} in the stages{before}; {SHORTCUTS[spec.shortcut]}{more}."


def totals(table: LayerTable) -> None:
    projections = table.weight_layers - table.named_layers
    facts(
        {
            "Parameters": f"{table.total_params:,}",
            "MACs": giga(table.total_macs),
            "FLOPs (2 × MACs)": giga(2 * table.total_macs),
            "Weights (float32)": f"{table.weight_bytes / 1e6:,.1f} MB",
            "Layers, as the papers count": f"{table.named_layers:,}",
            "Projections besides": f"{projections:,}",
        }
    )


def giga(count: int) -> str:
    """4,089,184,256 → 4.089 G."""
    return f"{count / 1e9:,.3f} G" if count >= 1e9 else f"{count / 1e6:,.1f} M"


def layers(table: LayerTable) -> None:
    """The layer table, and under it the sums of its columns."""
    frame = [_cells(row) for row in table.rows]
    dilated = any(max(row.dilation, default=1) > 1 for row in table.rows)
    config: dict[str, Any] = dict.fromkeys(list(frame[0])[2:], RIGHT) | {"parameters": NUMBER, "MACs": NUMBER}
    shown = [name for name in frame[0] if dilated or name != "dilation"]
    st.dataframe(frame, hide_index=True, height=420, column_order=shown, column_config=config)
    st.markdown(
        f"**Sum of {len(table.rows):,} rows: {table.total_params:,} parameters, {table.total_macs:,} MACs.**"
    )
    st.caption(
        "Shapes are channels × height × width. MACs are counted in convolutions and linear layers. "
        "See where the parameters sit, and where the work: rarely in the same rows."
    )


def _cells(row: LayerRow) -> dict[str, Any]:
    return {
        "layer": row.path,
        "type": row.type,
        "kernel": "×".join(map(str, row.kernel)),
        "stride": _sides(row.stride),
        "padding": _sides(row.padding),
        "dilation": _sides(row.dilation),
        "groups": str(row.groups or ""),
        "input": " × ".join(map(str, row.input_shape)),
        "output": " × ".join(map(str, row.output_shape)),
        "parameters": row.params,
        "MACs": row.macs,
    }


def _sides(sizes: Sequence[int] | str) -> str:
    """One number where all sides agree: (2, 2) → 2."""
    if isinstance(sizes, str):
        return sizes
    return str(sizes[0]) if len(set(sizes)) == 1 else "×".join(map(str, sizes))


def twins(spec: ModelSpec, table: LayerTable) -> None:
    """The counts of the net and of the same net with, or without, shortcuts."""
    pair = [table, layer_table(twin_of(spec), table.input_size)]
    rows = [
        {
            "net": each.name,
            "parameters": each.total_params,
            "in projections": sum(row.params for row in each.rows if row.is_shortcut),
            "MACs": each.total_macs,
            "layers": each.weight_layers,
        }
        for each in pair
    ]
    numbers = dict.fromkeys(("parameters", "in projections", "MACs", "layers"), NUMBER)
    st.dataframe(rows, hide_index=True, column_config=numbers)
    differ = abs(pair[0].total_params - pair[1].total_params)
    st.caption(
        f"They differ by {differ:,} parameters, those of the projections: the way through the blocks is the same."
        if differ
        else "Not one parameter more or less: the shortcuts are free, and the way through the blocks is the same."
    )


def beside_published(spec: ModelSpec) -> None:
    """What others published about this variant, beside the lab's own count at the same picture size."""
    records = published(spec.name)
    if not records:
        st.markdown(
            "Nobody published figures for this net that we know of; the counts above are the lab's own."
        )
        return
    size = default_input_size(spec.name)
    table = layer_table(spec.name, (3, size, size))
    ours = {PARAMS: f"{table.total_params:,}", MACS: f"{table.total_macs:,}"}
    rows = [
        {
            "figure": record.quantity,
            "published": record.text,
            "ours": ours.get(record.quantity, "–"),
            "source": record.source,
            "note": record.note,
        }
        for record in records
    ]
    config: dict[str, Any] = {"published": RIGHT, "ours": RIGHT, "note": st.column_config.Column(width=360)}
    st.dataframe(rows, hide_index=True, column_config=config)
    st.caption(
        f"Counts of the net as published, for {size} × {size} pictures. Accuracies have no “ours” until you train."
    )
