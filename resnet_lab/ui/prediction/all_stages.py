"""The likeliest classes beside each other, at all stages of the net at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray

from resnet_lab.attribution import METHODS, class_maps, stage_names
from resnet_lab.attribution.records import stage_title
from resnet_lab.ui.common.markdown import escape_markdown, percent
from resnet_lab.ui.common.widgets import one_titled
from resnet_lab.ui.prediction.images import BY_KEY, InputImage
from resnet_lab.ui.prediction.maps import probabilities
from resnet_lab.ui.prediction.net import Net
from resnet_lab.ui.prediction.prediction import ask_style, drawn, likeliest, scope

SIDE = 84  # pixels of a map, so that five rows fit a small screen
CAMS = {name: method.title for name, method in METHODS.items() if method.combine}


def all_stages_view(net: Net, image: InputImage) -> None:
    """Rows are classes, columns the stages from the input to the output."""
    found = probabilities(net, image)
    top, stages = likeliest(found), stage_names(net.model)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = one_titled("Method", CAMS, key="grid_method", width=220)
        with st.popover("Display", icon=":material/palette:"):
            style = ask_style()
    method, maps = METHODS[name], _maps(net, image, top, name)
    for row, target in enumerate(top):
        with st.container(horizontal=True, vertical_alignment="center", key=f"prediction.stages.{row}"):
            with st.container(width=SIDE):
                st.markdown(f"**{escape_markdown(net.classes[target])}**, {percent(found[target])}")
            for stage, heat in zip(map(stage_title, stages), maps[row], strict=True):
                alt = f"{method.title} of {net.classes[target]} in {stage}"
                caption = stage if row == len(top) - 1 else None
                pixels = drawn(image, heat, style, 2 * SIDE)
                st.image(pixels, caption, width=SIDE, output_format="PNG", alt=alt)
    st.caption(
        f"{method.title} ({method.source}), each map from none to its own strongest place. Early stages see edges and "
        f"textures, the last one things. One forward pass, and a backward pass a class.{scope(net, image)}"
    )


@st.cache_data(max_entries=50, scope="session", show_spinner="Computing the maps …", hash_funcs=BY_KEY)
def _maps(net: Net, image: InputImage, classes: Sequence[int], method: str) -> NDArray[np.float32]:
    """(classes, stages, H, W)"""
    inputs = net.inputs(image.pixels[None])
    return class_maps(net.model, inputs, torch.tensor(classes), stage_names(net.model), method)[0].numpy()
