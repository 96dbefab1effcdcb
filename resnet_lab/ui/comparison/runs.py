"""Which runs are compared."""

from __future__ import annotations

import streamlit as st

from resnet_lab.runs import Run
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.shared import shared
from resnet_lab.ui.common.widgets import forget_unless

MOST_RUNS = 12


def choose_runs() -> list[Run]:
    """The runs picked by the reader or the link; at first, the newest pair of a residual and a plain net."""
    runs = {run.id: run for run in navigation.store().list()}
    if not runs:
        return []
    if compared := shared().compared:
        st.session_state["runs"] = list(compared[:MOST_RUNS])
        shared().compared = ()
    forget_unless("runs", runs)  # some may have been deleted since
    picked = st.multiselect(
        "Runs",
        list(runs),
        default=None if "runs" in st.session_state else _newest_pair(runs),
        format_func=lambda run_id: f"{runs[run_id].name} · {run_id[:15]} · {run_id[-4:]}",
        key="runs",
        bind="query-params",
        max_selections=MOST_RUNS,
    )
    return [runs[run_id] for run_id in picked]


def _newest_pair(runs: dict[str, Run]) -> list[str]:
    plain = next((run for run in runs.values() if run.config.spec.is_plain), None)
    if plain is None:
        return list(runs)[:2]
    for run in runs.values():
        if not run.config.spec.is_plain and run.config.replace(variant=plain.config.variant) == plain.config:
            return [run.id, plain.id]
    return [plain.id]
