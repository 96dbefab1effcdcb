"""The prediction page's answer: the likeliest classes, and where in the image the net saw one of them."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from resnet_lab.attribution import METHODS, stage_names
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
from resnet_lab.ui.prediction.images import Picture
from resnet_lab.ui.prediction.maps import Question, chances, heat_of
from resnet_lab.ui.prediction.net import Net

SHOWN_SIDE = 448  # pixels; small images are enlarged to this, twice what a column of the page is wide
TOP = 5
DIVERGED = "The net answers with numbers that are none (NaN): its training diverged. Choose another."


@dataclass(frozen=True)
class Look:
    """How maps are drawn."""

    opacity: float = 0.5
    colours: str = "Inferno"


def show_answer(net: Net, picture: Picture) -> None:
    """The five likeliest classes; then the image, the map and both, for a class and a stage."""
    found = answered(net, picture)
    if found is None:
        return
    top = likeliest(found)
    st.markdown(verdict(net, picture, net.classes[top[0]], found[top[0]]))
    answers, questions = st.columns([1.6, 1], gap="medium")
    with answers:
        show_top(net, found, top)
    with questions:
        # No key: when other classes come out on top, the likeliest is chosen again.
        target = st.selectbox("Where does it see", top, format_func=net.classes.__getitem__)
        question = ask_how(net, target)
        with st.popover("More", icon=":material/tune:"):
            question, look = ask_layer(net, question), ask_look()
    heat = heat_of(net, picture, question)
    if heat is None:
        return
    method = METHODS[question.method]
    seen = _seen(picture)
    shown = seen, colourise(enlarge_heat(heat, *seen.shape[:2]), look.colours), drawn(picture, heat, look)
    titles = (f"What the net sees, {picture.pixels.shape[0]} × {picture.pixels.shape[1]}", method.title)
    captions = (*titles, f"{method.title} over the image")
    columns = st.columns([1, 1, 2])  # the image itself is the largest
    for column, caption, image in zip(columns, captions, shown, strict=True):
        column.image(image, caption, width="stretch", output_format="PNG", alt=caption)
    _caption(net, picture, question, heat)
    _downloads(net, picture, question, heat, shown)


def answered(net: Net, picture: Picture) -> NDArray[np.float32] | None:
    """The net's probabilities; None, and a sentence, where they are no numbers."""
    found = chances(net.key, picture.pixels, net)
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


def verdict(net: Net, picture: Picture, answer: str, chance: float) -> str:
    """The answer in words, beside the truth where it is known, else beside what the net was trained on."""
    said = f"the net says **{escape_markdown(answer)}**, {percent(chance)}"
    if picture.truth is None:
        return f"{escape_markdown(picture.name)}: {said}.{scope(net, picture)}"
    right = ":material/check_circle: **Right**" if picture.truth == answer else ":material/cancel: **Wrong**"
    return f"{right}: {said}; {picture.name.lower()} shows **{escape_markdown(picture.truth)}**."


def scope(net: Net, picture: Picture) -> str:
    """What the net knows, for an image that is not of its own data: it can say nothing else, however sure it is."""
    is_own = picture.truth is not None and picture.truth in net.classes
    return "" if is_own else f" It was trained on {escape_markdown(net.scope)}."


def ask_how(net: Net, target: int, may_sign: bool = True) -> Question:
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
        "Signed", key="signed", bind="query-params", help="Shows what speaks against the class too, in blue."
    )
    return Question(target, method, stage, signed)


def ask_layer(net: Net, question: Question) -> Question:
    """Within the stage, any block, convolution or norm; the end of the stage to begin with."""
    if not METHODS[question.method].has_layer:
        return question
    stage = net.model.get_submodule(question.stage)
    paths = [name for name, module in stage.named_modules() if "." not in name or not [*module.children()]]
    options = [f"{question.stage}.{name}" for name in paths if name]
    forget_unless("layer", options)  # it may be of another stage
    layer = st.selectbox(
        "Layer", options, None, key="layer", bind="query-params", placeholder="The end of the stage"
    )
    return replace(question, stage=layer or question.stage)


def ask_look() -> Look:
    opacity = st.slider("Opacity of the map", 0.0, 1.0, 0.5, format="percent", key="prediction.opacity")
    colours = st.selectbox("Colours", list(COLOURS), key="colours", bind="query-params")
    return Look(opacity, colours)


def drawn(picture: Picture, heat: Heat, look: Look, side: int = SHOWN_SIDE) -> Pixels:
    """The map over the image as it was given, with a short side of about `side`; the object outlined if asked for."""
    image, box = at_side(picture.image, picture.box, side)
    over = overlay_within(image, box, heat, look.opacity, look.colours)
    return over if picture.mask is None else _outlined(over, picture.mask)


def _seen(picture: Picture) -> Pixels:
    """What the net sees, large; the object outlined if asked for."""
    large = enlarge(picture.pixels, SHOWN_SIDE)
    left, top, right, bottom = map(round, picture.box)
    return large if picture.mask is None else _outlined(large, picture.mask[top:bottom, left:right])


def _outlined(image: Pixels, mask: Mask) -> Pixels:
    """`image` with the rim of the object; `mask` is of any size."""
    height, width = image.shape[:2]
    large = Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)
    return outline(image, np.asarray(large), max(1, min(height, width) // 112))


def _caption(net: Net, picture: Picture, question: Question, heat: Heat) -> None:
    method = METHODS[question.method]
    stage, _, within = question.stage.partition(".")
    where = f" in {question.stage}" if within else f" in stage {stage.removeprefix('layer')}"
    where = where if method.has_layer else ""
    name = escape_markdown(net.classes[question.target])
    if not heat.any():
        st.caption(f"Nothing{where} speaks for {name}: its map is zero everywhere.")
        return
    against = " Blue: what speaks against it." if question.signed else ""
    st.caption(
        f"Bright: the places that speak for {name}{where}, by {method.title} ({method.source}), from none to the "
        f"strongest.{against}{_left_out(picture)}"
    )


def _left_out(picture: Picture) -> str:
    """How much of the image the net does not see, in words; nothing where it sees all."""
    width, height = picture.image.size
    left, top, right, bottom = picture.box
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
    net: Net, picture: Picture, question: Question, heat: Heat, shown: tuple[Pixels, Pixels, Pixels]
) -> None:
    stem = f"{picture.name.rsplit('/')[-1]}-{net.classes[question.target]}-{question.method}".replace(
        " ", "-"
    )
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
