"""What nets lose without some of their blocks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import fmean

import plotly.graph_objects as go

from resnet_lab.analysis.records import Lesion, by_net
from resnet_lab.figures.theme import base_figure, kind_colour


def each_figure(found: Sequence[Lesion], dark: bool = False) -> go.Figure:
    """A bar for each block taken out alone, hatched where it changes the shape; a line for the whole net."""
    figure = base_figure("block taken out, from input to output", "test accuracy (%)", dark)
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
    figure.update_yaxes(range=[0, 100.5])
    return figure.update_layout(barmode="group", hovermode="closest")


def _place(block: str) -> list[int]:
    """By which blocks stand in forward order: [1, 10] of "layer1.10"."""
    return [int(number) for number in re.findall(r"\d+", block)]


def _percent(record: Lesion) -> float:
    return round(100 * record.accuracy, 2)


def random_figure(found: Sequence[Lesion], dark: bool = False) -> go.Figure:
    """Each draw a mark over the number of blocks taken out; a line through the means, from the whole net on."""
    figure = base_figure("blocks taken out at random", "test accuracy (%)", dark)
    for name, records in by_net(found).items():
        colour = kind_colour(records[0].plain, dark)
        draws = [record for record in records if record.removed]
        counts = sorted({len(record.removed) for record in records})
        means = [fmean(_percent(record) for record in records if len(record.removed) == at) for at in counts]
        figure.add_scatter(
            x=counts,
            y=[round(mean, 2) for mean in means],
            name=name,
            legendgroup=name,
            mode="lines",
            line={"color": colour, "width": 3},
            hovertemplate=f"{name}, mean: %{{y:.1f}} %<extra></extra>",
        )
        figure.add_scatter(
            x=[len(record.removed) for record in draws],
            y=[_percent(record) for record in draws],
            legendgroup=name,
            showlegend=False,
            mode="markers",
            marker={"color": colour, "size": 7, "opacity": 0.6},
            hovertemplate=f"{name} without %{{x}}: %{{y:.1f}} %<extra></extra>",
        )
    figure.update_yaxes(range=[0, 100.5])
    return figure.update_xaxes(rangemode="tozero").update_layout(hovermode="closest")


def paths_figure(counts: Sequence[int], dark: bool = False) -> go.Figure:
    """How many paths of each length lead through the residual net, as shares of all of them."""
    figure = base_figure("blocks on the path", "part of all paths (%)", dark, height=280)
    total = sum(counts)
    shares = [100 * count / total for count in counts]
    figure.add_bar(
        x=list(range(len(counts))),
        y=[float(f"{share:.4g}") for share in shares],
        customdata=[f"{count:,}" for count in counts],
        marker={"color": kind_colour(False, dark)},
        hovertemplate="%{x} blocks: %{customdata} paths, %{y:.3g} %<extra></extra>",
    )
    return figure.update_layout(hovermode="closest", showlegend=False)
