"""`python -m resnet_lab compare …`: the experiments of the comparison page, written as one HTML file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from resnet_lab.cli.console import outlived_console
from resnet_lab.cli.files import write_file
from resnet_lab.cli.flags import add_fields, given
from resnet_lab.experiments import experiments
from resnet_lab.experiments.experiment import Experiment
from resnet_lab.figures.page import Cell, Table, cell_text, html_page
from resnet_lab.runs import Run, RunError, RunStore
from resnet_lab.runs.manager import step_by_step
from resnet_lab.training import TrainConfig
from resnet_lab.training.events import EpochEvent, Event, TestEvent
from resnet_lab.training.round_robin import round_robin


def configure(compare: argparse.ArgumentParser) -> None:
    asked = compare.add_subparsers(required=True, metavar="experiment")
    for name, experiment in experiments().items():
        parser = asked.add_parser(name, help=experiment.question, description=experiment.note)
        if experiment.prepare is not None and experiment.trains is None:
            parser.add_argument("runs", nargs="+")
        add_fields(parser, experiment.settings)
        output = Path("comparison.html")
        parser.add_argument("--output", type=Path, default=output, help=f"default: {output}")
        parser.set_defaults(experiment=experiment)


@outlived_console()
def command(options: argparse.Namespace) -> int:
    """Measures, prints the tables, and writes all of it."""
    experiment: Experiment[Any, Any] = options.experiment
    settings = experiment.settings.from_dict(given(options, experiment.settings))
    if experiment.trains is not None:
        runs = _train(experiment.trains(settings))
    else:
        runs = [RunStore().get(name) for name in getattr(options, "runs", ())]
    prepared = experiment.of_runs(runs, settings)
    records = list(_told(experiment.measure(prepared, settings), experiment.total(prepared, settings)))
    parts = experiment.report(records, settings, False)
    for part in parts:
        if isinstance(part, Table):
            _print_table(part.rows)
    write_file(options.output, html_page(experiment.heading, parts).encode())
    return 0


def _told(records: Iterator[Any], total: int) -> Iterator[Any]:
    """The records, with how many there are by now on a line that is written over."""
    for i, record in enumerate(records, 1):
        if sys.stderr.isatty():
            print(f"\r{i:,} of {total:,}", end="\n" if i == total else "", file=sys.stderr, flush=True)
        yield record


def _print_table(rows: Sequence[Mapping[str, Cell]]) -> None:
    cells = [list(rows[0]), *([cell_text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for first, *others in cells:
        others = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *others]).rstrip())


def _train(groups: Sequence[Sequence[TrainConfig]]) -> list[Run]:
    """Group after group; within one, the nets take turns."""
    trained = []
    for group in groups:
        runs = [RunStore().create(config) for config in group]
        round_robin(step_by_step(run, on_event=partial(_tell, run.config)) for run in runs)
        for run in runs:
            if run.status.state != "completed":
                raise RunError(f"{run.name} is {run.status.state}: {run.status.message}")
        trained += runs
    return trained


def _tell(config: TrainConfig, event: Event) -> None:
    """A line an epoch, and one for the test."""
    name = f"{config.spec.name}, seed {config.seed}"
    match event:
        case EpochEvent():
            print(f"{name}: epoch {event.epoch}, validation {event.val_accuracy:.1%}", flush=True)
        case TestEvent():
            print(f"{name}: test {event.accuracy:.2%} on {event.samples:,} images", flush=True)
