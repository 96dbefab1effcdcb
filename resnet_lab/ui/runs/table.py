"""The table of all runs: which of them are shown, in which columns, and which are selected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import streamlit as st

from resnet_lab.runs import Run
from resnet_lab.runs.filter import parse_filter
from resnet_lab.runs.names import setting_text
from resnet_lab.training.races import differing
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.widgets import forget_unless, keep_in_link
from resnet_lab.ui.runs.overview import FIGURES, KINDS, OF_NET, SEARCHED, SETTINGS, Overview, overview

FIRST, LAST = ("name", "curve", "validation", "test", "state", "tags"), ("started", "progress", "note")
SELECTED = "selected"  # the name in the link
MOST_IN_LINK = 60  # ids, of 30 letters each
EXAMPLES = (
    "Words are looked for in name, tags, note, net and data set. Comparisons: `lr > 0.05`, `test >= 90`, "
    "`net = resnet20`, `tag = homework`, `started >= 2026-11-30`, `weights != none`; several must all hold. "
    "Names are those of the columns."
)


def run_table(runs: Sequence[Run]) -> list[Run]:
    """Asks for a filter and columns, shows the runs, and returns those that the reader selected.

    Filter, columns and selection stand in the link.
    """
    text, chosen = st.columns([3, 2])
    asked = text.text_input(
        "Filter", key="filter", bind="query-params", icon=":material/search:", help=EXAMPLES, max_chars=500,
        placeholder="lr > 0.05 test >= 90 tag = homework",
    )  # fmt: skip
    offered = [name for name in KINDS if name not in (*FIRST, *LAST)]
    forget_unless("columns", offered)
    columns = chosen.multiselect(
        "Columns", offered, key="columns", bind="query-params", placeholder="Settings that differ"
    )
    shown = _filtered([overview(run) for run in runs], asked or "")
    if not shown:
        st.info("No run matches this filter.", icon=":material/filter_alt:")
        return []
    columns = columns or _telling([each.run for each in shown])
    ids = [each.run.id for each in shown]
    wanted = set(_selected())
    table = st.dataframe(
        [_row(each, columns) for each in shown],
        hide_index=True,
        # Another list of runs is another table, which begins with what was selected of it.
        key="runs.table." + sha256("\n".join(ids).encode()).hexdigest()[:16],
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [i for i, run_id in enumerate(ids) if run_id in wanted]}},
        column_config=_look(columns),
        row_height=40,
        placeholder="–",
    )
    selected = [shown[i].run for i in table.selection.rows if i < len(shown)]
    _keep([run.id for run in selected])
    return selected


def _selected() -> Sequence[str]:
    """The ids that the link names, or else that the session had when the page was left."""
    said = st.query_params.get(SELECTED)
    return st.session_state.get("runs.selected", ()) if said is None else said.split(",")


def _keep(ids: Sequence[str]) -> None:
    st.session_state["runs.selected"] = ids
    keep_in_link(SELECTED, ",".join(ids) if len(ids) <= MOST_IN_LINK else "")


def _filtered(overviews: list[Overview], text: str) -> list[Overview]:
    """Where the filter cannot be read the page says why, and all are shown."""
    try:
        is_meant = parse_filter(text, KINDS, SEARCHED)
    except ValueError as error:
        st.warning(f"This filter cannot be read: {escape_markdown(str(error))}.")
        return overviews
    return [each for each in overviews if is_meant(each.values)]


def _telling(runs: Sequence[Run]) -> list[str]:
    """The net, the data, and settings of the recipe that tell these runs apart; a net's name stands for its spec."""
    found = [name for name in differing([run.config for run in runs]) if name not in OF_NET]
    return list(dict.fromkeys(["net", "dataset", *found]))


def _row(each: Overview, columns: Sequence[str]) -> dict[str, Any]:
    values = {**each.values, "curve": each.accuracies, "progress": each.progress}
    return {name: _cell(name, values[name]) for name in (*FIRST, *columns, *LAST)}


def _cell(name: str, value: Any) -> Any:
    """Numbers, moments and lists of tags as they are; all else as text."""
    if name == "tags":
        return list(value)
    return setting_text(value) if value is not None and KINDS.get(name) in (tuple, bool, str) else value


def _look(columns: Sequence[str]) -> Mapping[str, Any]:
    config, number = st.column_config, st.column_config.NumberColumn
    looks = {
        "name": config.TextColumn(pinned=True, width="medium"),
        "curve": config.LineChartColumn(y_min=0, y_max=100, width="small", help="Validation accuracy by epoch."),
        "tags": config.ListColumn(width="small"),
        "validation": number("validation (%)", format="%.1f", help=FIGURES["validation"][1]),
        "test": number("test (%)", format="%.1f", help=FIGURES["test"][1]),
        "started": config.DatetimeColumn(format="D MMM YYYY, HH:mm"),
        "progress": config.ProgressColumn(format="percent", min_value=0, max_value=1),
        "note": config.TextColumn(width="medium"),
    }  # fmt: skip
    for name in columns:
        about = FIGURES[name][1] if name in FIGURES else SETTINGS[name].help
        if KINDS[name] in (int, float):
            looks[name] = number(help=about, format="%.4g" if KINDS[name] is float else None)
        else:
            looks[name] = config.Column(help=about)
    return looks
