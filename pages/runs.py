"""Every run: open, rename, delete."""

import streamlit as st

from resnet_lab.ui import shell

shell.begin("Runs")

from resnet_lab.runs import RunError  # noqa: E402 (torch comes with it; the heading is shown first)
from resnet_lab.ui.run_table import run_table  # noqa: E402
from resnet_lab.ui.shared import choose_run, compare_runs  # noqa: E402
from resnet_lab.ui.text import escape_markdown  # noqa: E402


@st.dialog("Rename")
def rename(run_id: str) -> None:
    run = store.get(run_id)
    name = st.text_input("Name", run.name, max_chars=120)
    if st.button("Save", type="primary"):
        run.rename(name)
        st.rerun()


@st.dialog("Delete")
def delete(run_ids: list[str]) -> None:
    for run_id in run_ids:
        st.text(store.get(run_id).name)
    st.markdown("Curves and checkpoints go with it. This cannot be undone.")
    if st.button("Delete for good", type="primary", icon=":material/delete:"):
        try:
            for run_id in run_ids:
                store.delete(store.get(run_id))
        except RunError as error:
            st.error(escape_markdown(str(error)))
        else:
            st.rerun()


store = shell.store()
runs = store.list()
if not runs:
    st.info("Nothing has been trained here yet.", icon=":material/info:")
    st.page_link(shell.page_path("training"), label="Train a first net", icon=":material/show_chart:")
else:
    picked = [run.id for run in run_table(runs)]
    one, some = len(picked) == 1, bool(picked)
    with st.container(horizontal=True):
        if st.button("Open", icon=":material/show_chart:", disabled=not one):
            choose_run(picked[0])
            st.switch_page(shell.page_path("training"), query_params={"run": picked[0]})
        if st.button("Compare", icon=":material/compare_arrows:", disabled=len(picked) < 2):
            compare_runs(picked)
            st.switch_page(shell.page_path("comparison"))
        if st.button("Rename", icon=":material/edit:", disabled=not one):
            rename(picked[0])
        if st.button("Delete", icon=":material/delete:", disabled=not some):
            delete(picked)
    st.caption(
        f"{len(runs):,} runs in {escape_markdown(str(store.root))}. "
        "Select rows to open, compare, rename or delete them."
    )

for run, problem in store.damaged():
    with st.container(horizontal=True, vertical_alignment="center"):
        st.warning(escape_markdown(problem), icon=":material/broken_image:")
        if st.button("Remove", key=f"runs.remove.{run.id}", icon=":material/delete:"):
            try:
                store.delete(run)
                st.rerun()
            except RunError as error:
                st.error(escape_markdown(str(error)))
