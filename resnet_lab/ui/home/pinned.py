"""Runs that the teacher has pinned to everyone's home page."""

from __future__ import annotations

import streamlit as st

from resnet_lab.runs import RunError
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.markdown import escape_markdown


def pinned_runs() -> None:
    """A line that leads to each; those that have been deleted are left out."""
    desk = navigation.desk()
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.markdown(":material/keep: Pinned:", width="content")
        for run_id in desk.room.pinned:
            try:
                run = navigation.store().get(run_id)
            except RunError:
                continue
            st.page_link(
                navigation.page_path("training"),
                label=escape_markdown(run.name),
                query_params={"run": run.id},
                width="content",
            )
