"""What nets lose without some of their blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import plotly.graph_objects as go

from resnet_lab.figures.theme import base_figure, kind_colour


@dataclass(frozen=True)
class Without:
    """Accuracy (percent) of the net `name` without `removed`; `changes_shape`: one of them does."""

    name: str
    plain: bool
    removed: tuple[str, ...]
    accuracy: float
    changes_shape: bool = False


def each_figure(
    found: Sequence[Without], blocks: Sequence[str], whole: dict[str, float], dark: bool = False
) -> go.Figure:
    """A bar for each block taken out alone, hatched where it changes the shape; a line for the whole net."""
    figure = base_figure("block taken out, from input to output", "test accuracy (%)", dark)
    for name in dict.fromkeys(record.name for record in found):
        mine = {record.removed[0]: record for record in found if record.name == name}
        shown = [mine[block] for block in blocks if block in mine]
        if not shown:
            continue
        colour = kind_colour(shown[0].plain, dark)
        figure.add_bar(
            x=[record.removed[0].removeprefix("layer") for record in shown],
            y=[round(record.accuracy, 2) for record in shown],
            name=name,
            marker={"color": colour, "pattern": {"shape": ["/" if r.changes_shape else "" for r in shown]}},
            hovertemplate=f"{name} without %{{x}}: %{{y:.1f}} %<extra></extra>",
        )
        if name in whole:
            figure.add_hline(whole[name], line={"color": colour, "width": 2, "dash": "dash"})
    labels = [block.removeprefix("layer") for block in blocks]
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=labels)
    figure.update_yaxes(range=[0, 100.5])
    return figure.update_layout(barmode="group", hovermode="closest")


def random_figure(found: Sequence[Without], whole: dict[str, float], dark: bool = False) -> go.Figure:
    """Each draw a mark over the number of blocks taken out; a line through the means, from the whole net on."""
    figure = base_figure("blocks taken out at random", "test accuracy (%)", dark)
    for name in dict.fromkeys(record.name for record in found):
        mine = [record for record in found if record.name == name]
        colour = kind_colour(mine[0].plain, dark)
        points = [(len(record.removed), record.accuracy) for record in mine]
        counts = sorted({count for count, _ in points})
        means = [fmean(accuracy for count, accuracy in points if count == at) for at in counts]
        if name in whole:
            counts, means = [0, *counts], [whole[name], *means]
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
            x=[count for count, _ in points],
            y=[round(accuracy, 2) for _, accuracy in points],
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
