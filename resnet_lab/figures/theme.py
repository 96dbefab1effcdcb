"""How every figure of the lab looks, light and dark, and what several figures draw alike."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from textwrap import wrap
from typing import Any

import pandas  # noqa: F401 (plotly uses it once it is loaded, even if another thread is still half-way through that)
import plotly.graph_objects as go

from resnet_lab.figures.palette import INK, PLAIN, PLAIN_DARK, RESIDUAL, RESIDUAL_DARK

DASHES = ("solid", "dash", "dot", "dashdot")
WIDEST = 30  # characters of a title below an axis: on a phone the plot may be 180 pixels wide
PERCENT = [0, 100.5]  # the range of an axis; a line at its end is drawn whole


def ink(dark: bool) -> tuple[str, str]:
    """The colours of text and of grid lines."""
    return INK["dark" if dark else "light"]


def kind_colour(plain: bool, dark: bool = False) -> str:
    """The one colour of plain nets, or of residual ones."""
    if plain:
        return PLAIN_DARK if dark else PLAIN
    return RESIDUAL_DARK if dark else RESIDUAL


def dashes(plain: Sequence[bool]) -> list[str]:
    """One for each line: they tell apart those of one kind, which have one colour."""
    return [DASHES[plain[:i].count(kind) % len(DASHES)] for i, kind in enumerate(plain)]


def rounded(value: float) -> float:
    """Four significant digits are what the screen shows and what the wire needs."""
    return float(f"{value:.4g}")


def base_figure(
    x_title: str, y_title: str, dark: bool = False, height: int = 330, **layout: Any
) -> go.Figure:
    """An empty figure with titled axes, quiet grid and room for nothing else; `layout` is plotly's, beyond that."""
    text, grid = ink(dark)
    axis = {"gridcolor": grid, "zeroline": False, "linecolor": grid, "automargin": True}
    return go.Figure(
        layout={
            "height": height,
            "margin": {"l": 56, "r": 12, "t": 34, "b": 44},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": text, "size": 14},
            "hovermode": "x",
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "uirevision": "kept",  # zoom and hidden lines survive a refresh
            "xaxis": {**axis, "title": {"text": "<br>".join(wrap(x_title, WIDEST)), "standoff": 6}},
            "yaxis": {**axis, "title": {"text": y_title, "standoff": 6}},
        }
    ).update_layout(**layout)


def add_means(
    figure: go.Figure, name: str, points: Sequence[tuple[float, float]], colour: str, dash: str | None = None
) -> None:
    """A line through the mean of the points (x, %) at each x."""
    places = sorted({x for x, _ in points})
    figure.add_scatter(
        x=places,
        y=[round(fmean(y for x, y in points if x == place), 2) for place in places],
        name=name,
        legendgroup=name,
        mode="lines",
        line={"color": colour, "width": 3, "dash": dash},
        hovertemplate=f"{name}, mean: %{{y:.1f}} %<extra></extra>",
    )


def add_marks(
    figure: go.Figure, name: str, points: Sequence[tuple[float, float]], hover: str, **marker: Any
) -> None:
    """A mark for each of the points (x, %), shown and hidden with the line called `name`."""
    figure.add_scatter(
        x=[x for x, _ in points],
        y=[y for _, y in points],
        legendgroup=name,
        showlegend=False,
        mode="markers",
        marker=marker,
        hovertemplate=f"{name}{hover}: %{{y:.1f}} %<extra></extra>",
    )
