"""`python -m resnet_lab compare …`: the experiments of the comparison page, written as one HTML file."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from resnet_lab.figures.curves import Curve, curve_figure
from resnet_lab.figures.depth import Ending, depth_figure
from resnet_lab.figures.page import Chart, Heading, Part, Table, html_page
from resnet_lab.figures.seeds import pool
from resnet_lab.models.cifar import KINDS, family
from resnet_lab.runs import Run, RunError, RunStore
from resnet_lab.runs.files import write_atomically
from resnet_lab.runs.manager import step_by_step
from resnet_lab.training import TrainConfig
from resnet_lab.training.events import EpochEvent, Event, TestEvent
from resnet_lab.training.races import differences, race
from resnet_lab.training.turns import take_turns


def add_compare(commands: argparse._SubParsersAction) -> None:
    """Adds `compare` and its experiments to the parser."""
    compare = commands.add_parser("compare", help="residual against plain: race nets, and ask why")
    experiments = compare.add_subparsers(required=True, metavar="experiment")

    racing = experiments.add_parser("race", help="train nets that differ in their shortcuts alone, in turns")
    racing.add_argument("--depths", type=int, nargs="+", default=[32], help="6n + 2 layers (default: 32)")
    racing.add_argument(
        "--shortcuts", nargs="+", default=["plain", "A"], metavar="KIND", help=", ".join(KINDS)
    )
    racing.add_argument("--seeds", type=int, default=1, help="how many (default: 1)")
    racing.add_argument("--dataset", default="shapes")
    racing.add_argument("--epochs", type=int, help="default: as on the page")
    racing.add_argument("--train-limit", type=int, help="pictures for training; default: all")
    _output(racing)
    racing.set_defaults(command=_race)

    curves = experiments.add_parser("curves", help="curves and errors of finished runs")
    curves.add_argument("runs", nargs="+")
    _output(curves)
    curves.set_defaults(command=lambda options: _write(options.output, _curves(_find(options.runs))))


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", type=Path, default=Path("comparison.html"), help="default: comparison.html"
    )


def _find(names: Sequence[str]) -> list[Run]:
    return [RunStore().get(name) for name in names]


def _write(path: Path, parts: Sequence[Part]) -> int:
    page = html_page("Residual against plain", parts, f"Made by ResNet Lab on {time.strftime('%d %B %Y')}.")
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror})") from None
    print(f"{path}: {path.stat().st_size / 1e6:,.1f} MB")
    return 0


def _race(options: argparse.Namespace) -> int:
    """Trains group after group; within one, the nets take turns."""
    groups = race(options.depths, options.shortcuts, options.dataset, range(options.seeds))
    changes = {
        name: value
        for name, value in {"epochs": options.epochs, "train_limit": options.train_limit}.items()
        if value is not None
    }
    runs = []
    for group in groups:
        racing = [RunStore().create(config.replace(**changes)) for config in group]
        take_turns(step_by_step(run, on_event=_teller(run.config)) for run in racing)
        for run in racing:
            if run.status.state != "completed":
                raise RunError(f"{run.name} is {run.status.state}: {run.status.message}")
        runs += racing
    return _write(options.output, _curves(runs))


def _teller(config: TrainConfig) -> Callable[[Event], None]:
    """A line an epoch, and one for the test."""
    name = f"{config.spec.name}, seed {config.seed}"

    def tell(event: Event) -> None:
        match event:
            case EpochEvent():
                print(f"{name}: epoch {event.epoch}, validation {event.val_accuracy:.1%}", flush=True)
            case TestEvent():
                print(f"{name}: test {event.accuracy:.2%} on {event.samples:,} pictures", flush=True)

    return tell


def _curves(runs: Sequence[Run]) -> list[Part]:
    curves = [_curve(run) for run in runs]
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
    endings = [ending for run, curve in zip(runs, curves, strict=True) if (ending := _ending(run, curve))]
    if len({ending.depth for ending in endings}) > 1:
        parts += [
            Heading("Depth"),
            Chart(depth_figure(endings), "Test error; a mark is a run, a line the mean over seeds."),
        ]
    _print_means(endings)
    return parts


def _curve(run: Run) -> Curve:
    curve = Curve(run.config.spec.name, run.config.spec.is_plain)
    curve.extend(run.events()[0])
    return curve


def _row(run: Run, curve: Curve) -> dict[str, str]:
    accuracy, started = run.status.test_accuracy, curve.started or {}
    return {
        "net": run.config.spec.name,
        "seed": str(run.config.seed),
        "parameters": f"{started.get('params', 0):,}",
        "test error": "–" if accuracy is None else f"{100 - 100 * accuracy:.2f} %",
        "steps": f"{run.status.step:,}",
        "seconds": f"{curve.points[-1]['seconds']:,.0f}" if curve.points else "–",
        "device": f"{started.get('device', '')}, {started.get('precision', '')}",
        "torch": run.versions.get("torch", ""),
    }


def _ending(run: Run, curve: Curve) -> Ending | None:
    net, accuracy = family(run.config.spec), run.status.test_accuracy
    if net is None or accuracy is None or not curve.epochs:
        return None
    return Ending(net[1], net[0], 100 - 100 * accuracy, 100 - 100 * curve.epochs[-1]["train_accuracy"])


def _print_means(endings: Sequence[Ending]) -> None:
    for depth, kind in dict.fromkeys((e.depth, e.kind) for e in endings):
        errors = [e.error for e in endings if (e.depth, e.kind) == (depth, kind)]
        print(
            f"{depth:>5} layers, {kind:<15} test error {fmean(errors):6.2f} %, n = {len(errors)}",
            file=sys.stdout,
        )
