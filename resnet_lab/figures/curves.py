"""Learning curves: events of a run → records → figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import plotly.graph_objects as go

from resnet_lab.figures.theme import base_figure, kind_colour
from resnet_lab.training.events import (
    EpochEvent,
    Event,
    Gradients,
    ModeChosen,
    Notice,
    Started,
    StepEvent,
    TestEvent,
)

Axis = Literal["step", "epoch", "seconds"]
Measure = Literal["loss", "accuracy", "error", "lr", "grad_norm"]
MEASURES: dict[Measure, tuple[str, str]] = {  # axis title, number in the hover
    "loss": ("loss (nats)", "%{y:.4f}"),
    "accuracy": ("accuracy (%)", "%{y:.1f} %"),
    "error": ("error (%)", "%{y:.1f} %"),
    "lr": ("learning rate", "%{y:.3g}"),
    "grad_norm": ("gradient norm", "%{y:.3g}"),
}
AXIS_TITLES = {"step": "step", "epoch": "epoch", "seconds": "training time (s)"}
MOST_POINTS = 500  # a line; more cannot be told apart on a screen, and each costs bytes at every refresh
DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass
class Curve:
    """One run's events: training points (mean over the steps since the last point), and one per epoch.

    Where several runs are pooled, points and epochs are means, and epochs also have their spread (figures/seeds.py).
    """

    name: str
    plain: bool = False
    points: list[Any] = field(default_factory=list)  # StepEvent or MeanPoint
    epochs: list[Any] = field(default_factory=list)  # EpochEvent or MeanEpoch
    started: Started | None = None
    test: TestEvent | None = None
    notices: list[Notice] = field(default_factory=list)
    modes: list[ModeChosen] = field(default_factory=list)
    gradients: list[Gradients] = field(default_factory=list)

    def extend(self, events: Sequence[Event]) -> None:
        """Adds events in the order they were written; a resume from an earlier step forgets what came after."""
        for event in events:
            match event:
                case StepEvent():
                    self.points.append(event)
                case EpochEvent():
                    self.epochs.append(event)
                case Notice():
                    self.notices.append(event)
                case ModeChosen():
                    self.modes.append(event)
                case Gradients():
                    self.gradients.append(event)
                case TestEvent():
                    self.test = event
                case Started():
                    self.started, self.test = event, None
                    lists: list[list[Any]] = [
                        self.points,
                        self.epochs,
                        self.notices,
                        self.modes,
                        self.gradients,
                    ]
                    for records in lists:
                        records[:] = [record for record in records if record.step <= event.step]


@dataclass(frozen=True)
class Mark:
    """A published value to compare with, on the figure's own scale."""

    value: float
    text: str
    plain: bool


def curve_figure(
    curves: Sequence[Curve],
    measure: Measure,
    axis: Axis = "epoch",
    smoothing: float = 0.0,
    dark: bool = False,
    marks: Sequence[Mark] = (),
) -> go.Figure:
    """Training (thin) and, where it is measured, validation (thick, with marks) of each run.

    `smoothing` from 0 to below 1 is the weight of the past in an exponential moving average of the
    training points, corrected for its start. A learning rate is shown as it was, a gradient norm on a
    logarithmic axis. `marks` are published values, dashed across the figure.
    """
    style = _Style(measure, axis, smoothing, dark, len(curves) == 1)
    figure = base_figure(AXIS_TITLES[axis], MEASURES[measure][0], dark)
    seen = {True: 0, False: 0}
    for i, curve in enumerate(curves):
        dash = DASHES[seen[curve.plain] % len(DASHES)]
        seen[curve.plain] += 1
        _training_line(figure, curve, style, dash, f"run {i}")
        if style.validated:
            _validation_line(figure, curve, style, dash, f"run {i}")
    for mark in marks:
        colour = kind_colour(mark.plain, dark)
        figure.add_hline(
            mark.value,
            line={"color": colour, "width": 1.5, "dash": "dash"},
            annotation={"text": mark.text, "font": {"color": colour, "size": 12}},
            annotation_position="top left" if mark.plain else "bottom left",
        )
    if measure in ("accuracy", "error"):
        figure.update_yaxes(range=[0, 100.5])
    elif measure == "grad_norm":
        figure.update_yaxes(type="log")
    figure.update_xaxes(rangemode="tozero")
    return figure


@dataclass(frozen=True)
class _Style:
    measure: Measure
    axis: Axis
    smoothing: float
    dark: bool
    alone: bool

    @property
    def validated(self) -> bool:
        return self.measure in ("loss", "accuracy", "error")


def _training_line(figure: go.Figure, curve: Curve, style: _Style, dash: str, group: str) -> None:
    measure, alone = style.measure, style.alone
    known = [p for p in curve.points if value_of(p, measure) is not None]
    values = [value_of(p, measure) for p in known]
    points = thin(smooth(values, 0.0 if measure == "lr" else style.smoothing))
    figure.add_scatter(
        x=[getattr(known[at], style.axis) for at, _ in points],
        y=[_shown(value) for _, value in points],
        name="training" if alone else f"{curve.name}, training" if style.validated else curve.name,
        legendgroup="training" if alone else group,
        showlegend=alone or not style.validated,
        mode="lines",
        line={"color": kind_colour(curve.plain, style.dark), "width": 1.5, "dash": dash},
        opacity=0.65,
        hovertemplate=MEASURES[measure][1],
    )


def _validation_line(figure: go.Figure, curve: Curve, style: _Style, dash: str, group: str) -> None:
    colour = kind_colour(curve.plain, style.dark)
    if curve.epochs and hasattr(curve.epochs[0], "loss_low"):
        _band(figure, curve, style.measure, style.axis, colour)
    figure.add_scatter(
        x=[getattr(e, style.axis) for e in curve.epochs],
        y=[_shown(value_of(e, style.measure)) for e in curve.epochs],
        name="validation" if style.alone else curve.name,
        legendgroup="validation" if style.alone else group,
        showlegend=True,
        mode="lines+markers",
        line={"color": colour, "width": 3, "dash": dash},
        marker={"size": 7},
        hovertemplate=MEASURES[style.measure][1],
    )


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


def value_of(record: Any, measure: Measure) -> Any:
    """A record's number as it is drawn: accuracies and errors in percent."""
    if measure in ("accuracy", "error"):
        return in_percent(record.accuracy, measure)
    return getattr(record, measure)


def in_percent(accuracy: float, measure: Measure) -> float:
    return 100 - 100 * accuracy if measure == "error" else 100 * accuracy


def _band(figure: go.Figure, curve: Curve, measure: Measure, axis: Axis, colour: str) -> None:
    """From the lowest to the highest of the runs that the curve is the mean of."""
    edges = [
        [
            _shown(getattr(e, f"loss_{edge}"))
            if measure == "loss"
            else _shown(in_percent(getattr(e, f"accuracy_{edge}"), measure))
            for e in curve.epochs
        ]
        for edge in ("low", "high")
    ]
    x = [getattr(e, axis) for e in curve.epochs]
    figure.add_scatter(
        x=[*x, *reversed(x)],
        y=[*edges[0], *reversed(edges[1])],
        fill="toself",
        fillcolor=colour,
        opacity=0.18,
        mode="none",
        showlegend=False,
        hoverinfo="skip",
    )


def _shown(value: float) -> float:
    """Four significant digits are what the screen shows and what the wire needs."""
    return float(f"{value:.4g}")
