"""How do runs learn beside each other, and where do they end?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Annotated, ClassVar, Literal

from resnet_lab.experiments import depth
from resnet_lab.experiments.experiment import Experiment
from resnet_lab.experiments.subjects import Trace, read_trace
from resnet_lab.figures.curves import Mark, Measure, curve_figure
from resnet_lab.figures.page import Alert, Cell, Chart, Heading, Part, Row, Table
from resnet_lab.figures.seeds import pool
from resnet_lab.inspection.table.reference import cifar_error
from resnet_lab.models.cifar import cifar_net, family
from resnet_lab.models.spec import ModelSpec
from resnet_lab.schema import Record, about, record
from resnet_lab.training.races import differences

PAIRS: dict[str, tuple[Measure, Measure]] = {
    "error and loss": ("error", "loss"),
    "learning rate and gradient norm": ("lr", "grad_norm"),
}


@record
class CurveSettings(Record):
    what: ClassVar[str] = "a chart of curves"
    show: Annotated[Literal["error and loss", "learning rate and gradient norm"], about()] = "error and loss"
    axis: Annotated[Literal["epoch", "step", "seconds"], about(title="x-axis")] = "epoch"
    smoothing: Annotated[float, about("Of training curves: the weight of the past.", ge=0, le=0.98)] = 0.6
    paper: Annotated[bool, about("Errors in He et al. 2015, dashed.")] = True


def report(traces: Sequence[Trace], settings: CurveSettings, dark: bool) -> list[Part]:
    """Two measures of all runs, seeds pooled; how they ended; and error against depth where depths differ."""
    recipes = [trace.run.config.replace(seed=0) for trace in traces]
    curves = pool([trace.curve for trace in traces], recipes)
    specs = dict.fromkeys(trace.run.config.spec for trace in traces)
    marks = {"error": published(specs)} if settings.paper else {}
    figures = [
        curve_figure(curves, measure, settings.axis, settings.smoothing, dark, marks.get(measure, ()))
        for measure in PAIRS[settings.show]
    ]
    pooled = "Where seeds are pooled: their mean, and a band from lowest to highest. "
    caption = (
        "Blue: with shortcuts. Orange: plain. Thin: training batches. Thick: validation. "
        f"{pooled if len(curves) < len(traces) else ''}"
        "A short run shows how easily each net is optimised, as the training curve tells. It cannot show where they "
        "would end: the paper trains for 64,000 iterations, and dashed lines are its ends."
    )
    row = Row([Chart(figure) for figure in figures], caption)
    return [row, *_fairness(traces), Table([_row(trace) for trace in traces]), *_depths(traces, dark)]


def published(specs: Iterable[ModelSpec]) -> list[Mark]:
    """What the paper's nets of these depths came to; only the first of each kind says so in words."""
    marks: list[Mark] = []
    for spec in specs:
        net = family(spec)
        name = "" if net is None else cifar_net(net[0], "plain" if spec.is_plain else "A").name
        error = cifar_error(name)
        if error is None or any(mark.value == error for mark in marks):
            continue
        first = not any(mark.plain == spec.is_plain for mark in marks)
        text = f"paper: 64k iterations, CIFAR-10: {name} {error:g} %" if first else ""
        marks.append(Mark(error, text, spec.is_plain))
    return marks


def _fairness(traces: Sequence[Trace]) -> list[Part]:
    """Every run beside the first must differ in its shortcuts, and perhaps its seed, alone; else it is said."""
    failed = [trace for trace in traces if trace.status.state == "failed"]
    fair: Part = "One recipe, the same batches, matched initial weights: only the shortcuts differ."
    if found := differences([trace.run.config.replace(seed=0) for trace in traces]):
        fair = Alert(f"These runs differ in more than their shortcuts. {'; '.join(found)}.")
    return [fair, *(Alert(f"{trace.run.name}: {trace.status.message}") for trace in failed)]


def _row(trace: Trace) -> dict[str, Cell]:
    run, status, curve, started = trace.run, trace.status, trace.curve, trace.curve.started
    return {
        "run": run.name,
        "seed": run.config.seed,
        "state": status.state,
        "shortcut": run.config.spec.shortcut,
        "parameters": started.params if started else None,
        "step": status.step,
        "best validation (%)": _percent(status.val_accuracy),
        "test (%)": _percent(status.test_accuracy),
        "training time (s)": round(curve.points[-1].seconds, 1) if curve.points else None,
        "device": f"{started.device}, {started.precision}" if started else None,
        "torch": run.versions.get("torch"),
    }


def _percent(accuracy: float | None) -> float | None:
    return None if accuracy is None else round(100 * accuracy, 2)


def _depths(traces: Sequence[Trace], dark: bool) -> list[Part]:
    endings = list(depth.measure(traces))
    if len({e.depth for e in endings}) < 2:
        return []
    errors: dict[tuple[int, str], list[float]] = {}
    for e in endings:
        errors.setdefault((e.depth, e.kind), []).append(e.error)
    rows: list[dict[str, Cell]] = [
        {"layers": layers, "shortcuts": kind, "test error (%)": round(fmean(of), 2), "runs": len(of)}
        for (layers, kind), of in errors.items()
    ]
    return [Heading("Depth"), *depth.report(endings, depth.DepthSettings(), dark), Table(rows)]


CURVES = Experiment(
    name="curves",
    question="curves and errors of runs",
    settings=CurveSettings,
    prepare=read_trace,
    report=report,
    view="Curves",
)
