"""Learning curves: events of a run → records → figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import plotly.graph_objects as go

from resnet_lab.figures.theme import base_figure, kind_colour

Axis = Literal["step", "epoch", "seconds"]
Measure = Literal["loss", "accuracy", "lr", "grad_norm"]
MEASURES: dict[Measure, tuple[str, str]] = {  # axis title, number in the hover
    "loss": ("loss (nats)", "%{y:.4f}"),
    "accuracy": ("accuracy (%)", "%{y:.1f} %"),
    "lr": ("learning rate", "%{y:.3g}"),
    "grad_norm": ("gradient norm", "%{y:.3g}"),
}
AXIS_TITLES = {"step": "step", "epoch": "epoch", "seconds": "training time (s)"}
MOST_POINTS = 500  # a line; more cannot be told apart on a screen, and each costs bytes at every refresh
DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass
class Curve:
    """One run's records: training points (mean over the steps since the last point), and one per epoch."""

    name: str
    plain: bool = False
    points: list[dict[str, Any]] = field(default_factory=list)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    started: dict[str, Any] | None = None
    test: dict[str, Any] | None = None
    adjusted: list[dict[str, Any]] = field(default_factory=list)
    chosen: list[dict[str, Any]] = field(default_factory=list)

    def extend(self, events: Sequence[dict[str, Any]]) -> None:
        """Adds events in the order they were written; a resume from an earlier step forgets what came after."""
        for event in events:
            match event.get("kind"):
                case "started":
                    self.started = event
                    self.points = [p for p in self.points if p["step"] <= event["step"]]
                    self.epochs = [e for e in self.epochs if e["step"] <= event["step"]]
                    self.adjusted = [a for a in self.adjusted if a["step"] <= event["step"]]
                    self.chosen = [c for c in self.chosen if c["step"] <= event["step"]]
                    self.test = None
                case "adjusted":
                    self.adjusted.append(event)
                case "chosen":
                    self.chosen.append(event)
                case "step":
                    self.points.append(event)
                case "epoch":
                    self.epochs.append(
                        {**event, "loss": event["val_loss"], "accuracy": event["val_accuracy"]}
                    )
                case "test":
                    self.test = event


def curve_figure(
    curves: Sequence[Curve],
    measure: Measure,
    axis: Axis = "epoch",
    smoothing: float = 0.0,
    dark: bool = False,
) -> go.Figure:
    """Training (thin) and, where it is measured, validation (thick, with marks) of each run.

    `smoothing` from 0 to below 1 is the weight of the past in an exponential moving average of the
    training points, corrected for its start. A learning rate is shown as it was, a gradient norm on a
    logarithmic axis.
    """
    title, hover = MEASURES[measure]
    validated = measure in ("loss", "accuracy")
    figure = base_figure(AXIS_TITLES[axis], title, dark)
    seen = {True: 0, False: 0}
    for i, curve in enumerate(curves):
        colour = kind_colour(curve.plain, dark)
        dash = DASHES[seen[curve.plain] % len(DASHES)]
        seen[curve.plain] += 1
        alone = len(curves) == 1
        known = [p for p in curve.points if p[measure] is not None]
        points = thin(smooth([p[measure] for p in known], 0.0 if measure == "lr" else smoothing))
        figure.add_scatter(
            x=[known[at][axis] for at, _ in points],
            y=[_shown(value, measure) for _, value in points],
            name="training" if alone else f"{curve.name}, training" if validated else curve.name,
            legendgroup="training" if alone else f"run {i}",
            showlegend=alone or not validated,
            mode="lines",
            line={"color": colour, "width": 1.5, "dash": dash},
            opacity=0.65,
            hovertemplate=hover,
        )
        if not validated:
            continue
        figure.add_scatter(
            x=[e[axis] for e in curve.epochs],
            y=[_shown(e[measure], measure) for e in curve.epochs],
            name="validation" if alone else curve.name,
            legendgroup="validation" if alone else f"run {i}",
            showlegend=True,
            mode="lines+markers",
            line={"color": colour, "width": 3, "dash": dash},
            marker={"size": 7},
            hovertemplate=hover,
        )
    if measure == "accuracy":
        figure.update_yaxes(range=[0, 100.5])
    elif measure == "grad_norm":
        figure.update_yaxes(type="log")
    figure.update_xaxes(rangemode="tozero")
    return figure


def smooth(values: Sequence[float], weight: float) -> list[float]:
    """Exponential moving average, divided by 1 − weightᵗ as Adam does (Kingma and Ba 2015, Sec. 3)."""
    if weight <= 0:
        return list(values)
    result, average = [], 0.0
    for t, value in enumerate(values, start=1):
        average = weight * average + (1 - weight) * value
        result.append(average / (1 - weight**t))
    return result


def thin(values: Sequence[float], most: int = MOST_POINTS) -> list[tuple[int, float]]:
    """(index, value) of at most `most` values, evenly spaced, the first and last among them."""
    if len(values) <= most:
        return list(enumerate(values))
    chosen = [round(i * (len(values) - 1) / (most - 1)) for i in range(most)]
    return [(i, values[i]) for i in chosen]


def _shown(value: float, measure: Measure) -> float:
    """Four significant digits are what the screen shows and what the wire needs."""
    return float(f"{value * 100 if measure == 'accuracy' else value:.4g}")
