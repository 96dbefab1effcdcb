"""A plotly chart that is updated in place; docs/decisions/live-chart.md says why."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import plotly
import plotly.graph_objects as go
import streamlit as st
from streamlit.components.v1 import declare_component

SCRIPTS = Path(__file__).parents[1] / "scripts"
PLOTLY = Path(plotly.__file__).parent / "package_data"


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


def live_chart(figure: go.Figure, key: str) -> None:
    """Shows `figure`; with the same `key`, the next figure is drawn into the same chart."""
    height = figure.layout.height or 400
    data = {"figure": figure.to_json(), "height": height, "library": plotly_address()}
    component("live_chart", isolate_styles=False)(data=data, key=key, height=height)


def plotly_address() -> str:
    return _served("plotly", PLOTLY, "plotly.min.js")
