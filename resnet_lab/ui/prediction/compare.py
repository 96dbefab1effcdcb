"""Two nets on the same image, the residual one first where they are a pair."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from resnet_lab.attribution import METHODS, stage_names
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.widgets import problems_said
from resnet_lab.ui.prediction.images import InputImage, input_image
from resnet_lab.ui.prediction.maps import DivergedError, MapRequest, map_of, probabilities
from resnet_lab.ui.prediction.net import Net, other_net
from resnet_lab.ui.prediction.prediction import (
    MapStyle,
    ask_map,
    ask_style,
    drawn,
    likeliest,
    show_top,
    verdict,
)

SIDE = 230  # pixels; both nets' maps and tables fit a small screen


def compare_view(net: Net, image: InputImage) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        other = other_net(net)
        if other is None:
            return
        top = likeliest(probabilities(net, image))
        request = ask_map(net, [i for i in top if net.classes[i] in other.classes] or top[:1])
        with st.popover("Display", icon=":material/palette:"):
            style = ask_style()
    pair = sorted((net, other), key=lambda one: one.model.spec.is_plain)
    for column, one in zip(st.columns(2, gap="large"), pair, strict=True):
        with column, problems_said(DivergedError):
            st.markdown(f"**{escape_markdown(one.title)}**")
            seen = image if one is net else input_image(one, image.images, image.index, image.mask)
            found = probabilities(one, seen)
            st.markdown(verdict(one, seen, found))
            _map(one, seen, net.classes[request.target], request, style)
            show_top(one, found, narrow=True)
    method = METHODS[request.method]
    st.caption(
        f"{method.title} ({method.source}) of the same class in both nets, each map from none to its own strongest "
        "place."
    )


def _map(net: Net, image: InputImage, name: str, request: MapRequest, style: MapStyle) -> None:
    if name not in net.classes:
        st.info(f"This net does not know {escape_markdown(name)}.")
        return
    stages = stage_names(net.model)
    layer = request.layer if request.layer in stages else stages[-1]
    heat = map_of(net, image, replace(request, target=net.classes.index(name), layer=layer))
    if heat is not None:
        alt = f"{METHODS[request.method].title} of {name}"
        st.image(drawn(image, heat, style), width=SIDE, output_format="PNG", alt=alt)
