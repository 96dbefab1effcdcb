"""What a class expects: votes → figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from resnet_lab.figures.theme import base_figure, kind_colour


def votes_figure(choices: Sequence[str], votes: Mapping[int, int], dark: bool = False) -> go.Figure:
    """A bar for each choice, in their order from the top, with how many expect it."""
    figure = base_figure(
        "votes", "", dark, height=90 + 44 * len(choices), showlegend=False, hovermode="closest"
    )
    counts = [votes.get(i, 0) for i in range(len(choices))]
    figure.add_bar(
        y=list(range(len(choices))),
        x=counts,
        orientation="h",
        marker={"color": kind_colour(plain=False, dark=dark)},
        text=counts,
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{x} votes<extra></extra>",
    )
    figure.update_xaxes(range=[0, max(*counts, 4) * 1.1], dtick=max(1, max(counts) // 8))
    figure.update_yaxes(
        tickvals=list(range(len(choices))), ticktext=list(choices), autorange="reversed", automargin=True
    )
    return figure
