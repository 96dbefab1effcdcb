"""Which runs are compared."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from resnet_lab.runs import Run
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.shared import shared
from resnet_lab.ui.common.widgets import forget_unless

MOST_RUNS = 12


def choose_runs() -> list[Run]:
    """The runs picked by the reader or the link; at first, the newest pair of a residual and a plain net."""
    runs = {run.id: run for run in navigation.runs()}
    if not runs:
        return []
    if compared := shared().compared:
        st.session_state["runs"] = list(compared[:MOST_RUNS])
        shared().compared = ()
    forget_unless("runs", runs)  # some may have been deleted since
    picked = st.multiselect(
        "Runs",
        list(runs),
        default=None if "runs" in st.session_state else _newest_pair(runs.values()),
        format_func=lambda run_id: _label(runs[run_id]),
        key="runs",
        bind="query-params",
        max_selections=MOST_RUNS,
    )
    return [runs[run_id] for run_id in picked]


def _label(run: Run) -> str:
    """All different: the box knows its options by these words alone."""
    return run.name if run.is_recorded else f"{run.name} · {run.id[:15]} · {run.mark}"


def _newest_pair(runs: Iterable[Run]) -> list[str]:
    """Of the reader's own runs, if there are any."""
    runs = list(runs)
    runs = [run for run in runs if not run.is_recorded] or runs
    plain = next((run for run in runs if run.config.spec.is_plain), None)
    if plain is None:
        return [run.id for run in runs[:2]]
    for run in runs:
        if not run.config.spec.is_plain and run.config.replace(variant=plain.config.variant) == plain.config:
            return [run.id, plain.id]
    return [plain.id]
