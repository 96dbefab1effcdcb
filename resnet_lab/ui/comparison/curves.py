"""Several runs on one page: their curves over one another, and a table of how they ended."""

from __future__ import annotations

import streamlit as st

from resnet_lab.experiments.curves import curves_report
from resnet_lab.figures.curves import Curve, Mark
from resnet_lab.figures.page import html_page
from resnet_lab.figures.seeds import pool
from resnet_lab.inspection.table.reference import cifar_error
from resnet_lab.models.cifar import cifar_net, family
from resnet_lab.runs import Run, RunStatus
from resnet_lab.training.races import differences
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.download import download
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.runs import BADGES, curve
from resnet_lab.ui.common.shared import runs_to_compare
from resnet_lab.ui.common.widgets import forget_unless
from resnet_lab.ui.training.run import REFRESH, Look, Pairs, curve_charts, curve_controls

MOST_RUNS = 12
PAIRS: Pairs = {"Error, loss": ("error", "loss"), "Rate, gradient": ("lr", "grad_norm")}


def choose_runs() -> list[Run]:
    """The runs picked by the reader or the link; at first, the newest pair of a residual and a plain net."""
    runs = {run.id: run for run in navigation.store().list()}
    if not runs:
        return []
    if compared := runs_to_compare():
        st.session_state["runs"] = list(compared)
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
    if not runs:
        st.info(
            "Nothing to compare yet. Press **Race**: with 32 layers each net takes about a minute on a laptop, "
            "and the curves appear here as they train.",
            icon=":material/arrow_upward:",
        )
        return
    active = any(run.status.is_active for run in runs)
    body = st.container()
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        look = curve_controls("comparison", PAIRS)
        paper = st.toggle(
            "Paper",
            True,
            key="comparison.paper",
            persist_state="session",
            help="Errors in He et al. 2015, dashed.",
        )
    with body:
        st.fragment(_live, run_every=REFRESH if active else None)(runs, look, paper, active)
    download(
        "Curves and table as one HTML file",
        lambda: html_page("Residual against plain", curves_report(runs)),
        "comparison.html",
        "text/html",
    )


def _live(runs: list[Run], look: Look, paper: bool, was_active: bool) -> None:
    statuses = [run.status for run in runs]
    if any(status.is_active for status in statuses) != was_active:
        st.rerun()
    curves = [curve(run) for run in runs]
    pooled = pool(curves, [run.config.replace(seed=0) for run in runs])
    curve_charts(pooled, look, "comparison.curves", _marks(runs) if paper else ())
    st.caption(
        "Blue: with shortcuts. Orange: plain. Thin: training batches. Thick: validation. "
        + (
            "Where seeds are pooled: their mean, and a band from lowest to highest. "
            if len(pooled) < len(runs)
            else ""
        )
        + "A short run shows how easily each net is optimised, as the training curve tells. It cannot show where they "
        "would end: the paper trains for 64,000 iterations, and the dashed lines are its ends."
    )
    _differences(runs)
    _table(runs, statuses, curves)
    for run, status in zip(runs, statuses, strict=True):
        if status.state == "failed":
            st.error(escape_markdown(f"{run.name}: {status.message}"))


def _marks(runs: list[Run]) -> list[Mark]:
    """What the paper's nets of these depths came to; only the first of each kind says so in words."""
    marks: list[Mark] = []
    for spec in dict.fromkeys(run.config.spec for run in runs):
        net = family(spec)
        name = "" if net is None else cifar_net(net[0], "plain" if spec.is_plain else "A").name
        error = cifar_error(name)
        if error is None or any(mark.value == error for mark in marks):
            continue
        first = not any(mark.plain == spec.is_plain for mark in marks)
        text = f"paper: 64k iterations, CIFAR-10: {name} {error:g} %" if first else ""
        marks.append(Mark(error, text, spec.is_plain))
    return marks


def _differences(runs: list[Run]) -> None:
    """Every run beside the first must differ in its shortcuts, and perhaps its seed, alone; else it is said."""
    found = differences([run.config.replace(seed=0) for run in runs])
    if found:
        st.warning(
            escape_markdown(f"These runs differ in more than their shortcuts. {'; '.join(found)}."),
            icon=":material/balance:",
        )


def _table(runs: list[Run], statuses: list[RunStatus], curves: list[Curve]) -> None:
    rows = []
    for run, status, records in zip(runs, statuses, curves, strict=True):
        rows.append(
            {
                "run": run.name,
                "state": BADGES[status.state][0],
                "shortcut": run.config.spec.shortcut,
                "parameters": records.started.params if records.started else None,
                "step": status.step,
                "best validation": _hundred(status.val_accuracy),
                "test": _hundred(status.test_accuracy),
                "seconds": records.points[-1].seconds if records.points else None,
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
            "test": number("test (%)", format="%.1f", help="Of the best weights by validation."),
            "seconds": number("training time (s)", format="%.0f"),
        },
    )


def _hundred(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction
