"""The likeliest classes of an image, and a map of what speaks for one of them; and what other views share of that."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from resnet_lab.attribution import METHODS, stage_names
from resnet_lab.attribution.records import stage_title
from resnet_lab.figures.overlay import (
    COLOURS,
    LONGEST,
    Heat,
    Mask,
    Pixels,
    at_side,
    colourise,
    enlarge,
    enlarge_heat,
    outline,
    overlay_within,
)
from resnet_lab.ui.common.markdown import escape_markdown, percent
from resnet_lab.ui.common.widgets import download, forget_unless, one_of, one_titled, options_of
from resnet_lab.ui.prediction.images import InputImage
from resnet_lab.ui.prediction.maps import MapRequest, map_of, probabilities
from resnet_lab.ui.prediction.net import Net

SHOWN_SIDE = 448  # pixels; small images are enlarged to this, twice what a column of the page is wide
TOP = 5
TITLES = {name: method.title for name, method in METHODS.items()}


@dataclass(frozen=True)
class MapStyle:
    opacity: float = 0.5
    colours: str = "Inferno"


def prediction_view(net: Net, image: InputImage) -> None:
    """The five likeliest classes; then the image, the map and both, for a class and a stage."""
    found = probabilities(net, image)
    st.markdown(verdict(net, image, found))
    classes, questions = st.columns([1.6, 1], gap="medium")
    with classes:
        show_top(net, found)
    with questions:
        request = ask_map(net, likeliest(found))
        with st.popover("More", icon=":material/tune:"):
            request, style = _ask_layer(net, request), ask_style()
    heat = map_of(net, image, request)
    if heat is None:
        return
    method = METHODS[request.method]
    left, top, right, bottom = map(round, image.box)
    mask = None if image.mask is None else image.mask[top:bottom, left:right]
    seen = _outlined(enlarge(image.pixels.permute(1, 2, 0).numpy(), SHOWN_SIDE), mask)
    coloured = colourise(enlarge_heat(heat, *seen.shape[:2]), style.colours)
    over = drawn(image, heat, style)
    shown = {
        f"What the net sees, {net.side} × {net.side}": seen,
        method.title: coloured,
        f"{method.title} over the image": over,
    }
    columns = st.columns([1, 1, 2])  # the image itself is the largest
    for column, (title, pixels) in zip(columns, shown.items(), strict=True):
        column.image(pixels, title, width="stretch", output_format="PNG", alt=title)
    _caption(net, image, request, heat)
    stem = f"{image.name.rsplit('/')[-1]}-{net.classes[request.target]}-{request.method}".replace(" ", "-")
    with st.container(horizontal=True):
        download("Overlay, PNG", lambda: png(over), f"{stem}-overlay.png", "image/png")
        download("Map, PNG", lambda: png(coloured), f"{stem}-map.png", "image/png")
        npy = partial(_written, lambda file: np.save(file, heat))  # float32 (H, W), for numpy.load
        download("Map, NPY", npy, f"{stem}.npy", "application/octet-stream")


def likeliest(found: NDArray[np.float32]) -> list[int]:
    """The classes with the largest of these probabilities, the largest first."""
    return np.argsort(-found, kind="stable")[:TOP].tolist()


def show_top(net: Net, found: NDArray[np.float32], narrow: bool = False) -> None:
    """A table of the likeliest classes, with bars where there is room for them."""
    top = likeliest(found)
    if narrow:
        column: Any = st.column_config.NumberColumn("%", format="%.1f", width=60)
    else:
        column = st.column_config.ProgressColumn("probability (%)", format="%.1f", min_value=0, max_value=100)
    st.dataframe(
        {"class": [net.classes[i] for i in top], "probability": (100 * found[top]).tolist()},
        hide_index=True,
        column_config={"probability": column},
    )


def verdict(net: Net, image: InputImage, found: NDArray[np.float32]) -> str:
    """The prediction in words, beside the truth where it is known, else beside what the net was trained on."""
    best = int(found.argmax())
    words = f"Predicted: **{escape_markdown(net.classes[best])}** ({percent(float(found[best]))})"
    if image.truth is None:
        return f"{escape_markdown(image.name)} · {words}.{scope(net, image)}"
    is_right = image.truth == net.classes[best]
    mark = ":material/check_circle: **Correct**" if is_right else ":material/cancel: **Wrong**"
    return f"{words} · {mark}: {image.name.lower()} shows **{escape_markdown(image.truth)}**."


def scope(net: Net, image: InputImage) -> str:
    """What the net knows, for an image that is not of its own data: it can say nothing else, however sure it is."""
    is_own = image.truth is not None and image.truth in net.classes
    return "" if is_own else f" The net was trained on {escape_markdown(net.scope)}."


def ask_methods(usual: Sequence[str], key: str) -> list[str]:
    return st.multiselect("Methods", **options_of(TITLES), default=usual, key=key)


def ask_map(net: Net, classes: Sequence[int], may_sign: bool = True) -> MapRequest:
    """One of `classes`, the method, the stage that it reads, and whether against is shown."""
    # No key: when other classes come out on top, the likeliest is chosen again.
    target = st.selectbox("Explain class", classes, format_func=net.classes.__getitem__)
    method = one_titled("Method", TITLES, key="method")
    stages = stage_names(net.model)
    stage = stages[-1]
    if METHODS[method].has_layer:
        numbers = {name: name.removeprefix("layer") for name in stages}
        stage = one_of("Stage", stages, key="stage", default=stage, format_func=numbers.__getitem__)
    signed = (may_sign and METHODS[method].signed) and st.toggle(
        "Signed", key="signed", bind="query-params", help="Also shows what speaks against the class, in blue."
    )
    return MapRequest(target, method, stage, signed)


def _ask_layer(net: Net, request: MapRequest) -> MapRequest:
    """Within the stage, any block, convolution or norm; the end of the stage to begin with."""
    if not METHODS[request.method].has_layer:
        return request
    stage = net.model.get_submodule(request.layer)
    paths = [name for name, module in stage.named_modules() if "." not in name or not [*module.children()]]
    options = [f"{request.layer}.{name}" for name in paths if name]
    forget_unless("layer", options)  # it may be of another stage
    layer = st.selectbox(
        "Layer", options, None, key="layer", bind="query-params", placeholder="The end of the stage"
    )
    return replace(request, layer=layer or request.layer)


def ask_style() -> MapStyle:
    opacity = st.slider("Opacity of the map", 0.0, 1.0, 0.5, format="percent", key="prediction.opacity")
    colours = st.selectbox("Colours", list(COLOURS), key="colours", bind="query-params")
    return MapStyle(opacity, colours)


def drawn(image: InputImage, heat: Heat, style: MapStyle, side: int = SHOWN_SIDE) -> Pixels:
    """The map over the image as it was given, with a short side of about `side`; the object outlined if asked for."""
    whole, box = at_side(image.whole, image.box, side)
    return _outlined(overlay_within(whole, box, heat, style.opacity, style.colours), image.mask)


def _outlined(image: Pixels, mask: Mask | None) -> Pixels:
    """`image` with the rim of the object, if there is a mask of it, of any size."""
    if mask is None:
        return image
    height, width = image.shape[:2]
    large = Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)
    return outline(image, np.asarray(large), max(1, min(height, width) // 112))


def _caption(net: Net, image: InputImage, request: MapRequest, heat: Heat) -> None:
    method = METHODS[request.method]
    where = f" in {stage_title(request.layer)}" if method.has_layer else ""
    name = escape_markdown(net.classes[request.target])
    if not heat.any():
        st.caption(f"Nothing{where} speaks for {name}: its map is zero everywhere.")
        return
    words = (
        f"Bright: the places that speak for {name}{where}, by {method.title} ({method.source}), from none to the "
        "strongest."
    )
    if request.signed:
        words += " Blue: what speaks against it."
    width, height = image.whole.size
    left, top, right, bottom = image.box
    unseen = 1 - (right - left) * (bottom - top) / (width * height)
    if unseen >= 0.005:
        words += f" Dimmed: the {unseen:.0%} of the image around the middle square that the net is shown."
        if max(width, height) > LONGEST * min(width, height):
            words += " The ends of so long an image are not shown."
    st.caption(words)


def png(image: Pixels) -> bytes:
    return _written(lambda file: Image.fromarray(image).save(file, "PNG"))


def _written(save: Callable[[io.BytesIO], None]) -> bytes:
    file = io.BytesIO()
    save(file)
    return file.getvalue()
