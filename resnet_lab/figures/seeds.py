"""Runs that differ in their seed alone: several curves → their mean and its spread."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Sequence
from statistics import fmean
from typing import Any

from resnet_lab.figures.curves import Curve

POINTS = 200  # of the mean of training curves, whose points fall on other steps in each run


def pool(curves: Sequence[Curve], keys: Sequence[Hashable]) -> list[Curve]:
    """One curve for each key, in the order in which keys appear first.

    A key's only curve passes through. Of several: the epochs that all have reached, each the mean, with the lowest
    and highest as `loss_low`, `loss_high`, `accuracy_low` and `accuracy_high`; and training points at common steps.
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


def _mean_epoch(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    record = {axis: fmean(r[axis] for r in records) for axis in ("step", "epoch", "seconds")}
    for name in ("loss", "accuracy"):
        values = [r[name] for r in records]
        record |= {name: fmean(values), f"{name}_low": min(values), f"{name}_high": max(values)}
    return record


def _mean_points(runs: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """At evenly spaced steps up to the last that all have reached."""
    if not all(runs):
        return []
    first, last = max(run[0]["step"] for run in runs), min(run[-1]["step"] for run in runs)
    if last < first:
        return []
    count = min(POINTS, last - first + 1)
    steps = [first + (last - first) * i / max(count - 1, 1) for i in range(count)]
    return [_mean_at(runs, step) for step in steps]


def _mean_at(runs: Sequence[list[dict[str, Any]]], step: float) -> dict[str, Any]:
    names = ("epoch", "seconds", "loss", "accuracy", "lr", "grad_norm")
    record: dict[str, Any] = {"step": step}
    for name in names:
        values = [_at(run, step, name) for run in runs]
        known = [value for value in values if value is not None]
        record[name] = fmean(known) if len(known) == len(values) else None
    return record


def _at(points: list[dict[str, Any]], step: float, name: str) -> float | None:
    """The value at `step` on the straight line between the points beside it."""
    right = bisect_right(points, step, key=lambda point: point["step"])
    before, after = points[max(right - 1, 0)], points[min(right, len(points) - 1)]
    a, b = before[name], after[name]
    if a is None or b is None:
        return None
    gap = after["step"] - before["step"]
    return a if gap == 0 else a + (b - a) * (step - before["step"]) / gap
