"""Folders among the runs that cannot be read as one."""

from __future__ import annotations

import os
from functools import partial

import streamlit as st

from resnet_lab.runs.store import is_run
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.runs import action
from resnet_lab.ui.runs.selected import delete


def damaged_runs() -> None:
    for run, problem in navigation.store().damaged():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.warning(escape_markdown(problem), icon=":material/broken_image:")
            if is_run(run):
                key = f"runs.remove.{os.fsencode(run.id).hex()}"  # its name may be any bytes
                action("Delete", partial(delete, [run]), "delete", key=key)
