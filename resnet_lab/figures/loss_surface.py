"""The loss around a net: a slice, or a surface seen from above or from the side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from resnet_lab.analysis.records import LossPoint, by_net
from resnet_lab.figures.theme import base_figure, ink, kind_colour, rounded

AXIS = "along direction 1 (lengths of the net's own filters)"


def loss_range(points: Sequence[LossPoint]) -> tuple[float, float]:
    """log10 of the smallest and largest finite loss of all nets, for one scale."""
    known = [p.loss for p in points if math.isfinite(p.loss) and p.loss > 0]
    return (math.log10(min(known)), math.log10(max(known))) if known else (-1.0, 1.0)


def slice_figure(points: Sequence[LossPoint], dark: bool = False) -> go.Figure:
    """Loss (line) of every net along the first direction, on a logarithmic axis."""
    figure = base_figure(AXIS, "loss (nats)", dark, yaxis_type="log")
    for name, records in by_net(points).items():
        mine = sorted((p for p in records if p.b == 0), key=lambda p: p.a)
        figure.add_scatter(
            x=[p.a for p in mine],
            y=[rounded(p.loss) if math.isfinite(p.loss) else None for p in mine],
            customdata=[100 * p.accuracy for p in mine],
            name=name,
            mode="lines+markers",
            line={"color": kind_colour(mine[0].plain, dark), "width": 3},
            hovertemplate="%{y:.3g} nats, accuracy %{customdata:.1f} %",
        )
    return figure


def surface_figure(
    points: Sequence[LossPoint], limits: tuple[float, float], dark: bool = False, from_above: bool = True
) -> go.Figure:
    """log10 of one net's loss over both directions: contours, or a surface.

    Places not computed yet are interpolated. Once all are there, a loss that is no finite number is a gap.
    """
    a_values, b_values = (sorted({getattr(p, axis) for p in points}) for axis in "ab")
    at = {(p.a, p.b): p for p in points}
    heights = {
        "x": a_values,
        "y": b_values,
        "z": [[_log(at.get((a, b))) for a in a_values] for b in b_values],
        # An array, as plotly takes a list of lists for one text a row.
        "text": np.array([[_words(at.get((a, b))) for a in a_values] for b in b_values], dtype=object),
        "colorscale": "Viridis",
        "colorbar": _colour_bar(limits),
        "hovertemplate": "%{text}<extra></extra>",
        "connectgaps": len(at) < len(a_values) * len(b_values),
    }
    figure = base_figure(AXIS, "along direction 2", dark, height=420)
    if from_above:
        step = max((limits[1] - limits[0]) / 15, 0.05)
        contours = {"start": limits[0], "end": limits[1], "size": step}
        figure.add_contour(zmin=limits[0], zmax=limits[1], contours=contours, line={"width": 1}, **heights)
        figure.add_scatter(
            x=[0], y=[0], mode="markers", marker={"symbol": "cross", "size": 11, "color": "white"}, showlegend=False,
            hovertemplate="the trained net<extra></extra>",
        )  # fmt: skip
        figure.update_yaxes(scaleanchor="x", constrain="domain")
    else:
        figure.add_surface(cmin=limits[0], cmax=limits[1], **heights)
        figure.update_layout(scene=_scene(limits, dark), margin={"l": 0, "r": 0, "b": 0})
    title = points[0].net if points else ""
    return figure.update_layout(title={"text": title, "x": 0.02, "font": {"size": 15}}, hovermode="closest")


def _scene(limits: tuple[float, float], dark: bool) -> dict[str, Any]:
    """The axes of a surface, all three titled, far enough away for the titles to be seen."""
    axis = {"showspikes": False, "showbackground": False, "gridcolor": ink(dark)[1]}
    return {
        "xaxis": {**axis, "title": {"text": "direction 1"}},
        "yaxis": {**axis, "title": {"text": "direction 2"}},
        "zaxis": {**axis, "title": {"text": "log10 loss"}, "range": list(limits)},
        "aspectmode": "cube",
        "camera": {"eye": {"x": 1.5, "y": 1.5, "z": 1.0}},
    }


def _colour_bar(limits: tuple[float, float]) -> dict[str, Any]:
    """Losses in nats beside the logarithmic colours; 1, 2, 5 where powers of ten alone would be too few."""
    factors = (1,) if limits[1] - limits[0] > 2.5 else (1, 2, 5)
    powers = range(math.floor(limits[0]), math.ceil(limits[1]) + 1)
    losses = [factor * 10.0**power for power in powers for factor in factors]
    shown = [loss for loss in losses if limits[0] <= math.log10(loss) <= limits[1]]
    return {
        "title": {"text": "loss (nats)"},
        "tickvals": [math.log10(loss) for loss in shown],
        "ticktext": [f"{loss:,g}" if 0.001 <= loss < 1e6 else f"{loss:.0e}" for loss in shown],
    }


def _log(point: LossPoint | None) -> float | None:
    if point is None or not math.isfinite(point.loss) or point.loss <= 0:
        return None
    return round(math.log10(point.loss), 4)


def _words(point: LossPoint | None) -> str:
    if point is None:
        return "not computed yet"
    return f"({point.a:.2f}, {point.b:.2f}): {point.loss:.3g} nats, accuracy {point.accuracy:.1%}"
