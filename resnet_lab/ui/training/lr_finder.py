"""Finding a learning rate on the training page."""

from __future__ import annotations

import streamlit as st

from resnet_lab.figures.range_test import rate_figure
from resnet_lab.runs import RunError
from resnet_lab.training import TrainConfig, TrainingError
from resnet_lab.training.range_test import RangeTest, range_test
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.runs import is_dark
from resnet_lab.ui.common.widgets import problems_said


def lr_finder(config: TrainConfig) -> None:
    """A range test of `config`, its figure, and a button that uses the proposed rate."""
    with st.expander("LR finder"):
        st.caption(
            "Up to 100 steps of a fresh net with a rate that grows at each; it is thrown away. "
            "Any click on the page ends the test."
        )
        if st.button("Test", icon=":material/ssid_chart:"):
            _test(config)
        tested, result = st.session_state.get("training.rate_test", (None, None))
        if result is not None and tested == config.replace(lr=tested.lr):
            _show(result)


def _test(config: TrainConfig) -> None:
    bar = st.progress(0.0, "Loading the data")
    with problems_said(RunError, TrainingError, ValueError):
        navigation.desk().admit(config)
        result = range_test(config, lambda done: bar.progress(done, f"Step {round(100 * done)} of up to 100"))
        st.session_state["training.rate_test"] = (config, result)
    bar.empty()


def _show(result: RangeTest) -> None:
    figure = rate_figure(result.rates, result.losses, result.smoothed, result.proposal, is_dark())
    st.plotly_chart(figure, config={"displayModeBar": False})
    if result.proposal is None:
        st.caption("The loss never fell: try another net, batch size or optimizer.")
        return
    st.caption(
        "Training wants a rate below where the loss begins to rise again; a tenth of its best is safe."
    )
    st.button(f"Use {result.proposal:g}", on_click=st.session_state.__setitem__, args=("lr", result.proposal))
