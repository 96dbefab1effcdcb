"""How well maps hit the object, whether the score follows them, and whether they depend on the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from resnet_lab.attribution.records import (
    Estimate,
    LocalizationScore,
    MapSimilarity,
    Measure,
    PixelCurve,
    stage_title,
)
from resnet_lab.figures.theme import PERCENT, base_figure, ink, kind_colour

SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "hexagon")


def localization_figure(
    scores: Sequence[LocalizationScore],
    measure: Measure,
    title: str,
    dark: bool = False,
    rows: int = 0,
) -> go.Figure:
    """A mark and its interval for each, the first on top; baselines are hollow, the best of them a dashed line.

    The figure is as high as `rows` of them need, so that it stays in place while they grow.
    """
    rows = max(rows, len(scores))
    figure = base_figure(title, "", dark, 90 + 28 * rows, hovermode="closest", showlegend=False)
    colour, grey = kind_colour(False, dark), ink(dark)[0]
    estimates = {score.title: getattr(score, measure) for score in scores}
    for is_baseline in (False, True):
        names = [score.title for score in scores if score.is_baseline is is_baseline]
        found = [estimates[name] for name in names]
        hue, symbol = (grey, "circle-open") if is_baseline else (colour, "circle")
        figure.add_scatter(
            x=[round(100 * each.mean, 2) for each in found],
            y=names,
            mode="markers",
            marker={"color": hue, "size": 10, "symbol": symbol},
            error_x=_intervals(found, 100, thickness=2),
            customdata=[each.in_percent for each in found],
            hovertemplate="%{y}: %{customdata}<extra></extra>",
        )
    if chance := [estimates[score.title].mean for score in scores if score.is_baseline]:
        figure.add_vline(100 * max(chance), line={"color": grey, "width": 1, "dash": "dash"})
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=list(estimates)[::-1],
        range=[len(estimates) - rows - 0.5, len(estimates) - 0.5],
        automargin=True,
    )
    return figure.update_xaxes(range=[-1, 101])


def pixel_curves_figure(curves: Sequence[PixelCurve], title: str, dark: bool = False) -> go.Figure:
    """A line each, from none to all of the pixels changed; random orders are thin and grey."""
    figure = base_figure(title, "probability (%)", dark, 300, xaxis_range=[0, 100], yaxis_range=PERCENT)
    shown = set[str]()
    for curve in curves:
        steps = len(curve.probabilities) - 1
        colour, width = (ink(dark)[0], 1) if curve.is_random else (kind_colour(False, dark), 3)
        figure.add_scatter(
            x=[round(100 * i / steps, 2) for i in range(steps + 1)],
            y=[round(100 * value, 2) for value in curve.probabilities],
            name=curve.order,
            legendgroup=curve.order,
            showlegend=curve.order not in shown,
            mode="lines",
            line={"color": colour, "width": width},
            opacity=0.6 if curve.is_random else 1,
            hovertemplate=f"{curve.order}: %{{y:.1f}} %<extra></extra>",
        )
        shown.add(curve.order)
    return figure


def similarity_figure(
    found: Sequence[MapSimilarity], parts: Sequence[str], limit: float, dark: bool = False
) -> go.Figure:
    """A line for each method through the parts, from the head down; maps above `limit` at the end are suspect."""
    figure = base_figure("random from the head down to", "rank correlation", dark, hovermode="closest")
    for i, method in enumerate(dict.fromkeys(each.method for each in found)):
        mine = [each for each in found if each.method == method]
        suspect = mine[-1].part == parts[-1] and mine[-1].correlation.mean >= limit
        figure.add_scatter(
            x=[stage_title(each.part) for each in mine],
            y=[round(each.correlation.mean, 3) for each in mine],
            name=method,
            mode="lines+markers",
            line={"color": kind_colour(suspect, dark), "width": 2},  # plain's colour is that of warning
            marker={"symbol": SYMBOLS[i % len(SYMBOLS)], "size": 9},
            error_y=_intervals([each.correlation for each in mine], 1, thickness=1),
            hovertemplate=f"{method}, %{{x}}: %{{y:.2f}}<extra></extra>",
        )
    figure.add_hline(limit, line={"color": ink(dark)[0], "width": 1, "dash": "dash"})
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=list(map(stage_title, parts)))
    return figure.update_yaxes(range=[-1.02, 1.05])


def _intervals(estimates: Sequence[Estimate], unit: float, thickness: int) -> dict[str, Any]:
    """Plotly's error bars."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [round(unit * (each.high - each.mean), 3) for each in estimates],
        "arrayminus": [round(unit * (each.mean - each.low), 3) for each in estimates],
        "thickness": thickness,
    }
