"""What the prediction page asks of a net, each thing once a session: probabilities, and maps."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray

from resnet_lab.attribution import METHODS, attribute, preserve_state, signed_attribute
from resnet_lab.figures.overlay import Heat, Pixels
from resnet_lab.ui.common.markdown import duration
from resnet_lab.ui.prediction.images import Picture, as_batch
from resnet_lab.ui.prediction.net import Net

SOME = 10  # passes of the net; a method that takes more shows how far it is
PATIENCE = 3.0  # seconds; what takes longer waits for a button
MOST_MAPS = 100  # kept for a session


@dataclass(frozen=True)
class Question:
    """A class, a method of `METHODS`, the stage that it reads if it reads one, and whether against counts too."""

    target: int
    method: str
    stage: str
    signed: bool = False


@st.cache_data(max_entries=200, show_spinner=False)
def chances(key: str, pixels: Pixels, _net: Net) -> NDArray[np.float32]:
    """Probabilities (classes,) of one image; `key` is the net's."""
    with preserve_state(_net.model):  # other sessions share the model
        return _net.predict(as_batch(pixels))[0].numpy()


def heat_of(net: Net, picture: Picture, question: Question) -> Heat | None:
    """The map (H, W), kept for the session; None while the reader has not agreed to wait for a slow one.

    Slow methods show how far they are; a click elsewhere ends them.
    """
    kept: dict[Any, Heat] = st.session_state.setdefault("prediction.maps", {})
    key = (net.key, hash(picture.pixels.tobytes()), question)
    if key not in kept:
        method = METHODS[question.method]
        seconds = _estimate(net, question.method) if method.passes > SOME else 0.0
        if seconds > PATIENCE and not st.button(
            f"Compute, about {duration(seconds)}", icon=":material/hourglass:", key=f"prediction.ask.{key}"
        ):
            return None
        if len(kept) >= MOST_MAPS:
            kept.pop(next(iter(kept)))
        kept[key] = _computed(net, picture, question)
    return kept[key]


def _computed(net: Net, picture: Picture, question: Question) -> Heat:
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

    asked = (question.target, question.method, question.stage)
    compute = signed_attribute if question.signed else attribute
    heat: Heat = compute(net.model, net.inputs(as_batch(picture.pixels)), *asked, on_pass=told)[0].numpy()
    if bar is not None:
        bar.empty()
    return heat


def _estimate(net: Net, method: str) -> float:
    """Seconds that a method takes for one image."""
    about = METHODS[method]
    return about.passes * _seconds_a_pass(net.key, net, about.has_gradient)


@st.cache_data(max_entries=50, show_spinner=False)
def _seconds_a_pass(key: str, _net: Net, has_gradient: bool) -> float:
    """The second of two passes of a grey image."""
    image = torch.zeros(1, 3, _net.side, _net.side)
    seconds = 0.0
    with preserve_state(_net.model):  # so that waiting for the model does not count
        for _ in range(2):
            began = time.perf_counter()
            if has_gradient:
                attribute(_net.model, image, 0, "saliency")
            else:
                with torch.no_grad():
                    _net.model(image)
            seconds = time.perf_counter() - began
    return seconds
