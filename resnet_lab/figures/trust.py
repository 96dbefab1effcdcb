"""How well maps hit the object, whether the score follows them, and whether they depend on the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from resnet_lab.figures.palette import INK
from resnet_lab.figures.theme import base_figure, kind_colour

SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "hexagon")


@dataclass(frozen=True)
class Level:
    """A mean with its interval, all in percent, of what `name` calls."""

    name: str
    mean: float
    low: float
    high: float
    is_baseline: bool = False


def levels_figure(levels: Sequence[Level], title: str, dark: bool = False, rows: int = 0) -> go.Figure:
    """A mark and its interval for each, the first on top; baselines are hollow, the best of them a dashed line.

    The figure is as high as `rows` of them need, so that it stays in place while they grow.
    """
    rows = max(rows, len(levels))
    figure = base_figure(title, "", dark, height=90 + 28 * rows)
    colour, grey = kind_colour(False, dark), INK["dark" if dark else "light"][0]
    for is_baseline in (False, True):
        mine = [level for level in levels if level.is_baseline is is_baseline]
        figure.add_scatter(
            x=[round(level.mean, 2) for level in mine],
            y=[level.name for level in mine],
            mode="markers",
            marker={
                "color": grey if is_baseline else colour,
                "size": 10,
                "symbol": "circle-open" if is_baseline else "circle",
            },
            error_x=_intervals(mine, thickness=2),
            customdata=[f"{level.low:.1f}–{level.high:.1f}" for level in mine],
            hovertemplate="%{y}: %{x:.1f} % (%{customdata})<extra></extra>",
        )
    if chance := [level.mean for level in levels if level.is_baseline]:
        figure.add_vline(max(chance), line={"color": grey, "width": 1, "dash": "dash"})
    names = [level.name for level in levels]
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=names[::-1],
        range=[len(names) - rows - 0.5, len(names) - 0.5],
        automargin=True,
    )
    figure.update_xaxes(range=[-1, 101])
    return figure.update_layout(hovermode="closest", showlegend=False)


@dataclass(frozen=True)
class Fade:
    """Probability (percent) of the class, from none to all of the pixels changed."""

    name: str
    probabilities: tuple[float, ...]
    is_baseline: bool = False


def fading_figure(fades: Sequence[Fade], title: str, dark: bool = False) -> go.Figure:
    """A line each; baselines are thin and grey."""
    figure = base_figure(title, "probability (%)", dark, height=300)
    colour, grey = kind_colour(False, dark), INK["dark" if dark else "light"][0]
    shown = set[str]()
    for fade in fades:
        steps = len(fade.probabilities) - 1
        figure.add_scatter(
            x=[round(100 * i / steps, 2) for i in range(steps + 1)],
            y=[round(value, 2) for value in fade.probabilities],
            name=fade.name,
            legendgroup=fade.name,
            showlegend=fade.name not in shown,
            mode="lines",
            line={"color": grey if fade.is_baseline else colour, "width": 1 if fade.is_baseline else 3},
            opacity=0.6 if fade.is_baseline else 1,
            hovertemplate=f"{fade.name}: %{{y:.1f}} %<extra></extra>",
        )
        shown.add(fade.name)
    figure.update_xaxes(range=[0, 100])
    return figure.update_yaxes(range=[0, 100.5])


@dataclass(frozen=True)
class Kept:
    """Rank correlation (-1 to 1) of a method's maps before and after all parts down to `part` became random."""

    method: str
    part: str
    mean: float
    low: float
    high: float


def kept_figure(found: Sequence[Kept], parts: Sequence[str], limit: float, dark: bool = False) -> go.Figure:
    """A line for each method through the parts, from the head down; maps above `limit` at the end are suspect."""
    figure = base_figure("random from the head down to", "rank correlation", dark)
    ink = INK["dark" if dark else "light"][0]
    for i, method in enumerate(dict.fromkeys(record.method for record in found)):
        mine = [record for record in found if record.method == method]
        suspect = mine[-1].part == parts[-1] and mine[-1].mean >= limit
        colour = kind_colour(suspect, dark)  # the colour of warning is the second one
        figure.add_scatter(
            x=[record.part for record in mine],
            y=[round(record.mean, 3) for record in mine],
            name=method,
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"symbol": SYMBOLS[i % len(SYMBOLS)], "size": 9},
            error_y=_intervals(mine, thickness=1),
            hovertemplate=f"{method}, %{{x}}: %{{y:.2f}}<extra></extra>",
        )
    figure.add_hline(limit, line={"color": ink, "width": 1, "dash": "dash"})
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=list(parts))
    return figure.update_yaxes(range=[-1.02, 1.05]).update_layout(hovermode="closest")


def _intervals(records: Sequence[Level] | Sequence[Kept], thickness: int) -> dict[str, Any]:
    """Plotly's error bars of the records' intervals."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [round(record.high - record.mean, 3) for record in records],
        "arrayminus": [round(record.mean - record.low, 3) for record in records],
        "thickness": thickness,
    }
