"""How every figure of the lab looks, light and dark."""

from __future__ import annotations

import pandas  # noqa: F401 (plotly uses it once it is loaded, even if another thread is still half-way through that)
import plotly.graph_objects as go

from resnet_lab.figures.palette import INK, PLAIN, PLAIN_DARK, RESIDUAL, RESIDUAL_DARK


def kind_colour(plain: bool, dark: bool = False) -> str:
    """The one colour of plain nets, or of residual ones."""
    if plain:
        return PLAIN_DARK if dark else PLAIN
    return RESIDUAL_DARK if dark else RESIDUAL


def base_figure(x_title: str, y_title: str, dark: bool = False, height: int = 330) -> go.Figure:
    """An empty figure with titled axes, quiet grid and room for nothing else."""
    ink, grid = INK["dark" if dark else "light"]
    axis = {"gridcolor": grid, "zeroline": False, "linecolor": grid, "title": {"standoff": 8}}
    return go.Figure(
        layout={
            "height": height,
            "margin": {"l": 56, "r": 12, "t": 34, "b": 44},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": ink, "size": 14},
            "hovermode": "x",
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "uirevision": "kept",  # zoom and hidden lines survive a refresh
            "xaxis": {**axis, "title": {"text": x_title}},
            "yaxis": {**axis, "title": {"text": y_title}},
        }
    )
