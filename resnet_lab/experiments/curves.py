"""Curves and errors of runs beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from resnet_lab.figures.curves import Curve, curve_figure
from resnet_lab.figures.depth import Ending, depth_figure
from resnet_lab.figures.page import Chart, Heading, Part, Table
from resnet_lab.figures.seeds import pool
from resnet_lab.models.cifar import family
from resnet_lab.runs import Run
from resnet_lab.training.races import differences


def curves_report(runs: Sequence[Run]) -> list[Part]:
    """Error and loss of all runs, seeds pooled; how they ended; and error against depth where depths differ."""
    curves = [read_curve(run) for run in runs]
    pooled = pool(curves, [run.config.replace(seed=0) for run in runs])
    found = differences([run.config.replace(seed=0) for run in runs])
    caption = "Blue: with shortcuts. Orange: plain. Thin: training batches. Thick: validation."
    parts: list[Part] = [
        f"These runs differ in more than their shortcuts: {'; '.join(found)}." if found else
        "One recipe, the same batches, matched initial weights: only the shortcuts differ.",
        Chart(curve_figure(pooled, "error", smoothing=0.6), caption),
        Chart(curve_figure(pooled, "loss", smoothing=0.6), caption),
        Table([_row(run, curve) for run, curve in zip(runs, curves, strict=True)]),
    ]  # fmt: skip
    endings = [e for run, curve in zip(runs, curves, strict=True) if (e := ending(run, curve))]
    if len({e.depth for e in endings}) > 1:
        parts += [
            Heading("Depth"),
            Chart(
                depth_figure(endings),
                "Test error of the best weights by validation; a mark is a run, a line the mean over seeds.",
            ),
        ]
    return parts


def read_curve(run: Run) -> Curve:
    """All records of a run, named after its net."""
    curve = Curve(run.config.spec.name, run.config.spec.is_plain)
    curve.extend(run.events()[0])
    return curve


def _row(run: Run, curve: Curve) -> dict[str, str]:
    accuracy, started = run.status.test_accuracy, curve.started
    return {
        "net": run.config.spec.name,
        "seed": str(run.config.seed),
        "parameters": f"{started.params:,}" if started else "–",
        "test error": "–" if accuracy is None else f"{100 - 100 * accuracy:.2f} %",
        "steps": f"{run.status.step:,}",
        "seconds": f"{curve.points[-1].seconds:,.0f}" if curve.points else "–",
        "device": f"{started.device}, {started.precision}" if started else "–",
        "torch": run.versions.get("torch", ""),
    }


def ending(run: Run, curve: Curve) -> Ending | None:
    """How a run of the CIFAR family ended; None for another net, or one that has not been tested."""
    net, accuracy = family(run.config.spec), run.status.test_accuracy
    if net is None or accuracy is None or not curve.epochs:
        return None
    return Ending(net[1], net[0], 100 - 100 * accuracy, 100 - 100 * curve.epochs[-1].train_accuracy)
