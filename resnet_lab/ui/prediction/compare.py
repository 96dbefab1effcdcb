"""Two nets on the same image, the residual one first where they are a pair."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from resnet_lab.attribution import METHODS, stage_names
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.prediction.images import Picture, box_of
from resnet_lab.ui.prediction.maps import Question, heat_of
from resnet_lab.ui.prediction.net import Net, other_net
from resnet_lab.ui.prediction.prediction import (
    Look,
    answered,
    ask_how,
    ask_look,
    drawn,
    likeliest,
    show_top,
    verdict,
)

SIDE = 230  # pixels; both nets' maps and tables fit a small screen


def two_nets_view(net: Net, picture: Picture) -> None:
    """Each net's classes, and its map of one class."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        other = other_net(net)
        if other is None:
            return
        found = answered(net, picture)
        if found is None:
            return
        top = likeliest(found)
        shared = [i for i in top if net.classes[i] in other.classes] or top[:1]
        target = st.selectbox("Where do they see", shared, format_func=net.classes.__getitem__)
        question = ask_how(net, target)
        with st.popover("Look", icon=":material/palette:"):
            look = ask_look()
    pair = sorted((net, other), key=lambda one: one.model.spec.is_plain)
    for column, one in zip(st.columns(2, gap="large"), pair, strict=True):
        with column:
            st.markdown(f"**{escape_markdown(one.title)}**")
            _answer(one, seen_by(one, picture), net.classes[target], question, look)
    st.caption(
        f"{METHODS[question.method].title} ({METHODS[question.method].source}) of the same class in both nets, each "
        "map from none to its own strongest place."
    )


def seen_by(net: Net, picture: Picture) -> Picture:
    """The image as `net` sees it."""
    pixels = net.prepare(picture.image).permute(1, 2, 0).numpy()
    return replace(picture, pixels=pixels, box=box_of(net, picture.image))


def _answer(net: Net, picture: Picture, name: str, question: Question, look: Look) -> None:
    found = answered(net, picture)
    if found is None:
        return
    top = likeliest(found)
    st.markdown(verdict(net, picture, net.classes[top[0]], found[top[0]]))
    _map(net, picture, name, question, look)
    show_top(net, found, top, narrow=True)


def _map(net: Net, picture: Picture, name: str, question: Question, look: Look) -> None:
    if name not in net.classes:
        st.info(f"This net does not know {escape_markdown(name)}.")
        return
    stages = stage_names(net.model)
    stage = question.stage if question.stage in stages else stages[-1]
    heat = heat_of(net, picture, replace(question, target=net.classes.index(name), stage=stage))
    if heat is not None:
        image = drawn(picture, heat, look)
        alt = f"{METHODS[question.method].title} of {name}"
        st.image(image, width=SIDE, output_format="PNG", alt=alt)
