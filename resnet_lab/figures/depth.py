"""Final error against depth: the degradation figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from resnet_lab.figures.theme import DASHES, add_marks, add_means, base_figure, kind_colour


@dataclass(frozen=True)
class Ending:
    """How one run ended: `kind` of shortcuts ("plain" for none), errors in percent, None where not measured."""

    kind: str
    depth: int
    error: float
    training_error: float | None = None
    is_recorded: bool = False  # one that came with the lab


def depth_figure(
    endings: Sequence[Ending], paper: Sequence[Ending] = (), dark: bool = False, training: bool = False
) -> go.Figure:
    """Each run a mark, and for each kind a line through the means of its depths; the paper's own dashed and grey.

    With `training` the error on training batches in the last epoch, which tells optimisation from overfitting.
    """
    title = "training error, last epoch (%)" if training else "test error (%)"
    figure = base_figure("layers", title, dark, 430, hovermode="closest", yaxis_rangemode="tozero")
    kinds = sorted({e.kind for e in endings}, key=lambda kind: (kind == "plain", kind))
    for i, kind in enumerate(kinds):
        runs = [(e.depth, e.training_error if training else e.error) for e in endings if e.kind == kind]
        known = [(depth, error) for depth, error in runs if error is not None]
        plain = kind == "plain"
        name, colour = "plain" if plain else f"residual, {kind}", kind_colour(plain, dark)
        add_means(figure, name, known, colour, "solid" if plain else DASHES[i % len(DASHES)])
        add_marks(figure, name, known, ", %{x} layers", color=colour, size=10)
    for plain in (False, True):
        points = sorted((e.depth, e.error) for e in paper if (e.kind == "plain") == plain)
        if points and not training:
            figure.add_scatter(
                x=[depth for depth, _ in points],
                y=[error for _, error in points],
                name=f"paper, {'plain' if plain else 'residual'} (64k iterations, CIFAR-10)",
                mode="lines+markers",
                line={"color": kind_colour(plain, dark), "width": 1.5, "dash": "dash"},
                marker={"symbol": "circle-open"},
                opacity=0.6,
                hovertemplate="%{x} layers: %{y:.4g} %",
            )
    depths = sorted({e.depth for e in (*endings, *paper)})
    return figure.update_xaxes(tickvals=depths, type="log" if depths and depths[-1] > 150 else "linear")
