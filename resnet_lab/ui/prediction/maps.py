"""What the prediction page asks of a net, each thing once a session: probabilities, and maps."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray

from resnet_lab.attribution import METHODS, attribute, preserve_state, signed_attribute
from resnet_lab.figures.overlay import Heat
from resnet_lab.ui.common.markdown import duration
from resnet_lab.ui.prediction.images import BY_KEY, InputImage
from resnet_lab.ui.prediction.net import Net

SOME = 10  # passes of the net; a method that takes more shows how far it is
PATIENCE = 3.0  # seconds; what takes longer waits for a button
MOST_MAPS = 100  # kept for a session


class DivergedError(ValueError):
    """The net's probabilities are no numbers."""

    def __init__(self) -> None:
        super().__init__("The model outputs NaN: its training diverged. Choose another.")


@dataclass(frozen=True)
class MapRequest:
    """A class, a method of `METHODS`, the layer that it reads if it reads one, and whether against counts too."""

    target: int
    method: str
    layer: str
    signed: bool = False


@st.cache_data(max_entries=200, scope="session", show_spinner=False, hash_funcs=BY_KEY)
def probabilities(net: Net, image: InputImage) -> NDArray[np.float32]:
    """(classes,). Raises DivergedError."""
    with preserve_state(net.model):  # other sessions share the model
        return checked(net.predict(image.pixels[None])[0].numpy())


def checked(found: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(found).all():
        raise DivergedError
    return found


def map_of(net: Net, image: InputImage, request: MapRequest) -> Heat | None:
    """The map (H, W), kept for the session; None while the reader has not agreed to wait for a slow one.

    Slow methods show how far they are; a click elsewhere ends them.
    """
    kept: dict[Any, Heat] = st.session_state.setdefault("prediction.maps", {})
    key = (net.key, image.key, request)
    if key in kept:
        return kept[key]
    method, passes, bar = METHODS[request.method], count(1), None
    if method.passes > SOME:
        seconds = method.passes * _seconds_a_pass(net, method.has_gradient)
        if seconds > PATIENCE and not st.button(
            f"Compute, about {duration(seconds)}", icon=":material/hourglass:", key=f"prediction.ask.{key}"
        ):
            return None
        bar = st.progress(0.0, f"{method.title}: {method.passes} passes of the net")

    def told() -> None:
        if bar is not None:  # Streamlit ends the script here when it is to run anew
            bar.progress(min(next(passes) / method.passes, 1.0))

    asked = (request.target, request.method, request.layer)
    compute = signed_attribute if request.signed else attribute
    heat: Heat = compute(net.model, net.inputs(image.pixels[None]), *asked, on_pass=told)[0].numpy()
    if bar is not None:
        bar.empty()
    if len(kept) >= MOST_MAPS:
        kept.pop(next(iter(kept)))
    kept[key] = heat
    return heat


@st.cache_data(max_entries=50, show_spinner=False, hash_funcs=BY_KEY)
def _seconds_a_pass(net: Net, has_gradient: bool) -> float:
    """The second of two passes of a grey image."""
    image = torch.zeros(1, 3, net.side, net.side)
    seconds = 0.0
    with preserve_state(net.model):  # so that waiting for the model does not count
        for _ in range(2):
            began = time.perf_counter()
            if has_gradient:
                attribute(net.model, image, 0, "saliency")
            else:
                with torch.no_grad():
                    net.model(image)
            seconds = time.perf_counter() - began
    return seconds
