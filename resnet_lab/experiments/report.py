"""What one or more runs were asked to do, how they learned and ended, and under which conditions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from statistics import fmean, stdev
from typing import Annotated, ClassVar, Literal

from resnet_lab.experiments.experiment import Experiment
from resnet_lab.experiments.subjects import Trace, read_trace
from resnet_lab.figures.curves import Curve, Measure, curve_figure
from resnet_lab.figures.page import Alert, Cell, Chart, Heading, Part, Row, Table
from resnet_lab.figures.seeds import pool
from resnet_lab.runs.names import setting_text, told_apart
from resnet_lab.schema import Record, about, record
from resnet_lab.training import TrainConfig
from resnet_lab.training.races import differing

PAIRS: dict[str, tuple[Measure, Measure]] = {
    "accuracy and loss": ("accuracy", "loss"),
    "learning rate and gradient norm": ("lr", "grad_norm"),
}


@record
class ReportSettings(Record):
    what: ClassVar[str] = "a report"
    show: Annotated[Literal["accuracy and loss", "learning rate and gradient norm"], about()] = (
        "accuracy and loss"
    )
    axis: Annotated[Literal["epoch", "step", "seconds"], about(title="x-axis")] = "epoch"
    smoothing: Annotated[float, about("Of training curves: the weight of the past.", ge=0, le=0.98)] = 0.6
    pool: Annotated[
        bool,
        about("Runs that differ in their seed alone as one curve, with a band.", title="Mean over seeds"),
    ] = True


def report(traces: Sequence[Trace], settings: ReportSettings, dark: bool) -> list[Part]:
    """Curves over each other, seeds pooled; settings, results, conditions and notes of each run."""
    runs = [trace.run for trace in traces]
    configs = [run.config for run in runs]
    names = told_apart([run.name for run in runs], configs, [run.mark for run in runs])
    seeds = _by_recipe(traces)
    curves = (
        pool(*_of_recipes(seeds)) if settings.pool else
        [replace(trace.curve, name=name) for trace, name in zip(traces, names, strict=True)]
    )  # fmt: skip
    figures = [
        curve_figure(curves, measure, settings.axis, settings.smoothing, dark)
        for measure in PAIRS[settings.show]
    ]
    kinds = {config.spec.is_plain for config in configs}
    colours = "Blue: with shortcuts. Orange: plain. " if len(kinds) > 1 else ""
    pooled = (
        " Pooled seeds: their mean, and a band from lowest to highest." if len(curves) < len(runs) else ""
    )
    return [
        Row([Chart(figure) for figure in figures], f"{colours}Thin: training batches. Thick: validation.{pooled}"),
        *_failures(traces, names),
        Heading("Results"),
        Table([_result(trace, name) for trace, name in zip(traces, names, strict=True)]),
        "Test: of the best weights by validation accuracy.",
        *_over_seeds(seeds),
        Heading("Settings"),
        *_settings(configs, names),
        Heading("Conditions"),
        Table([_conditions(trace, name) for trace, name in zip(traces, names, strict=True)]),
        *_notes(traces, names),
    ]  # fmt: skip


Seeds = Mapping[str, Sequence[Trace]]


def _by_recipe(traces: Sequence[Trace]) -> Seeds:
    """Runs that differ in their seed alone, by what they are called together; a seed that comes again is for itself."""
    groups: dict[tuple[TrainConfig, int], list[Trace]] = {}
    times: Counter[TrainConfig] = Counter()
    for trace in traces:
        config = trace.run.config
        groups.setdefault((config.replace(seed=0), times[config]), []).append(trace)
        times[config] += 1
    names = [
        group[0].run.name if len({trace.run.name for trace in group}) == 1 else recipe.title
        for (recipe, _), group in groups.items()
    ]
    marks = [group[0].run.mark for group in groups.values()]
    names = told_apart(names, [recipe for recipe, _ in groups], marks)
    return dict(zip(names, groups.values(), strict=True))


def _of_recipes(seeds: Seeds) -> tuple[list[Curve], list[str]]:
    """All curves by the name of their recipe, as `pool` takes them."""
    named = [(replace(trace.curve, name=name), name) for name, group in seeds.items() for trace in group]
    return [curve for curve, _ in named], [name for _, name in named]


def _failures(traces: Sequence[Trace], names: Sequence[str]) -> list[Part]:
    return [
        Alert(f"{name}: {trace.status.message}")
        for trace, name in zip(traces, names, strict=True)
        if trace.status.state in ("failed", "interrupted")
    ]


def _result(trace: Trace, name: str) -> dict[str, Cell]:
    status, curve = trace.status, trace.curve
    last = curve.epochs[-1] if curve.epochs else None
    return {
        "run": name,
        "state": status.state,
        "step": status.step,
        "training loss": round(last.train_loss, 4) if last else None,
        "validation loss": round(last.val_loss, 4) if last else None,
        "best validation (%)": _percent(status.val_accuracy),
        "test (%)": _percent(status.test_accuracy),
        "test images": curve.test.samples if curve.test else None,
        "training time (s)": round(curve.points[-1].seconds, 1) if curve.points else None,
    }


def _percent(accuracy: float | None) -> float | None:
    return None if accuracy is None else round(100 * accuracy, 2)


def _over_seeds(seeds: Seeds) -> list[Part]:
    rows: list[dict[str, Cell]] = []
    for name, group in seeds.items():
        tested = [100 * a for trace in group if (a := trace.status.test_accuracy) is not None]
        if len(tested) > 1:
            rows.append(
                {
                    "runs": name,
                    "seeds": len(tested),
                    "mean test (%)": round(fmean(tested), 2),
                    "standard deviation": round(stdev(tested), 2),
                    "lowest (%)": round(min(tested), 2),
                    "highest (%)": round(max(tested), 2),
                }
            )
    return [Heading("Over seeds"), Table(rows)] if rows else []


def _settings(configs: Sequence[TrainConfig], names: Sequence[str]) -> list[Part]:
    """A table of those that differ, and all others in a sentence."""
    different = {setting: list(map(setting_text, of)) for setting, of in differing(configs).items()}
    rows: list[dict[str, Cell]] = [
        {"run": name, **{setting: of[i] for setting, of in different.items()}} for i, name in enumerate(names)
    ]
    same = {name: value for name, value in configs[0].flat().items() if name not in different}
    given = [f"{name} {setting_text(value)}" for name, value in same.items() if value not in (None, ())]
    unset = [name for name, value in same.items() if value in (None, ())]
    alike = (
        f"{'The same in all: ' if len(configs) > 1 else ''}{', '.join(given)}. Not set: {', '.join(unset)}."
    )
    return [Table(rows), alike] if different else [alike]


def _conditions(trace: Trace, name: str) -> dict[str, Cell]:
    run, started = trace.run, trace.curve.started
    created = trace.status.created
    return {
        "run": name,
        "started": f"{datetime.fromtimestamp(created):%d %B %Y, %H:%M}" if created else None,
        "device": started.device if started else None,
        "precision": started.precision if started else None,
        "parameters": started.params if started else None,
        "training images": started.train_size if started else None,
        "validation images": started.val_size if started else None,
        **{
            package: run.versions.get(package) for package in ("torch", "torchvision", "python", "resnet_lab")
        },
    }


def _notes(traces: Sequence[Trace], names: Sequence[str]) -> list[Part]:
    parts: list[Part] = []
    for trace, name in zip(traces, names, strict=True):
        notes = trace.run.notes
        lines = [line for line in notes.text.splitlines() if line.strip()]
        if notes.tags or lines:
            parts += [f"{name}: {', '.join(notes.tags) or 'no tags'}", *lines]
    return [Heading("Tags and notes"), *parts] if parts else []


REPORT = Experiment(
    name="report",
    question="curves, settings, results, conditions and notes of runs",
    settings=ReportSettings,
    prepare=read_trace,
    report=report,
    page="runs",
    heading="Runs",
    most=24,
)
