"""Learning curves: events of a run → records → figure."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import accumulate
from typing import Any, Literal

import plotly.graph_objects as go

from resnet_lab.figures.theme import PERCENT, base_figure, dashes, kind_colour, rounded
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
        lists: dict[type[Event], list[Any]] = {
            StepEvent: self.points,
            EpochEvent: self.epochs,
            Notice: self.notices,
            ModeChosen: self.modes,
            Gradients: self.gradients,
        }
        for event in events:
            if isinstance(event, Started):
                self.started, self.test = event, None
                for records in lists.values():
                    records[:] = [record for record in records if record.step <= event.step]
            elif isinstance(event, TestEvent):
                self.test = event
            elif type(event) in lists:
                lists[type(event)].append(event)


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
    names = [escape(curve.name, quote=False) for curve in curves]  # plotly reads tags and entities
    alone, validated = len(curves) == 1, measure in ("loss", "accuracy", "error")
    figure = base_figure(AXIS_TITLES[axis], MEASURES[measure][0], dark, xaxis_rangemode="tozero")
    for i, (curve, dash) in enumerate(zip(curves, dashes([curve.plain for curve in curves]), strict=True)):
        colour = kind_colour(curve.plain, dark)
        known = [p for p in curve.points if value_of(p, measure) is not None]
        values = [value_of(p, measure) for p in known]
        points = thin(smooth(values, 0.0 if measure == "lr" else smoothing))
        figure.add_scatter(
            x=[round(getattr(known[at], axis), 4) for at, _ in points],
            y=[rounded(value) for _, value in points],
            name="training" if alone else f"{names[i]}, training" if validated else names[i],
            legendgroup="training" if alone else f"run {i}",
            showlegend=alone or not validated,
            mode="lines",
            line={"color": colour, "width": 1.5, "dash": dash},
            opacity=0.65,
            hovertemplate=MEASURES[measure][1],
        )
        if validated:
            name, group = ("validation", "validation") if alone else (names[i], f"run {i}")
            line = {"color": colour, "width": 3, "dash": dash}
            _add_validation(figure, curve, measure, axis, name=name, legendgroup=group, line=line)
    for mark in marks:
        colour = kind_colour(mark.plain, dark)
        figure.add_hline(
            mark.value,
            line={"color": colour, "width": 1.5, "dash": "dash"},
            annotation={"text": mark.text, "font": {"color": colour, "size": 12}},
            annotation_position="top left" if mark.plain else "bottom left",
        )
    if measure in ("accuracy", "error"):
        return figure.update_yaxes(range=PERCENT)
    return figure.update_yaxes(type="log" if measure == "grad_norm" else None)


def _add_validation(figure: go.Figure, curve: Curve, measure: Measure, axis: Axis, **style: Any) -> None:
    """A point an epoch; behind the mean of several runs a band from the lowest to the highest."""
    x = [getattr(e, axis) for e in curve.epochs]
    if curve.epochs and hasattr(curve.epochs[0], "loss_low"):
        low, high = ([value_of(e, measure, edge) for e in curve.epochs] for edge in ("_low", "_high"))
        figure.add_scatter(
            x=[*x, *reversed(x)],
            y=[rounded(value) for value in (*low, *reversed(high))],
            fill="toself",
            fillcolor=style["line"]["color"],
            opacity=0.18,
            mode="none",
            showlegend=False,
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=x,
        y=[rounded(value_of(e, measure)) for e in curve.epochs],
        showlegend=True,
        mode="lines+markers",
        marker={"size": 7},
        hovertemplate=MEASURES[measure][1],
        **style,
    )


def smooth(values: Sequence[float], weight: float) -> list[float]:
    """Exponential moving average, divided by 1 − weightᵗ as Adam does (Kingma and Ba 2015, Sec. 3)."""
    if weight <= 0:
        return list(values)
    averages = accumulate(values, lambda mean, value: weight * mean + (1 - weight) * value, initial=0.0)
    return [mean / (1 - weight**t) for t, mean in enumerate(averages) if t > 0]


def thin(values: Sequence[float], most: int = MOST_POINTS) -> list[tuple[int, float]]:
    """(index, value) of at most `most` values: the first, the last, and of each bucket the lowest and the highest, so
    that no spike is lost.

    A bucket holds a power of two of values, so that what is drawn of the past stays while a run goes on.
    """
    size, buckets = 1, len(values)
    if buckets > most:
        while 2 * buckets + 2 > most:
            size *= 2
            buckets = math.ceil(len(values) / size)
    if size == 1:
        return list(enumerate(values))
    chosen = {0, len(values) - 1}
    for i in range(buckets):
        bucket = range(len(values))[i * size : (i + 1) * size]
        chosen |= {min(bucket, key=values.__getitem__), max(bucket, key=values.__getitem__)}
    return [(i, values[i]) for i in sorted(chosen)]


def as_csv(curve: Curve) -> str:
    """All points of a run: those of training, means over steps, and one of validation an epoch.

    Loss in nats, accuracy 0 to 1, seconds of training time.
    """
    names = ("step", "epoch", "loss", "accuracy", "lr", "grad_norm", "images_per_second", "seconds")
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["of", *names])
    for of, records in (("training", curve.points), ("validation", curve.epochs)):
        rows.writerows([of, *(getattr(record, name, None) for name in names)] for record in records)
    return text.getvalue()


def value_of(record: Any, measure: Measure, edge: str = "") -> Any:
    """A record's number, or the "_low" or "_high" of a mean, as it is drawn: accuracies and errors in percent."""
    if measure in ("accuracy", "error"):
        percent = 100 * getattr(record, f"accuracy{edge}")
        return 100 - percent if measure == "error" else percent
    return getattr(record, measure + edge)
