"""The diagram on the page, and what is chosen in it; the link keeps both."""

from __future__ import annotations

import re

import streamlit as st

from resnet_lab.figures.palette import INK, SHORTCUT
from resnet_lab.figures.theme import kind_colour
from resnet_lab.inspection import Ink, LayerTable, Selection, diagram_svg
from resnet_lab.models import ModelSpec
from resnet_lab.ui.common.live_chart import component
from resnet_lab.ui.common.runs import is_dark
from resnet_lab.ui.common.widgets import keep_in_link

PAGE = {"light": "#FFFFFF", "dark": "#12161B"}  # backgroundColor in .streamlit/config.toml
KEY = "architecture.diagram"


def diagram(spec: ModelSpec, table: LayerTable) -> None:
    """Draws the net; a click on a block or a layer chooses it."""
    data = {"svg": svg(spec, table), "choosable": True}
    component("net_diagram")(data=data, key=KEY, on_chosen_change=_on_chosen)


def still_diagram(spec: ModelSpec, table: LayerTable, key: str) -> None:
    """Draws the net to be looked at only."""
    data = {"svg": svg(spec, table, Selection()), "choosable": False}
    component("net_diagram")(data=data, key=key)


def svg(spec: ModelSpec, table: LayerTable, selection: Selection | None = None) -> str:
    """With the selection of the link, as shown, unless another is given."""
    selection = selection or _selection_of_link(spec)
    theme = "dark" if is_dark() else "light"
    ink = Ink(INK[theme][0], PAGE[theme], kind_colour(spec.is_plain, is_dark()), *SHORTCUT[theme])
    return diagram_svg(spec, table, ink, selection)


def chosen() -> str:
    """The key of the chosen row or block, or ""."""
    return st.query_params.get("at", "")


def block_of(key: str) -> str:
    """layer3.5.conv2 → layer3.5; "" outside a block."""
    match = re.match(r"layer\d+\.\d+(?=\.|$)", key)
    return match[0] if match else ""


def choose(key: str) -> None:
    """Marks a row or a block and opens its block; what is chosen already is let go."""
    if key == chosen() or not key:
        st.query_params.pop("at", None)
        return
    st.query_params["at"] = key
    if block := block_of(key):
        stage, position = map(int, block.removeprefix("layer").split("."))
        opened = _numbers(st.query_params.get("open", ""))
        opened += [1] * (stage - len(opened))
        opened[stage - 1] = position + 1
        st.query_params["open"] = "-".join(map(str, opened))


def _selection_of_link(spec: ModelSpec) -> Selection:
    """What the link opens and marks; nonsense in it is passed over."""
    opened = tuple(max(number - 1, 0) for number in _numbers(st.query_params.get("open", "")))
    unfold = _numbers(st.query_params.get("unfold", ""))
    return Selection(opened[: len(spec.blocks)], unfold[0] if unfold else 0, chosen())


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split("-") if part.isdecimal() and len(part) < 6]


def _on_chosen() -> None:
    key = st.session_state[KEY]["chosen"]
    if not key.startswith("fold:"):
        choose(key)
        st.session_state["architecture.place"] = block_of(chosen())  # the table shows the rows of the block
        return
    stage = key.removeprefix("fold:")
    keep_in_link("unfold", "" if st.query_params.get("unfold") == stage else stage)
