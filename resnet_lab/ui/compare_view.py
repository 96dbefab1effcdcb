"""Several runs on one page: their curves over one another, and a table of how they ended."""

from __future__ import annotations

import streamlit as st

from resnet_lab.figures.curves import Curve
from resnet_lab.runs import Run, RunStatus
from resnet_lab.ui import shell
from resnet_lab.ui.run_view import REFRESH, Look, curve_charts, curve_controls
from resnet_lab.ui.runs import BADGES, curve
from resnet_lab.ui.text import plain

MOST_RUNS = 8


def choose_runs() -> list[Run]:
    """The runs picked by the reader or the link; at first, the newest pair of a residual and a plain net."""
    runs = {run.id: run for run in shell.store().list()}
    if not runs:
        return []
    if "runs" in st.session_state:  # runs may have been deleted since
        st.session_state["runs"] = [i for i in st.session_state["runs"] if i in runs]
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
    plain_run = next((run for run in runs.values() if run.config.spec.is_plain), None)
    if plain_run is None:
        return list(runs)[:2]
    wanted = plain_run.config
    for run in runs.values():
        if not run.config.spec.is_plain and run.config.replace(variant=wanted.variant) == wanted:
            return [run.id, plain_run.id]
    return [plain_run.id]


def compare_view(runs: list[Run]) -> None:
    """Shows the runs, and keeps showing them while one of them goes on."""
    active = any(run.status.is_active for run in runs)
    body = st.container()
    look = curve_controls()
    with body:
        st.fragment(_live, run_every=REFRESH if active else None)(runs, look, active)


def _live(runs: list[Run], look: Look, was_active: bool) -> None:
    statuses = [run.status for run in runs]
    if any(status.is_active for status in statuses) != was_active:
        st.rerun()
    curves = [curve(run) for run in runs]
    curve_charts(curves, look, "compare")
    recipes = {run.config.replace(variant="resnet20") for run in runs}
    st.caption(
        "Blue: with shortcuts. Orange: plain. Thin: training batches. Thick: validation. "
        + (
            "One recipe, the same pictures: see how far apart they come out."
            if len(recipes) == 1
            else "These runs differ in more than their nets."
        )
    )
    _table(runs, statuses, curves)
    for run, status in zip(runs, statuses, strict=True):
        if status.state == "failed":
            st.error(plain(f"{run.name}: {status.message}"))


def _table(runs: list[Run], statuses: list[RunStatus], curves: list[Curve]) -> None:
    rows = []
    for run, status, records in zip(runs, statuses, curves, strict=True):
        rows.append(
            {
                "run": run.name,
                "state": BADGES[status.state][0],
                "shortcut": run.config.spec.shortcut,
                "parameters": (records.started or {}).get("params"),
                "step": status.step,
                "best validation": _hundred(status.val_accuracy),
                "test": _hundred(status.test_accuracy),
                "seconds": records.points[-1]["seconds"] if records.points else None,
            }
        )
    number = st.column_config.NumberColumn
    st.dataframe(
        rows,
        hide_index=True,
        column_config={
            "parameters": number(format="localized"),
            "step": number(format="localized"),
            "best validation": number("best validation (%)", format="%.1f"),
            "test": number("test (%)", format="%.1f"),
            "seconds": number("training time (s)", format="%.0f"),
        },
    )


def _hundred(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction
