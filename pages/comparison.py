"""Runs over one another; residual against plain first."""

import streamlit as st

from resnet_lab.ui import shell

shell.begin("Comparison")

from resnet_lab.data import DATASETS  # noqa: E402 (torch comes with it; the heading is shown first)
from resnet_lab.runs import RunError  # noqa: E402
from resnet_lab.training.recipes import PAIRS, race  # noqa: E402
from resnet_lab.ui.compare_view import choose_runs, compare_view  # noqa: E402

with st.container(horizontal=True, vertical_alignment="bottom"):
    depth = st.selectbox("Depth", PAIRS, index=1, key="depth", bind="query-params", width=110)
    dataset = st.selectbox("Data", list(DATASETS), key="data", bind="query-params", width=190)
    seed = st.number_input("Seed", 0, 2**31 - 1, 0, key="seed", bind="query-params", width=130)
    pressed = st.button(
        f"Race resnet{depth} against plain{depth}", icon=":material/sports_score:", type="primary"
    )
st.caption("Two runs with the same recipe, seed and batches, one after the other; only the shortcuts differ.")

if pressed:
    try:
        started = [shell.manager().submit(config) for config in race(depth, dataset, seed)]
    except RunError as error:
        st.error(str(error))
    else:
        st.session_state["runs"] = started

chosen = choose_runs()
if chosen:
    compare_view(chosen)
else:
    st.info(
        "Nothing to compare yet. Press the **Race** button: each net takes about a minute on a laptop, "
        "and the curves appear here as they train.",
        icon=":material/arrow_upward:",
    )
