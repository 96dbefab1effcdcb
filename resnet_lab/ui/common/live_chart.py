"""A plotly chart that is updated in place; docs/decisions/live-chart.md says why."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import plotly
import plotly.graph_objects as go
import streamlit as st
from streamlit.components.v1 import declare_component

SCRIPTS = Path(__file__).parents[1] / "scripts"
PLOTLY = Path(plotly.__file__).parent / "package_data"
MOST_ADDED = 1_500  # bytes, then all of the figure is sent once
Added = tuple[int, list[Any], list[Any]]


@st.cache_resource(show_spinner=False)
def _served(name: str, folder: Path, file: str) -> str:
    """Serves a folder, and returns the address of a file in it below the app's root."""
    served = declare_component(name, path=str(folder))
    return f"component/{served.name}/{file}"


@st.cache_resource(show_spinner=False)
def component(name: str, isolate_styles: bool = True) -> Callable[..., Any]:
    """What runs the script of that name in a <div> whose class it is.

    Streamlit sends a component's script with each refresh; this one fetches it once.
    """
    file = SCRIPTS / f"{name}.js"
    version = sha256(file.read_bytes()).hexdigest()[:8]  # or a browser would keep the one of before
    address = f"{_served('scripts', SCRIPTS, file.name)}?{version}"
    script = (
        f"const it = import(new URL('{address}', document.baseURI));\n"
        "export default (component) => void it.then((module) => module.default(component));\n"
    )
    html = f'<div class="{name.replace("_", "-")}"></div>'
    return st.components.v2.component(name, html=html, js=script, isolate_styles=isolate_styles)


class Drawn(NamedTuple):
    """A figure as it goes to the browser: whole, or one that the browser may have and what is new since.

    `added` has for each line where it goes on, and the x and y from there.
    """

    whole: str
    height: int  # pixels
    name: str = ""  # of the whole, "" for a figure that stands alone
    added: tuple[Added, ...] = ()

    @classmethod
    def of(cls, figure: go.Figure) -> Drawn:
        return cls(figure.to_json(), figure.layout.height or 400)


class Feed:
    """A figure that grows, for all who watch it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: dict[str, Any] | None = None
        self._drawn = Drawn("", 0)

    def next(self, figure: go.Figure) -> Drawn:
        """The figure of this moment; it begins anew where it changed otherwise than by growing, or has grown much."""
        now = Drawn.of(figure)
        shown = json.loads(now.whole)
        with self._lock:
            added = None if self._shown is None else growth(self._shown, shown)
            if added is None or len(json.dumps(added)) > MOST_ADDED:
                self._shown, self._drawn, added = shown, now._replace(name=secrets.token_hex(4)), ()
            return self._drawn._replace(added=added)


def growth(before: dict[str, Any], now: dict[str, Any]) -> tuple[Added, ...] | None:
    """What makes `before` to `now`, two figures as plotly's JSON; None where they differ in more than their points."""

    def rest(figure: dict[str, Any]) -> Any:
        lines = [{k: v for k, v in line.items() if k not in ("x", "y")} for line in figure["data"]]
        return lines, {k: v for k, v in figure.items() if k != "data"}

    if rest(before) != rest(now):
        return None
    added: list[Added] = []
    for old, new in zip(before["data"], now["data"], strict=True):
        same = min(_alike(old["x"], new["x"]), _alike(old["y"], new["y"]))
        added.append((same, new["x"][same:], new["y"][same:]))
    return tuple(added)


def _alike(before: Sequence[Any], now: Sequence[Any]) -> int:
    """How many items they begin with in common."""
    pairs = enumerate(zip(before, now, strict=False))
    return next((i for i, (old, new) in pairs if old != new), min(len(before), len(now)))


def live_chart(figure: go.Figure | Drawn, key: str) -> None:
    """Shows `figure`; with the same `key`, the next figure is drawn into the same chart.

    Of one that grows, the browser tells which whole it has, and is sent that no more.
    """
    drawn = figure if isinstance(figure, Drawn) else Drawn.of(figure)
    has = (st.session_state.get(key) or {}).get("has")
    data = drawn._asdict() | {"library": _served("plotly", PLOTLY, "plotly.min.js")}
    if drawn.name and has == drawn.name:
        data["whole"] = None
    mount = component("live_chart", isolate_styles=False)
    mount(data=data, key=key, height=drawn.height, on_has_change=lambda: None)
