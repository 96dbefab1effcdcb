"""The confusion matrix: counts → figure."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.colors import hex_to_rgb

from resnet_lab.figures.palette import INK, SHORTCUT
from resnet_lab.figures.theme import base_figure, ink

COUNTED = 20  # with more classes than this the cells are too small for numbers
NARROW = 12  # up to so many classes half the page's width is enough
LABELS = 25  # the most labels on an axis
LABEL_LENGTH, NAME_LENGTH = 14, 60  # characters on an axis, and in a hover
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # of red, green and blue (WCAG 2; 2.2 for its piecewise power)

Counts = NDArray[np.int64]
Shares = NDArray[np.float64]


def confusion_figure(confusion: Counts, classes: tuple[str, ...], dark: bool = False) -> go.Figure:
    """Counts int64 (classes, classes) as a heat map: rows are the true classes, columns the predicted ones.

    A mistake's colour is its share of the true class's images, on a scale that ends at the largest such
    share; right predictions, which are hundreds of times as many, stay grey. Every cell with images is a point
    with customdata (row, column, …) too, since Plotly selects points but no cells of a heat map.
    """
    count = len(classes)
    side = 300 if count <= NARROW else 500  # pixels of the matrix, about
    figure = base_figure("predicted class", "true class", dark, side + 140)
    share = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    _add_colours(figure, confusion, share, side / count, dark)
    _add_cells(figure, confusion, share, classes, side / count, dark)
    every = -(-count // LABELS)
    labels: dict[str, Any] = {
        "tickvals": list(range(0, count, every)),
        "ticktext": [_short(name, LABEL_LENGTH) for name in classes[::every]],
        "showgrid": False,
        "automargin": True,
        "tickfont": {"size": 13, "color": ink(dark)[0]},
    }
    figure.update_xaxes(**labels, range=[-0.5, count - 0.5], tickangle=-60 if count > 2 else 0)
    figure.update_yaxes(**labels, range=[count - 0.5, -0.5])  # the first class on top
    return figure.update_layout(
        hovermode="closest",
        hoverdistance=1,  # else a click on an empty cell chooses its neighbour
        showlegend=False,
        margin={"l": 8, "t": 8},  # the labels add what they need
        dragmode="zoom" if count > NARROW else False,
    )


def _add_colours(figure: go.Figure, confusion: Counts, share: Shares, cell: float, dark: bool) -> None:
    """Heat maps of right predictions and of mistakes; empty cells stay empty. A cell is about `cell` pixels wide."""
    mistake = SHORTCUT["dark" if dark else "light"][1]
    grid, hue = (np.array(hex_to_rgb(colour), dtype=np.float64) for colour in (ink(dark)[1], mistake))
    pale = grid + 0.2 * (hue - grid)
    counted = len(confusion) <= COUNTED
    right = np.eye(len(confusion), dtype=bool)
    largest = max(share[~right].max(initial=0.0), 1e-9)
    colours = np.where(right[..., None], grid, pale + (share / largest)[..., None] * (hue - pale))
    # One heat map has one colour of text, and Plotly's own choice is too pale on middling colours.
    bright = (colours / 255) ** 2.2 @ LUMINANCE > 0.18  # where black and white text have the same contrast
    size = min(13.0, cell / (0.5 * len(f"{confusion.max(initial=0):,}")))
    for shown, start, end in (
        (right, grid, grid),
        (~right & bright, pale, hue),
        (~right & ~bright, pale, hue),
    ):
        filled = shown & (confusion > 0)
        if not filled.any():
            continue
        text = [[f"{n:,}" if n else "" for n in row] for row in (confusion * shown).tolist()]
        figure.add_heatmap(
            z=np.where(filled, 100 * share, np.nan),
            zmin=0,
            zmax=100 * largest,
            colorscale=[
                [i, "rgb({:.0f}, {:.0f}, {:.0f})".format(*hue)] for i, hue in enumerate((start, end))
            ],
            text=text if counted else None,
            texttemplate="%{text}" if counted else None,
            textfont={"size": size, "color": INK["light" if bright[filled].all() else "dark"][0]},
            hoverinfo="skip",
            xgap=int(counted),
            ygap=int(counted),
            showscale=False,
        )


def _add_cells(
    figure: go.Figure, confusion: Counts, share: Shares, classes: tuple[str, ...], cell: float, dark: bool
) -> None:
    """An invisible square on each cell that has images; a rim shows the one that is chosen."""
    names = [_short(name, NAME_LENGTH) for name in classes]
    cells = np.argwhere(confusion).tolist()
    counts = [f"{n:,} image" + ("" if n == 1 else "s") for n in confusion[confusion > 0]]
    shares = [f"{part:.1%}" for part in share[confusion > 0]]
    figure.add_scatter(
        x=[column for _, column in cells],
        y=[row for row, _ in cells],
        customdata=[
            (row, column, names[row], names[column], count, part)
            for (row, column), count, part in zip(cells, counts, shares, strict=True)
        ],
        mode="markers",
        marker={
            "symbol": "square",
            "size": max(4, cell - 2),
            "opacity": 0,
            "color": "rgba(0,0,0,0)",
            "line": {"color": ink(dark)[0], "width": 2},
        },
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 0}},
        hovertemplate="true: %{customdata[2]}<br>predicted: %{customdata[3]}<br>"
        "%{customdata[4]}, %{customdata[5]} of that class<extra></extra>",
    )


def _short(name: str, length: int) -> str:
    """At most `length` characters, with Plotly's HTML switched off."""
    return escape(name if len(name) <= length else name[: length - 1] + "…", quote=False)
