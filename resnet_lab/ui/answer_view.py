"""The prediction page's answer: the likeliest classes, and where in the picture the net saw one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray
from torch import Tensor

from resnet_lab.attribution import METHODS, attribute, stage_names, undisturbed
from resnet_lab.data import normalize
from resnet_lab.figures.overlay import Pixels, colourise, enlarge, enlarge_heat, outline, overlay
from resnet_lab.ui.prediction import Net, Picture
from resnet_lab.ui.text import percent, plain

SHOWN_SIDE = 448  # pixels; small pictures are enlarged to this, twice what a column of the page is wide
TOP = 5
SOME = 10  # passes of the net; a method that takes more shows how far it is
MOST_MAPS = 100  # kept for a session


@dataclass(frozen=True)
class Question:
    """A class, a method of `METHODS`, the stage that it reads if it reads one, and whether against counts too."""

    target: int
    method: str
    stage: str
    signed: bool


def show_answer(net: Net, picture: Picture) -> None:
    """The five likeliest classes; then the picture, the map and both, for a class and a stage."""
    chances = _chances(net.key, picture.pixels, net)
    if not np.isfinite(chances).all():
        st.error("The net answers with numbers that are none (NaN): its training diverged. Choose another.")
        return
    top = np.argsort(-chances, kind="stable")[:TOP].tolist()
    st.markdown(_verdict(picture, net.classes[top[0]], chances[top[0]]))
    answers, questions = st.columns([1.6, 1], gap="medium")
    with answers:
        st.dataframe(
            {"class": [net.classes[i] for i in top], "probability": (100 * chances[top]).tolist()},
            hide_index=True,
            column_config={
                "probability": st.column_config.ProgressColumn(
                    "probability (%)", format="%.1f", min_value=0, max_value=100
                )
            },
        )
    with questions:
        question, opacity = _questions(net, top)
    heat = _heat(net, picture, question)
    method = METHODS[question.method]
    _show_maps(picture, heat, method.title, opacity)
    where = f" in stage {question.stage.removeprefix('layer')}" if method.has_layer else ""
    name = plain(net.classes[question.target])
    if heat.any():
        st.caption(
            f"Bright: the places that speak for {name}{where}, by {method.title} ({method.source}). Black is 0, pale "
            "yellow the largest." + (" Blue: what speaks against it." if question.signed else "")
        )
    else:
        st.caption(f"Nothing{where} speaks for {name}: its map is zero everywhere.")


def _verdict(picture: Picture, answer: str, chance: float) -> str:
    """The answer in words, beside the truth where it is known."""
    said = f"the net says **{plain(answer)}**, {percent(chance)}"
    if picture.truth is None:
        return f"{plain(picture.name)}: {said}."
    verdict = (
        ":material/check_circle: **Right**" if picture.truth == answer else ":material/cancel: **Wrong**"
    )
    return f"{verdict}: {said}; {picture.name.lower()} shows **{plain(picture.truth)}**."


def _questions(net: Net, top: list[int]) -> tuple[Question, float]:
    """What is asked of the net, and the opacity of the map."""
    # No key: when other classes come out on top, the likeliest is chosen again.
    target = st.selectbox("Where does it see", top, format_func=net.classes.__getitem__)
    method = st.selectbox("Method", list(METHODS), key="method", bind="query-params")
    stages = stage_names(net.model)
    if st.session_state.get("stage") not in stages:
        st.session_state.pop("stage", None)  # the net before this one had more of them
    stage = stages[-1]
    if METHODS[method].has_layer:
        stage = st.segmented_control(
            "Stage",
            stages,
            default=stages[-1],
            format_func=lambda name: name.removeprefix("layer"),
            key="stage",
            bind="query-params",
            required=True,
        )
    signed = METHODS[method].signed and st.toggle(
        "Signed", key="signed", bind="query-params", help="Shows what speaks against the class too, in blue."
    )
    opacity = st.slider("Opacity of the map", 0.0, 1.0, 0.5, format="percent", key="opacity")
    return Question(target, method, stage, signed), opacity


def _tensor(net: Net, pixels: Pixels) -> Tensor:
    """float (1, 3, H, W), normalised."""
    return normalize(torch.from_numpy(pixels).permute(2, 0, 1)[None], net.mean, net.std)


@st.cache_data(max_entries=100, show_spinner=False)
def _chances(key: str, pixels: Pixels, _net: Net) -> NDArray[np.float32]:
    """Probabilities (classes,)."""
    with undisturbed(_net.model), torch.no_grad():  # other sessions share the model
        return _net.model(_tensor(_net, pixels)).softmax(1)[0].numpy()


def _heat(net: Net, picture: Picture, question: Question) -> NDArray[np.float32]:
    """A map (H, W), kept for the session. Slow methods show how far they are; a click elsewhere ends them."""
    kept: dict[Any, NDArray[np.float32]] = st.session_state.setdefault("maps", {})
    key = (net.key, hash(picture.pixels.tobytes()), question)
    if key in kept:
        return kept[key]
    method, done = METHODS[question.method], 0
    bar = (
        st.progress(0.0, f"{method.title}: {method.passes} passes of the net")
        if method.passes > SOME
        else None
    )

    def told() -> None:
        nonlocal done
        done += 1
        if bar is not None:  # Streamlit ends the script here when it is to run anew
            bar.progress(min(done / method.passes, 1.0))

    asked = (question.target, question.method, question.stage, question.signed)
    heat = attribute(net.model, _tensor(net, picture.pixels), *asked, on_pass=told)[0].numpy()
    if bar is not None:
        bar.empty()
    if len(kept) >= MOST_MAPS:
        kept.pop(next(iter(kept)))
    kept[key] = heat
    return heat


def _show_maps(picture: Picture, heat: NDArray[np.float32], title: str, opacity: float) -> None:
    height, width, _ = picture.pixels.shape
    large = enlarge(picture.pixels, SHOWN_SIDE)
    heat = enlarge_heat(heat, *large.shape[:2])
    over = overlay(large, heat, opacity)
    if picture.mask is not None:
        mask = enlarge(picture.mask.astype(np.uint8), SHOWN_SIDE).astype(bool)
        large, over = outline(large, mask, 4), outline(over, mask, 4)
    shown = {
        f"What the net sees, {height} × {width}": large,
        title: colourise(heat),
        f"{title} over the picture": over,
    }
    for column, (caption, image) in zip(st.columns(3), shown.items(), strict=True):
        column.image(image, caption, width="stretch", output_format="PNG", alt=caption)
