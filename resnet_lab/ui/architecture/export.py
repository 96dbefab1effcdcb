"""Downloads of the net: ONNX, PyTorch source, weights, spec, diagram."""

from __future__ import annotations

from functools import partial

import streamlit as st

from resnet_lab.inspection import LayerTable
from resnet_lab.inspection.export.formats import EXPORTS
from resnet_lab.inspection.export.onnx import MAX_BYTES
from resnet_lab.inspection.export.source import standalone_source
from resnet_lab.models import ModelSpec
from resnet_lab.runs import load_run_model
from resnet_lab.ui.architecture import diagram
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.widgets import download

FRESH = "freshly drawn (seed 0)"


def export_view(spec: ModelSpec, table: LayerTable) -> None:
    """One button a format; the weights are those of a run of this net, or drawn for the occasion."""
    channels, height, width = table.input_size
    size = (channels, height, width)
    runs = {  # trained ones of this very net
        f"{run.name} ({run.id})": run
        for run in navigation.runs()
        if run.best_checkpoint and run.config.spec.replace(num_classes=spec.num_classes) == spec
    }
    run = runs.get(st.selectbox("Weights", [FRESH, *runs], width=420)) if runs else None
    trained = load_run_model(run) if run else None
    if trained is not None:
        spec = trained.model.spec  # with the classes of its data
    too_large = table.weight_bytes > MAX_BYTES
    if too_large:
        st.warning(f"Its weights take {table.weight_bytes / 1e9:,.1f} GB: too much for a download.")
    for name, export in EXPORTS.items():
        with st.container(horizontal=True, vertical_alignment="center"):
            download(
                export.label, partial(export.write, trained or spec, size), f"{spec.name}{export.suffix}", export.mime,
                key=f"architecture.export.{name}", width=190, disabled=too_large and export.has_weights,
            )  # fmt: skip
            st.caption(export.about)
    with st.container(horizontal=True, vertical_alignment="center"):
        content = partial(diagram.svg, spec, table)
        download("Diagram", content, f"{spec.name}.svg", "image/svg+xml", width=190)
        st.caption("SVG, as it is shown above.")
    if st.toggle("Read the source here", key="code", bind="query-params"):
        st.code(standalone_source(spec, size, trained), "python", line_numbers=True, height=480)
