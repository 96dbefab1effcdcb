"""The numbers above the diagram of the architecture page, and the published ones below it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from resnet_lab.inspection import LayerTable, layer_table, published
from resnet_lab.inspection.table.reference import MACS, PARAMS
from resnet_lab.models import VARIANTS, ModelSpec, default_input_size
from resnet_lab.ui.common.markdown import facts

RIGHT = st.column_config.TextColumn(alignment="right")
BLOCKS = {(3, 3): "Basic blocks (3×3, 3×3)", (1, 3, 1): "Bottleneck blocks (1×1, 3×3, 1×1)"}
SHORTCUTS = {
    "pad": "identity shortcuts, padded with zeros where the shape changes (option A)",
    "projection": "identity shortcuts, projections where the shape changes (option B)",
    "projection_all": "projection shortcuts everywhere (option C)",
    "none": "no shortcuts",
}


def describe(spec: ModelSpec) -> str:
    """The net in one line."""
    block = BLOCKS.get(spec.block) or f"Blocks of {', '.join(f'{k}×{k}' for k in spec.block)}"
    before = ", norm and ReLU before each convolution" if spec.preactivation else ""
    own = [shape for shape in spec.block_shapes() if shape.shortcut in ("pad", "projection")]
    extra = 0 if spec.shortcut == "projection_all" else sum(not shape.changes_shape for shape in own)
    more = f", and on {extra} more block{'s' * (extra > 1)}" if extra else ""
    stages = "-".join(map(str, spec.blocks))
    return f"{block}, {stages} in the stages{before}; {SHORTCUTS[spec.shortcut]}{more}."


def totals(table: LayerTable) -> None:
    facts(
        {
            "Parameters (all trainable)": f"{table.total_params:,}",
            "MACs": giga(table.total_macs),
            "FLOPs (2 × MACs)": giga(2 * table.total_macs),
            "Weights (float32)": f"{table.weight_bytes / 1e6:,.1f} MB",
            "Activations per image": f"{table.activation_bytes() / 1e6:,.1f} MB",
            "Weighted layers": f"{table.named_layers:,}",
            "Projection shortcuts": f"{table.weight_layers - table.named_layers:,}",
        }
    )


def giga(count: int) -> str:
    """4,089,184,256 → 4.089 G."""
    return f"{count / 1e9:,.3f} G" if count >= 1e9 else f"{count / 1e6:,.1f} M"


def beside_published(spec: ModelSpec) -> None:
    """What others published about this variant, beside the lab's own count at the same image size."""
    records = published(spec.name) if spec.name in VARIANTS else ()
    if not records:
        st.markdown(
            "Nobody published figures for this net that we know of; the counts above are the lab's own."
        )
        return
    size = default_input_size(spec.name)
    table = layer_table(spec.name, (3, size, size))
    ours = {PARAMS: f"{table.total_params:,}", MACS: f"{table.total_macs:,}"}
    rows = {
        "figure": [record.quantity for record in records],
        "published": [record.text for record in records],
        "ours": [ours.get(record.quantity, "–") for record in records],
        "source": [record.source for record in records],
        "note": [record.note for record in records],
    }
    config: dict[str, Any] = {"published": RIGHT, "ours": RIGHT, "note": st.column_config.Column(width=360)}
    st.dataframe(rows, hide_index=True, column_config=config)
    st.caption(
        f"Counts of the net as published, for {size} × {size} images. Accuracies have no “ours” until you train."
    )
