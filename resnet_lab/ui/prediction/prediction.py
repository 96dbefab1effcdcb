"""The likeliest classes of an image, and a map of what speaks for one of them; and what other views share of that."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
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
from resnet_lab.ui.common.download import download
from resnet_lab.ui.common.markdown import escape_markdown, percent
from resnet_lab.ui.common.widgets import forget_unless, one_of
from resnet_lab.ui.prediction.images import InputImage
from resnet_lab.ui.prediction.maps import MapRequest, map_of, probabilities
from resnet_lab.ui.prediction.net import Net

SHOWN_SIDE = 448  # pixels; small images are enlarged to this, twice what a column of the page is wide
TOP = 5
DIVERGED = "The model outputs NaN: its training diverged. Choose another."


@dataclass(frozen=True)
class MapStyle:
    """How maps are drawn."""

    opacity: float = 0.5
    colours: str = "Inferno"


def prediction_view(net: Net, image: InputImage) -> None:
    """The five likeliest classes; then the image, the map and both, for a class and a stage."""
    found = predicted(net, image)
    if found is None:
        return
    top = likeliest(found)
    st.markdown(verdict(net, image, found))
    classes, questions = st.columns([1.6, 1], gap="medium")
    with classes:
        show_top(net, found, top)
    with questions:
        # No key: when other classes come out on top, the likeliest is chosen again.
        target = st.selectbox("Explain class", top, format_func=net.classes.__getitem__)
        request = ask_map(net, target)
        with st.popover("More", icon=":material/tune:"):
            request, style = ask_layer(net, request), ask_style()
    heat = map_of(net, image, request)
    if heat is None:
        return
    method = METHODS[request.method]
    seen = _seen(image)
    shown = seen, colourise(enlarge_heat(heat, *seen.shape[:2]), style.colours), drawn(image, heat, style)
    titles = (f"What the net sees, {net.side} × {net.side}", method.title, f"{method.title} over the image")
    columns = st.columns([1, 1, 2])  # the image itself is the largest
    for column, title, pixels in zip(columns, titles, shown, strict=True):
        column.image(pixels, title, width="stretch", output_format="PNG", alt=title)
    _caption(net, image, request, heat)
    _downloads(net, image, request, heat, shown)


def predicted(net: Net, image: InputImage) -> NDArray[np.float32] | None:
    """The net's probabilities; None, and a sentence, where they are no numbers."""
    found = probabilities(net, image)
    if np.isfinite(found).all():
        return found
    st.error(DIVERGED)
    return None


def likeliest(found: NDArray[np.float32]) -> list[int]:
    """The classes with the largest of these probabilities, the largest first."""
    return np.argsort(-found, kind="stable")[:TOP].tolist()


def show_top(net: Net, found: NDArray[np.float32], top: list[int], narrow: bool = False) -> None:
    """A table of classes, with bars where there is room for them."""
    title, form = "probability (%)", "%.1f"
    column: Any = st.column_config.ProgressColumn(title, format=form, min_value=0, max_value=100)
    if narrow:
        column = st.column_config.NumberColumn("%", format=form, width=60)
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


def ask_map(net: Net, target: int, may_sign: bool = True) -> MapRequest:
    """The method, the stage that it reads, and whether against is shown."""
    method = st.selectbox("Method", list(METHODS), key="method", bind="query-params")
    stages = stage_names(net.model)
    stage = stages[-1]
    if METHODS[method].has_layer:
        stage = one_of(
            "Stage",
            stages,
            key="stage",
            default=stages[-1],
            format_func=lambda name: name.removeprefix("layer"),
        )
    signed = (may_sign and METHODS[method].signed) and st.toggle(
        "Signed", key="signed", bind="query-params", help="Also shows what speaks against the class, in blue."
    )
    return MapRequest(target, method, stage, signed)


def ask_layer(net: Net, request: MapRequest) -> MapRequest:
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
    over = overlay_within(whole, box, heat, style.opacity, style.colours)
    return over if image.mask is None else _outlined(over, image.mask)


def _seen(image: InputImage) -> Pixels:
    """What the net sees, large; the object outlined if asked for."""
    large = enlarge(image.pixels.permute(1, 2, 0).numpy(), SHOWN_SIDE)
    left, top, right, bottom = map(round, image.box)
    return large if image.mask is None else _outlined(large, image.mask[top:bottom, left:right])


def _outlined(image: Pixels, mask: Mask) -> Pixels:
    """`image` with the rim of the object; `mask` is of any size."""
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
    against = " Blue: what speaks against it." if request.signed else ""
    st.caption(
        f"Bright: the places that speak for {name}{where}, by {method.title} ({method.source}), from none to the "
        f"strongest.{against}{_left_out(image)}"
    )


def _left_out(image: InputImage) -> str:
    """How much of the image the net does not see, in words; nothing where it sees all."""
    width, height = image.whole.size
    left, top, right, bottom = image.box
    share = 1 - (right - left) * (bottom - top) / (width * height)
    if share < 0.005:
        return ""
    cut = (
        " The ends of so long an image are not shown."
        if max(width, height) > LONGEST * min(width, height)
        else ""
    )
    return f" Dimmed: the {share:.0%} of the image around the middle square that the net is shown.{cut}"


def _downloads(
    net: Net, image: InputImage, request: MapRequest, heat: Heat, shown: tuple[Pixels, Pixels, Pixels]
) -> None:
    stem = f"{image.name.rsplit('/')[-1]}-{net.classes[request.target]}-{request.method}".replace(" ", "-")
    with st.container(horizontal=True):
        download("Overlay, PNG", lambda: png(shown[2]), f"{stem}-overlay.png", "image/png")
        download("Map, PNG", lambda: png(shown[1]), f"{stem}-map.png", "image/png")
        download("Map, NPY", lambda: npy(heat), f"{stem}.npy", "application/octet-stream")


def png(image: Pixels) -> bytes:
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG")
    return data.getvalue()


def npy(heat: Heat) -> bytes:
    """float32 (H, W), for numpy.load."""
    data = io.BytesIO()
    np.save(data, heat)
    return data.getvalue()
