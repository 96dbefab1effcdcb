"""Accuracy, and what reaches the first block, against the shortcut's strength."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from resnet_lab.figures.theme import DASHES, PERCENT, add_marks, add_means, base_figure, kind_colour, rounded


@dataclass(frozen=True)
class Strength:
    """One run by now: its α, its depth, and its accuracy (%) on test images, or else on validation images.

    `blocks` have shortcuts, so the identity path carries α^blocks. `first_over_last` is the norm of the first block's
    gradient over the last block's in the steps that the run told of first and last; None where it told of none.
    """

    alpha: float
    depth: int
    blocks: int
    accuracy: float | None
    is_tested: bool = False
    first_over_last: tuple[float, float] | None = None
    recipe: str = ""  # runs of several are not pooled

    @property
    def identity_path(self) -> float:
        """He et al. 2016, Eq. 7 and 8: the factor on what shortcuts alone carry from the first block to the last."""
        return self.alpha**self.blocks


def strength_figure(records: Sequence[Strength], dark: bool = False) -> go.Figure:
    """Each run a mark, and for each depth and recipe a line through the means."""
    figure = base_figure(
        "shortcut scale α", "accuracy (%)", dark, 380, hovermode="closest", yaxis_range=PERCENT
    )
    for i, (name, alike) in enumerate(_lines(records)):
        points = [(r.alpha, r.accuracy) for r in alike if r.accuracy is not None]
        colour = kind_colour(False, dark)
        add_means(figure, name, points, colour, DASHES[i % len(DASHES)])
        add_marks(figure, name, points, ", α = %{x}", color=colour, size=10)
    return figure


def path_figure(records: Sequence[Strength], dark: bool = False) -> go.Figure:
    """α^n, computed, beside the gradient's norms, measured."""
    title = "first block over last"
    figure = base_figure("shortcut scale α", title, dark, 380, hovermode="closest", yaxis_type="log")
    figure.update_yaxes(exponentformat="power")
    for i, (of, alike) in enumerate(_lines(records)):
        low = min([0.25, *(r.alpha for r in alike if r.alpha > 0)])  # 0 has no place on the axis
        high = max(1.0, alike[-1].alpha)
        alphas = [low + (high - low) * k / 30 for k in range(31)]
        path = [(rounded(alpha), alpha ** alike[0].blocks) for alpha in alphas]
        measured = [(r.alpha, r.first_over_last) for r in alike if r.first_over_last]
        dash, hover = DASHES[i % len(DASHES)], "α = %{x}: %{y:.3g}"
        lines = [
            (
                "αⁿ, computed",
                path,
                {"mode": "lines", "line": {"color": kind_colour(True, dark), "dash": dash}},
            ),
            ("gradients, first steps", [(a, both[0]) for a, both in measured], _marks("circle-open", dark)),
            ("gradients, latest steps", [(a, both[1]) for a, both in measured], _marks("circle", dark)),
        ]
        for words, points, look in lines:
            figure.add_scatter(
                x=[x for x, _ in points],
                y=[rounded(y) for _, y in points],
                name=f"{of}: {words}",
                hovertemplate=hover,
                **look,
            )
    return figure


def _lines(records: Sequence[Strength]) -> list[tuple[str, list[Strength]]]:
    """The runs of one depth and recipe by α, with the name of their line."""
    several = len({r.recipe for r in records}) > 1
    lines: dict[str, list[Strength]] = {}
    for r in sorted(records, key=lambda r: (r.depth, r.recipe, r.alpha)):
        lines.setdefault(f"{r.depth} layers" + f", {r.recipe}" * several, []).append(r)
    return list(lines.items())


def _marks(symbol: str, dark: bool) -> dict[str, Any]:
    return {"mode": "markers", "marker": {"symbol": symbol, "size": 10, "color": kind_colour(False, dark)}}
