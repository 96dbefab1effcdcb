"""The table of all runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from resnet_lab.runs import Run
from resnet_lab.ui.common.runs import BADGES, RECORDED


def run_table(runs: Sequence[Run]) -> list[Run]:
    """Shows every run and returns those that the reader selected."""
    rows = []
    for run in runs:
        status, config = run.status, run.config
        rows.append(
            {
                "name": run.name,
                "state": (RECORDED if run.is_recorded else BADGES[status.state])[0],
                "net": config.spec.name,
                "data": config.dataset,
                "started": datetime.fromtimestamp(status.created) if status.created else None,
                "progress": status.step / status.total_steps if status.total_steps else 0.0,
                "validation": None if status.val_accuracy is None else 100 * status.val_accuracy,
                "test": None if status.test_accuracy is None else 100 * status.test_accuracy,
                "note": status.message,
            }
        )
    number = st.column_config.NumberColumn
    table = st.dataframe(
        rows,
        hide_index=True,
        key="runs.table." + "-".join(run.id for run in runs),  # another list begins with nothing selected
        on_select="rerun",
        selection_mode="multi-row",
        column_config={
            "started": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm"),
            "progress": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1),
            "validation": number("validation (%)", format="%.1f"),
            "test": number("test (%)", format="%.1f", help="Of the best weights by validation."),
        },
    )
    return [runs[i] for i in table.selection.rows if i < len(runs)]
