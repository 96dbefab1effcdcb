"""Runs that differ in their seed alone: several curves → their mean and its spread."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields
from statistics import fmean
from typing import Any

from resnet_lab.figures.curves import Curve


@dataclass(frozen=True)
class MeanPoint:
    """The mean of several runs at one step; None where one of them has no number."""

    step: float
    epoch: float | None = None
    seconds: float | None = None
    loss: float | None = None
    accuracy: float | None = None
    lr: float | None = None
    grad_norm: float | None = None


@dataclass(frozen=True)
class MeanEpoch:
    """The mean of several runs' validations after one epoch, with the lowest and highest of them."""

    step: float
    epoch: float
    seconds: float
    loss: float
    loss_low: float
    loss_high: float
    accuracy: float
    accuracy_low: float
    accuracy_high: float


POINTS = 200  # of the mean of training curves, whose points fall on other steps in each run


def pool(curves: Sequence[Curve], keys: Sequence[Hashable]) -> list[Curve]:
    """One curve for each key, in the order in which keys appear first.

    A key's only curve passes through. Of several: the epochs that all have reached, each the mean, with the lowest
    and highest; and training points at common steps.
    """
    groups: dict[Hashable, list[Curve]] = {}
    for curve, key in zip(curves, keys, strict=True):
        groups.setdefault(key, []).append(curve)
    return [group[0] if len(group) == 1 else _mean(group) for group in groups.values()]


def _mean(group: Sequence[Curve]) -> Curve:
    return Curve(
        name=f"{group[0].name}, mean of {len(group)} seeds",
        plain=group[0].plain,
        points=_mean_points([curve.points for curve in group]),
        epochs=[_mean_epoch(at_once) for at_once in zip(*(curve.epochs for curve in group), strict=False)],
        started=group[0].started,
    )


def _mean_epoch(records: Sequence[Any]) -> MeanEpoch:
    values: dict[str, float] = {
        n: fmean(getattr(r, n) for r in records) for n in ("step", "epoch", "seconds")
    }
    for name in ("loss", "accuracy"):
        found = [getattr(r, name) for r in records]
        values |= {name: fmean(found), f"{name}_low": min(found), f"{name}_high": max(found)}
    return MeanEpoch(**values)


def _mean_points(runs: Sequence[list[Any]]) -> list[MeanPoint]:
    """At evenly spaced steps up to the last that all have reached."""
    if not all(runs):
        return []
    first, last = max(run[0].step for run in runs), min(run[-1].step for run in runs)
    if last < first:
        return []
    count = min(POINTS, last - first + 1)
    steps = [first + (last - first) * i / max(count - 1, 1) for i in range(count)]
    return [_mean_at(runs, step) for step in steps]


def _mean_at(runs: Sequence[list[Any]], step: float) -> MeanPoint:
    means: dict[str, float | None] = {}
    for name in (f.name for f in fields(MeanPoint) if f.name != "step"):
        values = [_at(run, step, name) for run in runs]
        known = [value for value in values if value is not None]
        means[name] = fmean(known) if len(known) == len(values) else None
    return MeanPoint(step, **means)


def _at(points: list[Any], step: float, name: str) -> float | None:
    """The value at `step` on the straight line between the points beside it."""
    right = bisect_right(points, step, key=lambda point: point.step)
    before, after = points[max(right - 1, 0)], points[min(right, len(points) - 1)]
    a, b = getattr(before, name), getattr(after, name)
    if a is None or b is None:
        return None
    gap = after.step - before.step
    return a if gap == 0 else a + (b - a) * (step - before.step) / gap
