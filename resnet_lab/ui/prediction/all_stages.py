"""The likeliest classes beside each other, at all stages of the net at once."""

from __future__ import annotations

import streamlit as st
import torch

from resnet_lab.attribution import METHODS, class_maps, stage_names
from resnet_lab.figures.overlay import Heat
from resnet_lab.ui.common.markdown import escape_markdown, percent
from resnet_lab.ui.prediction.images import Picture, as_batch
from resnet_lab.ui.prediction.net import Net
from resnet_lab.ui.prediction.prediction import answered, ask_look, drawn, likeliest, scope

SIDE = 84  # pixels of a map, so that five rows fit a small screen
CAMS = [name for name, method in METHODS.items() if method.combine]


def grid_view(net: Net, picture: Picture) -> None:
    """Rows are classes, columns the stages from the input to the output."""
    found = answered(net, picture)
    if found is None:
        return
    top, stages = likeliest(found), stage_names(net.model)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        method = st.selectbox("Method", CAMS, key="grid_method", bind="query-params", width=220)
        with st.popover("Look", icon=":material/palette:"):
            look = ask_look()
    maps = _maps(net.key, picture.key, picture.pixels, tuple(top), method, net)
    for row, target in enumerate(top):
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(width=SIDE):
                st.markdown(f"**{escape_markdown(net.classes[target])}**, {percent(found[target])}")
            for stage, heat in zip(stages, maps[row], strict=True):
                name = f"stage {stage.removeprefix('layer')}"
                alt = f"{METHODS[method].title} of {net.classes[target]} in {name}"
                caption = name if row == len(top) - 1 else None
                image = drawn(picture, heat, look, 2 * SIDE)
                st.image(image, caption, width=SIDE, output_format="PNG", alt=alt)
    st.caption(
        f"{METHODS[method].title} ({METHODS[method].source}), each map from none to its own strongest place. Early "
        "stages see edges and textures, the last one things. One forward pass, and a backward pass a class."
        f"{scope(net, picture)}"
    )


@st.cache_data(max_entries=50, scope="session", show_spinner="Asking the net …")
def _maps(
    key: str, picture: str, _pixels: object, classes: tuple[int, ...], method: str, _net: Net
) -> list[list[Heat]]:
    """Of each class, of each stage: (H, W)."""
    images = _net.inputs(as_batch(_pixels))  # type: ignore[arg-type]
    maps = class_maps(_net.model, images, torch.tensor(classes), stage_names(_net.model), method)[0]
    return [[heat.numpy() for heat in row] for row in maps]
