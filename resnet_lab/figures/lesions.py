"""What nets lose without some of their blocks."""

from __future__ import annotations

import re
from collections.abc import Sequence

import plotly.graph_objects as go

from resnet_lab.analysis.records import Lesion, by_net
from resnet_lab.figures.theme import PERCENT, add_marks, add_means, base_figure, kind_colour, rounded

ACCURACY = "test accuracy (%)"


def each_figure(found: Sequence[Lesion], dark: bool = False) -> go.Figure:
    """A bar for each block taken out alone, hatched where it changes the shape; a line for the whole net."""
    figure = base_figure("block taken out, from input to output", ACCURACY, dark, yaxis_range=PERCENT)
    blocks = sorted({record.removed[0] for record in found if record.removed}, key=_place)
    for name, records in by_net(found).items():
        shown = sorted((record for record in records if record.removed), key=lambda r: _place(r.removed[0]))
        colour = kind_colour(records[0].plain, dark)
        figure.add_bar(
            x=[record.removed[0].removeprefix("layer") for record in shown],
            y=[_percent(record) for record in shown],
            name=name,
            marker={"color": colour, "pattern": {"shape": ["/" if r.changes_shape else "" for r in shown]}},
            hovertemplate=f"{name} without %{{x}}: %{{y:.1f}} %<extra></extra>",
        )
        for whole in (record for record in records if not record.removed):
            figure.add_hline(_percent(whole), line={"color": colour, "width": 2, "dash": "dash"})
    labels = [block.removeprefix("layer") for block in blocks]
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=labels)
    return figure.update_layout(barmode="group", hovermode="closest")


def _place(block: str) -> list[int]:
    """By which blocks stand in forward order: [1, 10] of "layer1.10"."""
    return [int(number) for number in re.findall(r"\d+", block)]


def _percent(record: Lesion) -> float:
    return round(100 * record.accuracy, 2)


def random_figure(found: Sequence[Lesion], dark: bool = False) -> go.Figure:
    """Each draw a mark over the number of blocks taken out; a line through the means, from the whole net on."""
    figure = base_figure("blocks taken out at random", ACCURACY, dark, yaxis_range=PERCENT)
    for name, records in by_net(found).items():
        colour = kind_colour(records[0].plain, dark)
        points = [(len(record.removed), _percent(record)) for record in records]
        add_means(figure, name, points, colour)
        draws = [(count, accuracy) for count, accuracy in points if count]
        add_marks(figure, name, draws, " without %{x}", color=colour, size=7, opacity=0.6)
    return figure.update_layout(hovermode="closest", xaxis_rangemode="tozero")


def paths_figure(counts: Sequence[int], dark: bool = False) -> go.Figure:
    """How many paths of each length lead through the residual net, as shares of all of them."""
    figure = base_figure("blocks on the path", "part of all paths (%)", dark, height=280)
    figure.add_bar(
        x=list(range(len(counts))),
        y=[rounded(100 * count / sum(counts)) for count in counts],
        customdata=[f"{count:,}" for count in counts],
        marker={"color": kind_colour(False, dark)},
        hovertemplate="%{x} blocks: %{customdata} paths, %{y:.3g} %<extra></extra>",
    )
    return figure.update_layout(hovermode="closest", showlegend=False)
