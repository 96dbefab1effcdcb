"""What reaches each layer: gradients at the start, gradients as training goes on, responses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from resnet_lab.analysis.records import LayerSeries
from resnet_lab.figures.theme import base_figure, dashes, kind_colour, rounded

if TYPE_CHECKING:
    from resnet_lab.training.events import Gradients

MOST_COLUMNS = 150  # of a heat map; more cannot be told apart on half a screen


def depth_lines(
    lines: Sequence[LayerSeries], x_title: str, y_title: str, dark: bool = False, log: bool = False
) -> go.Figure:
    """Each line over depth, from the input on the left to the output on the right; dashes tell those of a kind."""
    figure = base_figure(x_title, y_title, dark)
    for line, dash in zip(lines, dashes([line.plain for line in lines]), strict=True):
        figure.add_scatter(
            x=list(range(1, len(line.values) + 1)),
            y=[rounded(value) for value in line.values.values()],
            customdata=list(line.values),
            name=line.net,
            mode="lines",
            line={"color": kind_colour(line.plain, dark), "width": 2.5, "dash": dash},
            hovertemplate="%{customdata}: %{y:.3g}",
        )
    if log:
        figure.update_yaxes(type="log", exponentformat="power", dtick=1, automargin=True)
    return figure


def responses_figure(lines: Sequence[LayerSeries], dark: bool = False, ordered: bool = False) -> go.Figure:
    """Standard deviations by layer; `ordered` from the largest to the smallest (He et al. 2015, Fig. 7, below)."""
    title = "layer, by size" if ordered else "layer"
    if ordered:
        by_size = [sorted(line.values.items(), key=lambda item: item[1], reverse=True) for line in lines]
        lines = [replace(line, values=dict(values)) for line, values in zip(lines, by_size, strict=True)]
    return depth_lines(lines, title, "std of the response", dark).update_yaxes(rangemode="tozero")


def gradient_range(runs: Sequence[Sequence[Gradients]]) -> tuple[float, float]:
    """log10 of the smallest and the largest norm in all of them, for one colour scale."""
    norms = [norm for records in runs for record in records for norm in record.norms if norm > 0]
    return (math.log10(min(norms)), math.log10(max(norms))) if norms else (-3.0, 0.0)


def gradient_map(
    name: str,
    records: Sequence[Gradients],
    layers: Sequence[str],
    limits: tuple[float, float],
    dark: bool = False,
) -> go.Figure:
    """Norm of each convolution's gradient (colour, logarithmic) by step and layer, the input at the bottom.

    Records of another number of layers are left out.
    """
    fit = [record for record in records if len(record.norms) == len(layers)]
    shown = fit[:: max(1, math.ceil(len(fit) / MOST_COLUMNS))]
    figure = base_figure("step", "layer, from the input up", dark, height=360)
    ticks = list(range(math.ceil(limits[0]), math.floor(limits[1]) + 1))
    figure.add_heatmap(
        x=[record.step for record in shown],
        y=list(range(1, len(layers) + 1)),
        z=[
            [math.log10(norm) if (norm := record.norms[i]) > 0 else None for record in shown]
            for i in range(len(layers))
        ],
        text=[[f"{layer}: {record.norms[i]:.3g}" for record in shown] for i, layer in enumerate(layers)],
        zmin=limits[0],
        zmax=limits[1],
        colorscale="Viridis",
        colorbar={
            "title": {"text": "norm"},
            "tickvals": ticks,
            "ticktext": [f"10<sup>{t}</sup>" for t in ticks],
        },
        hovertemplate="step %{x}, %{text}<extra></extra>",
    )
    return figure.update_layout(title={"text": name, "x": 0.02, "font": {"size": 15}}, hovermode="closest")
