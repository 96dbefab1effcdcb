"""A plotly chart that is updated in place; docs/decisions/live-chart.md says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import plotly
import plotly.graph_objects as go
import streamlit as st
from streamlit.components.v1 import declare_component

SCRIPT = Path(__file__).with_name("live_chart.js")


@st.cache_resource(show_spinner=False)
def _library() -> str:
    """Serves the plotly.js inside the plotly package, and returns its address below the app's root."""
    served = declare_component("plotly", path=str(Path(plotly.__file__).parent / "package_data"))
    return f"component/{served.name}/plotly.min.js"


@st.cache_resource(show_spinner=False)
def component(name: str, script: str, isolate_styles: bool = True) -> Callable[..., Any]:
    """What runs a JavaScript file in a <div> whose class is that name."""
    html = f'<div class="{name.replace("_", "-")}"></div>'
    return st.components.v2.component(
        name, html=html, js=Path(script).read_text(), isolate_styles=isolate_styles
    )


class Drawn(NamedTuple):
    """A figure as it goes to the browser."""

    json: str
    height: int  # pixels

    @classmethod
    def of(cls, figure: go.Figure) -> Drawn:
        return cls(figure.to_json(), figure.layout.height or 400)


def live_chart(figure: go.Figure | Drawn, key: str) -> None:
    """Shows `figure`; with the same `key`, the next figure is drawn into the same chart."""
    text, height = figure if isinstance(figure, Drawn) else Drawn.of(figure)
    data = {"figure": text, "height": height, "library": _library()}
    component("live_chart", str(SCRIPT), isolate_styles=False)(data=data, key=key, height=height)
