"""The numbers above the diagram of the architecture page, and the published ones below it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from resnet_lab.inspection import LayerTable, layer_table, published
from resnet_lab.inspection.sums import say_sum
from resnet_lab.inspection.table.reference import MACS, PARAMS, Published, other_shortcuts, same_net
from resnet_lab.models import VARIANTS, ModelSpec, default_input_size
from resnet_lab.ui.common import navigation
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
    sums = list(dict.fromkeys(say_sum(spec, shape, "s(x)") for shape in spec.block_shapes()))
    is_usual = sums in (["F(x)"], ["F(x) + s(x)"])
    weighed = "" if is_usual else f"; y = {', '.join(sums[:4])}{', …' * (len(sums) > 4)}"
    return f"{block}, {stages} in the stages{before}; {SHORTCUTS[spec.shortcut]}{more}{weighed}."


def totals(table: LayerTable) -> None:
    gates = sum(row.macs > 0 and row.is_join for row in table.rows)
    facts(
        {
            "Parameters (all trainable)": f"{table.total_params:,}",
            "MACs": giga(table.total_macs),
            "FLOPs (2 × MACs)": giga(2 * table.total_macs),
            "Weights (float32)": f"{table.weight_bytes / 1e6:,.1f} MB",
            "Activations per image": f"{table.activation_bytes() / 1e6:,.1f} MB",
            "Weighted layers": f"{table.named_layers:,}",
            "Projection shortcuts": f"{table.weight_layers - table.named_layers - gates:,}",
            **({"Gates": f"{gates:,}"} if gates else {}),
        }
    )


def giga(count: int) -> str:
    """4,089,184,256 → 4.089 G."""
    return f"{count / 1e9:,.3f} G" if count >= 1e9 else f"{count / 1e6:,.1f} M"


def beside_published(spec: ModelSpec) -> None:
    """What others published about this variant, beside the lab's own count at the same image size."""
    records = published(spec.name) if spec.name in VARIANTS else ()
    shortcuts = other_shortcuts(spec)
    if shortcuts:
        _beside_shortcuts(spec, shortcuts)
    if not records and not shortcuts:
        st.markdown(
            "Nobody published figures for this net that we know of; the counts above are the lab's own."
        )
    if not records:
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


def _beside_shortcuts(spec: ModelSpec, figures: tuple[tuple[Published, ModelSpec], ...]) -> None:
    """Other shortcuts in the paper, and in the reader's own runs of nets of this depth."""
    ours = [
        (run.config.spec, run.status.test_accuracy)
        for run in navigation.runs()
        if run.config.dataset == "cifar10"
    ]
    rows: dict[str, list[str]] = {"shortcuts": [], "published": [], "ours": [], "this net": []}
    for record, net in figures:
        errors = [
            100 - 100 * accuracy for own, accuracy in ours if accuracy is not None and same_net(own, net)
        ]
        rows["shortcuts"].append(record.note.removeprefix("110 layers, "))
        rows["published"].append(record.text)
        rows["ours"].append(f"{min(errors):.2f} %" if errors else "–")
        rows["this net"].append("●" if same_net(spec, net) else "")
    config: dict[str, Any] = {
        "published": RIGHT,
        "ours": RIGHT,
        "shortcuts": st.column_config.Column(width=360),
    }
    st.dataframe(rows, hide_index=True, column_config=config)
    layers = 6 * spec.blocks[0] + 2
    st.caption(
        "CIFAR-10 test error with other shortcuts. Published: 110 layers, median of 5 runs; “fail” is above 20 % (He "
        f"et al. 2016, Table 1). Ours: the best run of this lab with {layers} layers."
    )
