"""Every run: open, compare, rename, delete, and take along to another lab."""

import os
from collections.abc import Sequence
from functools import partial

import streamlit as st

from resnet_lab.ui.common import navigation

navigation.begin("Runs")

from resnet_lab.runs import Run, RunError  # noqa: E402 (torch comes with it; the heading is shown first)
from resnet_lab.runs.archive import pack  # noqa: E402
from resnet_lab.runs.run import LONGEST_NAME  # noqa: E402
from resnet_lab.runs.store import is_run  # noqa: E402
from resnet_lab.ui.common.markdown import escape_markdown  # noqa: E402
from resnet_lab.ui.common.runs import attempt  # noqa: E402
from resnet_lab.ui.common.shared import choose_run, shared  # noqa: E402
from resnet_lab.ui.common.widgets import download  # noqa: E402
from resnet_lab.ui.runs.table import run_table  # noqa: E402


@st.dialog("Rename")
def rename(run: Run) -> None:
    name = st.text_input("Name", run.name, max_chars=LONGEST_NAME)
    if st.button("Save", type="primary"):
        attempt(lambda: navigation.desk().change(run, lambda own: own.rename(name)))


@st.dialog("Delete", on_dismiss="rerun")
def delete(runs: Sequence[Run]) -> None:
    for run in runs:
        st.text(run.name)
    ask_and_delete(runs, "runs.delete")


def ask_and_delete(runs: Sequence[Run], key: str) -> None:
    st.markdown("Curves and checkpoints go with it. This cannot be undone.")
    if not st.button("Delete permanently", type="primary", icon=":material/delete:", key=key):
        return
    try:
        left = [f"{run.title}/{name}" for run in runs for name in navigation.desk().change(run, store.delete)]
    except RunError as error:
        st.error(escape_markdown(str(error)))
        return
    if not left:
        st.rerun()
    st.warning(f"Files that are not the lab's were kept: {escape_markdown(', '.join(left))}.")


store = navigation.store()
hidden = st.toggle(
    "Hide the runs that came with the lab", shared().hides_recorded, key="runs.hide", persist_state="session"
)
shared().hides_recorded = hidden
runs = navigation.runs()
own = [run for run in runs if not run.is_recorded]
if not runs:
    st.info("There are no runs yet.", icon=":material/info:")
    st.page_link(navigation.page_path("training"), label="Train a first net", icon=":material/show_chart:")
else:
    picked = run_table(runs)
    one, some, recorded = len(picked) == 1, bool(picked), any(run.is_recorded for run in picked)
    with st.container(horizontal=True):
        if st.button("Open", icon=":material/show_chart:", disabled=not one):
            choose_run(picked[0].id)
            st.switch_page(navigation.page_path("training"), query_params={"run": picked[0].id})
        if st.button("Compare", icon=":material/compare_arrows:", disabled=len(picked) < 2):
            shared().compared = tuple(run.id for run in picked)
            st.switch_page(navigation.page_path("comparison"))
        ready = one and not recorded and not picked[0].status.is_active
        download(
            "Take along", lambda: pack(picked[0]), f"{picked[0].id if ready else 'run'}.zip", "application/zip",
            disabled=not ready,
        )  # fmt: skip
        if st.button("Rename", icon=":material/edit:", disabled=not one or recorded):
            rename(picked[0])
        if st.button("Delete", icon=":material/delete:", disabled=not some or recorded):
            delete(picked)
    st.caption(
        f"{len(own):,} {'run' if len(own) == 1 else 'runs'} in {escape_markdown(str(store.root))}"
        f"{f', and {len(runs) - len(own)} that came with the lab' if len(runs) > len(own) else ''}. "
        "Select rows to open, compare, rename or delete them; what came with the lab stays as it is."
    )

with st.popover("Import", icon=":material/upload:"):
    file = st.file_uploader("A zip file that another lab made of a run", "zip", key="runs.archive")
    if st.button("Import this run", type="primary", disabled=file is None) and file is not None:
        with st.spinner("Unpacking …"):
            attempt(partial(navigation.desk().take_in, file.getvalue(), file.name))

for run, problem in store.damaged():
    with st.container(horizontal=True, vertical_alignment="center"):
        st.warning(escape_markdown(problem), icon=":material/broken_image:")
        if is_run(run):
            with st.popover("Remove", icon=":material/delete:"):
                ask_and_delete([run], f"runs.remove.{os.fsencode(run.id).hex()}")  # its name may be any bytes
