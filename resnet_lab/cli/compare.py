"""`python -m resnet_lab compare …`: the experiments of the comparison page, written as one HTML file."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean

from resnet_lab.analysis.loss_surface import Grid
from resnet_lab.experiments.curves import curves_report, ending, read_curve
from resnet_lab.experiments.why import (
    gradients_report,
    lesions_report,
    measure_start,
    responses_report,
    surface_report,
)
from resnet_lab.figures.depth import Ending
from resnet_lab.figures.page import Part, html_page
from resnet_lab.models.cifar import KINDS
from resnet_lab.runs import Run, RunError, RunStore
from resnet_lab.runs.files import write_atomically
from resnet_lab.runs.manager import step_by_step
from resnet_lab.training import TrainConfig
from resnet_lab.training.events import EpochEvent, Event, TestEvent
from resnet_lab.training.races import race
from resnet_lab.training.round_robin import round_robin

OF_RUNS: dict[str, tuple[str, Callable[[Sequence[Run]], list[Part]]]] = {
    "curves": ("curves and errors of runs", curves_report),
    "responses": ("how strongly the layers of trained runs answer", responses_report),
    "lesion": ("trained runs without each of their blocks", lesions_report),
}


def configure(compare: argparse.ArgumentParser) -> None:
    experiments = compare.add_subparsers(required=True, metavar="experiment")

    racing = experiments.add_parser("race", help="train nets that differ in their shortcuts alone, in turns")
    racing.add_argument("--depths", type=int, nargs="+", default=[32], help="6n + 2 layers (default: 32)")
    racing.add_argument(
        "--shortcuts", nargs="+", default=["plain", "A"], metavar="KIND", help=", ".join(KINDS)
    )
    racing.add_argument("--seeds", type=int, default=1, help="how many (default: 1)")
    racing.add_argument("--dataset", default="shapes")
    racing.add_argument("--epochs", type=int, help="default: as on the page")
    racing.add_argument("--train-limit", type=int, help="images for training; default: all")
    _output(racing)
    racing.set_defaults(command=_race)

    for name, (words, report) in OF_RUNS.items():
        parser = experiments.add_parser(name, help=words)
        parser.add_argument("runs", nargs="+")
        _output(parser)
        parser.set_defaults(command=partial(_report_runs, report))

    gradients = experiments.add_parser(
        "gradients", help="gradients before the first step, with and without BN"
    )
    gradients.add_argument("--depth", type=int, default=56, help="6n + 2 layers (default: 56)")
    gradients.add_argument("--seed", type=int, default=0)
    _output(gradients)
    gradients.set_defaults(command=_gradients)

    surface = experiments.add_parser("surface", help="the loss around trained runs")
    surface.add_argument("runs", nargs="+")
    surface.add_argument("--points", type=int, default=11, help="a side (default: 11)")
    surface.add_argument("--radius", type=float, default=1.0)
    surface.add_argument("--pictures", type=int, default=500)
    surface.add_argument("--seed", type=int, default=0)
    _output(surface)
    surface.set_defaults(command=_surface)


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


def _report_runs(report: Callable[[Sequence[Run]], list[Part]], options: argparse.Namespace) -> int:
    return _write(options.output, report(_find(options.runs)))


def _gradients(options: argparse.Namespace) -> int:
    return _write(options.output, gradients_report(measure_start(options.depth, options.seed)))


def _surface(options: argparse.Namespace) -> int:
    if options.points < 2 or options.radius <= 0 or options.pictures < 1:
        raise ValueError("a surface needs two points a side or more, a radius above 0 and an image or more")
    grid = Grid(options.points, options.radius)
    return _write(options.output, surface_report(_find(options.runs), grid, options.pictures, options.seed))


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
        round_robin(step_by_step(run, on_event=_teller(run.config)) for run in racing)
        for run in racing:
            if run.status.state != "completed":
                raise RunError(f"{run.name} is {run.status.state}: {run.status.message}")
        runs += racing
    _print_means([e for run in runs if (e := ending(run, read_curve(run))) is not None])
    return _write(options.output, curves_report(runs))


def _teller(config: TrainConfig) -> Callable[[Event], None]:
    """A line an epoch, and one for the test."""
    name = f"{config.spec.name}, seed {config.seed}"

    def tell(event: Event) -> None:
        match event:
            case EpochEvent():
                print(f"{name}: epoch {event.epoch}, validation {event.val_accuracy:.1%}", flush=True)
            case TestEvent():
                print(f"{name}: test {event.accuracy:.2%} on {event.samples:,} images", flush=True)

    return tell


def _print_means(endings: Sequence[Ending]) -> None:
    for depth, kind in dict.fromkeys((e.depth, e.kind) for e in endings):
        errors = [e.error for e in endings if (e.depth, e.kind) == (depth, kind)]
        print(f"{depth:>5} layers, {kind:<15} test error {fmean(errors):6.2f} %, n = {len(errors)}")
