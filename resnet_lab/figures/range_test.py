"""The learning-rate range test: records → figure."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from resnet_lab.figures.theme import base_figure, kind_colour


def rate_figure(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    proposal: float | None,
    dark: bool = False,
) -> go.Figure:
    """Loss over the learning rate (logarithmic): measured (thin), smoothed (thick), and the proposed rate."""
    figure = base_figure("learning rate", "loss (nats)", dark, height=240)
    colour = kind_colour(plain=False, dark=dark)
    hover = "rate %{x:.2e}<br>loss %{y:.4f}<extra>%{fullData.name}</extra>"
    thin = {"color": colour, "width": 1}
    figure.add_scatter(x=rates, y=losses, name="a batch", line=thin, opacity=0.4, hovertemplate=hover)
    thick = {"color": colour, "width": 2.5}
    figure.add_scatter(x=rates, y=smoothed, name="smoothed", line=thick, hovertemplate=hover)
    if proposal is not None:
        figure.add_vline(x=proposal, line={"dash": "dash", "width": 1.5, "color": colour})
    figure.update_xaxes(type="log", exponentformat="power", dtick=1)
    if losses:  # the end, where it breaks, would press the rest flat
        figure.update_yaxes(range=[0.9 * min(smoothed), 1.15 * max(losses[0], min(smoothed))])
    return figure
