"""What can be done with the runs that are selected, and what they look like beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from resnet_lab.classroom.classroom import classroom
from resnet_lab.experiments.report import REPORT
from resnet_lab.runs import Run
from resnet_lab.runs.trash import Batch
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.experiment import experiment_view
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.runs import action
from resnet_lab.ui.common.shared import choose_run, shared
from resnet_lab.ui.runs import actions
from resnet_lab.ui.runs.edit import edit
from resnet_lab.ui.runs.take_along import take_along

DELETED = "runs.deleted"  # the batch that Undo brings back


def buttons(picked: Sequence[Run]) -> None:
    desk = navigation.desk()
    one, fixed = len(picked) == 1, any(run.is_recorded or not desk.may_change(run) for run in picked)
    with st.container(horizontal=True):
        if st.button("Open", icon=":material/show_chart:", disabled=not one):
            choose_run(picked[0].id)
            st.switch_page(navigation.page_path("training"), query_params={"run": picked[0].id})
        if st.button("Compare", icon=":material/compare_arrows:", disabled=len(picked) < 2):
            shared().compared = tuple(run.id for run in picked)
            st.switch_page(navigation.page_path("comparison"))
        if st.button("Edit", icon=":material/edit:", disabled=not picked or fixed):
            edit(picked)
        action("Delete", partial(delete, picked), "delete", disabled=not picked or fixed)
        take_along(picked)
        if one and classroom().is_open and desk.person.is_teacher:
            pinned = picked[0].id in desk.room.pinned
            action("Unpin" if pinned else "Pin", partial(desk.pin, picked[0], not pinned), "keep")
    if not picked:
        st.caption(
            "Select rows to see their curves and settings beside each other, and to open, compare, edit or delete "
            "them. What came with the lab stays as it is."
        )


def delete(runs: Sequence[Run]) -> None:
    """
    Raises:
        RunError: as `actions.delete`.
    """
    st.session_state[DELETED] = actions.delete(runs)


def undo() -> None:
    """Says what was deleted last in this session, for as long as it can be had back."""
    batch: Batch | None = st.session_state.get(DELETED)
    if batch is None or not (names := batch.names):
        return
    what = escape_markdown(names[0]) if len(names) == 1 else f"{len(names)} runs"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(f"Deleted {what}. Undo works for a day.", icon=":material/delete:")
        action("Undo", partial(actions.restore, batch), "undo", type="primary")
    if batch.foreign:
        files = escape_markdown(", ".join(batch.foreign))
        st.warning(f"Files that are not the lab's went with it: {files}. Cleaning up will leave them.")


def beside_each_other(picked: list[Run]) -> None:
    """Curves, results, settings and conditions, and the report of them as a file."""
    if len(picked) > (REPORT.most or len(picked)):
        st.caption(f"The first {REPORT.most} of {len(picked)} selected runs.")
    if picked:
        experiment_view(REPORT, picked)
