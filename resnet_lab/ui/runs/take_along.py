"""Runs as files: out of this lab, and into it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from resnet_lab.inspection.export.formats import EXPORTS
from resnet_lab.runs import Run, load_run_model
from resnet_lab.runs.archive import pack
from resnet_lab.ui.common.runs import attempt
from resnet_lab.ui.common.widgets import download
from resnet_lab.ui.runs import actions

WEIGHTS = EXPORTS["safetensors"]


def take_along(picked: Sequence[Run]) -> None:
    """The run as a zip file, and its weights; the report is below."""
    run = picked[0] if len(picked) == 1 else None
    with st.popover("Take along", icon=":material/download:", disabled=run is None):
        if run is None:
            return
        download(
            "Run as a zip file", partial(pack, run), f"{run.id}.zip", "application/zip", width="stretch",
            disabled=run.is_recorded or run.status.is_active, help="All of it, for **Import** in another lab.",
        )  # fmt: skip
        download(
            "Weights, safetensors", partial(_weights, run), f"{run.id}{WEIGHTS.suffix}", WEIGHTS.mime, width="stretch",
            disabled=run.best_checkpoint is None,
            help="The best weights by validation, and in the header the net's spec, its classes and how it is fed.",
        )  # fmt: skip


def _weights(run: Run) -> bytes:
    net = load_run_model(run)
    return WEIGHTS.write(net, (3, net.side, net.side))


def import_run() -> None:
    with st.popover("Import", icon=":material/upload:"):
        file = st.file_uploader("A zip file that another lab made of a run", "zip", key="runs.archive")
        pressed = st.button("Import this run", type="primary", disabled=file is None)
        if pressed and file is not None:
            with st.spinner("Unpacking …"):
                attempt(partial(actions.import_run, file.getvalue(), file.name))
