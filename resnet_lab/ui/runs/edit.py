"""Name, tags and note of one run, or the tags of several."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from resnet_lab.runs import Run
from resnet_lab.runs.notes import LONGEST_NOTE, LONGEST_TAG
from resnet_lab.runs.run import LONGEST_NAME
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.runs import attempt
from resnet_lab.ui.runs import actions


@st.dialog("Edit")
def edit(runs: Sequence[Run]) -> None:
    """What is written here is plain text wherever it stands."""
    known = {tag for run in navigation.store().list() for tag in run.notes.tags}
    if len(runs) == 1:
        _one(runs[0], sorted(known))
    else:
        _several(runs, sorted(known))


def _one(run: Run, known: Sequence[str]) -> None:
    name = st.text_input("Name", run.name, max_chars=LONGEST_NAME)
    tags = _tags("Tags", known, run.notes.tags)
    note = st.text_area("Note", run.notes.text, max_chars=LONGEST_NOTE)
    if st.button("Save", type="primary"):
        attempt(lambda: actions.edit(run, name, tags, note))


def _several(runs: Sequence[Run], known: Sequence[str]) -> None:
    st.caption(f"{len(runs)} runs: {escape_markdown(', '.join(run.name for run in runs)[:300])}")
    add = _tags("Add tags", known)
    remove = st.multiselect("Remove tags", sorted({tag for run in runs for tag in run.notes.tags}))
    if st.button("Save", type="primary"):
        attempt(lambda: actions.tag(runs, add, remove))


def _tags(label: str, known: Sequence[str], default: Sequence[str] = ()) -> list[str]:
    return st.multiselect(
        label, known, default=list(default), accept_new_options=True, placeholder="Choose, or type a new one",
        help=f"Up to {LONGEST_TAG} letters each; several runs may have one, and the filter finds them by it.",
    )  # fmt: skip
