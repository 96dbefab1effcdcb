"""A plotly chart that is updated in place; docs/decisions/live-chart.md says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly
import plotly.graph_objects as go
import streamlit as st
from streamlit.components.v1 import declare_component

HTML = '<div class="live-chart"></div>'
JS = Path(__file__).with_name("live_chart.js")


@st.cache_resource(show_spinner=False)
def _library() -> str:
    """Serves the plotly.js inside the plotly package, and returns its address below the app's root."""
    served = declare_component("plotly", path=str(Path(plotly.__file__).parent / "package_data"))
    return f"component/{served.name}/plotly.min.js"


@st.cache_resource(show_spinner=False)
def _component() -> Callable[..., Any]:
    return st.components.v2.component("live_chart", html=HTML, js=JS.read_text(), isolate_styles=False)


def live_chart(figure: go.Figure, key: str) -> None:
    """Shows `figure`; with the same `key`, the next figure is drawn into the same chart."""
    height = figure.layout.height or 400
    data = {"figure": figure.to_json(), "height": height, "library": _library()}
    _component()(data=data, key=key, height=height)
