"""Every run: filter, lay beside each other, edit, delete, and take along to another lab."""

import streamlit as st

from resnet_lab.ui.common import navigation

navigation.begin("Runs")

from resnet_lab.ui.common.shared import shared  # noqa: E402 (torch comes with the next; the heading is shown first)
from resnet_lab.ui.runs.clean_up import disk_line  # noqa: E402
from resnet_lab.ui.runs.damaged import damaged_runs  # noqa: E402
from resnet_lab.ui.runs.selected import beside_each_other, buttons, undo  # noqa: E402
from resnet_lab.ui.runs.table import run_table  # noqa: E402
from resnet_lab.ui.runs.take_along import import_run  # noqa: E402

hidden = st.toggle(
    "Hide the runs that came with the lab", shared().hides_recorded, key="runs.hide", persist_state="session"
)
shared().hides_recorded = hidden
desk = navigation.desk()
if not desk.person.is_teacher:
    shared().sees_all = st.toggle(
        "Show the runs of the whole class", shared().sees_all, key="runs.all", persist_state="session"
    )
undo()
runs = navigation.runs()
if runs:
    picked = run_table(runs)
    buttons(picked)
else:
    st.info("There are no runs yet.", icon=":material/info:")
    st.page_link(navigation.page_path("training"), label="Train a first net", icon=":material/show_chart:")
with st.container(horizontal=True, vertical_alignment="center"):
    disk_line([run for run in runs if not run.is_recorded and desk.may_change(run)])
    import_run()
damaged_runs()
if runs:
    beside_each_other(picked)
