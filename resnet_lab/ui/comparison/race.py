"""Who races whom: depths, shortcuts, data and seeds."""

from __future__ import annotations

import streamlit as st

from resnet_lab.data import DATASETS
from resnet_lab.models.cifar import DEPTHS, KINDS
from resnet_lab.runs import RunError
from resnet_lab.training import TrainConfig
from resnet_lab.training.races import race
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.comparison.curves import MOST_RUNS

MOST_SEEDS = 5


def race_form() -> None:
    """Asks, and starts the race when the button is pressed; the page then shows its runs."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        depths = st.multiselect(
            "Layers",
            [str(depth) for depth in DEPTHS],
            default=["32"],
            key="depths",
            bind="query-params",
            accept_new_options=True,
            width=210,
            help="6n + 2, as in the paper; others than these can be typed.",
        )
        kinds = st.pills(
            "Shortcuts",
            list(KINDS),
            selection_mode="multi",
            default=["plain", "A"],
            key="kinds",
            bind="query-params",
            help="A: identity, zero-padded where channels grow. B: 1×1 convolutions there. C: everywhere. "
            "Pre-activation: norm and ReLU before each convolution.",
        )
        dataset = st.selectbox("Data", list(DATASETS), key="data", bind="query-params", width=160)
        seeds = st.number_input("Seeds", 1, MOST_SEEDS, 1, key="seeds", bind="query-params", width=110)
        groups, problem = _groups(depths, kinds or [], dataset, int(seeds))
        nets = sum(map(len, groups))
        pressed = st.button(
            f"Race {nets} nets" if nets > 1 else "Race",
            icon=":material/sports_score:",
            type="primary",
            disabled=not groups,
        )
    if problem:
        st.error(escape_markdown(problem))
    st.caption(
        "One recipe, one order of batches, and matched initial weights, in float32; only the shortcuts differ. Nets of "
        "one depth and seed take turns step by step, so that their curves grow together."
    )
    if pressed:
        _start(groups)


def _groups(
    depths: list[str], kinds: list[str], dataset: str, seeds: int
) -> tuple[list[list[TrainConfig]], str]:
    """The race, or why it cannot be."""
    if wrong := [depth for depth in depths if not depth.isdecimal()]:
        return [], f"Layers has {wrong[0]!r}; it may have whole numbers such as 20."
    try:
        return race([int(depth) for depth in depths], kinds, dataset, range(seeds)), ""
    except ValueError as error:
        message = str(error)
        return [], f"{message[0].upper()}{message[1:]}."


def _start(groups: list[list[TrainConfig]]) -> None:
    started: list[str] = []
    try:
        for group in groups:
            started += navigation.manager().race(group)
    except RunError as error:
        st.error(escape_markdown(str(error)))
    if started:
        st.session_state["runs"] = started[:MOST_RUNS]
