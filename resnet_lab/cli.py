"""The command line: `python -m resnet_lab summary | export | train | resume | evaluate | predict | compare`."""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from resnet_lab import cli_compare
from resnet_lab.cli_flags import add_fields, given
from resnet_lab.data import Augmentation, load_dataset, read_image
from resnet_lab.inspection import layer_table
from resnet_lab.inspection.export.menu import EXPORTS
from resnet_lab.inspection.memory.step_memory import shortage
from resnet_lab.inspection.table.formats import FORMATS, as_csv, as_json, as_text
from resnet_lab.inspection.table.rollup import Depth
from resnet_lab.models import VARIANTS, ModelSpec, default_input_size, get_spec
from resnet_lab.models.classifier import Classifier
from resnet_lab.models.links import spec_from_link
from resnet_lab.runs import Run, RunError, RunStore, execute, load_run_model
from resnet_lab.runs.files import write_atomically
from resnet_lab.runs.group import follow, run_of_group
from resnet_lab.training import RECIPES, TrainConfig, evaluate
from resnet_lab.training.events import (
    EpochEvent,
    Event,
    MicroBatchReduced,
    ModeChosen,
    Preparing,
    Started,
    StepEvent,
    TestEvent,
)
from resnet_lab.training.execution.device import pick_device
from resnet_lab.training.execution.distributed import joined
from resnet_lab.training.preflight import first_step

NETS = f"a variant ({', '.join(VARIANTS)}), a spec as a JSON file, or the spec in a link of the app"
EXPECTED = (ValueError, RunError)  # one sentence for the reader, no trace


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the process's exit code: 0, or 1 with a sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a console of any encoding, and file names of any bytes
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except KeyboardInterrupt:  # training answers to Ctrl-C by itself
        return 130
    except BrokenPipeError:  # "| head" has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except EXPECTED as error:
        print(f"resnet_lab: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m resnet_lab", description="Residual networks, without the browser."
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    summary = commands.add_parser("summary", help="print the layer table of a net")
    summary.add_argument("net", metavar="variant", help=NETS)
    summary.add_argument("--size", type=int, help="side of the image in pixels")
    summary.add_argument("--depth", default="layers", choices=get_args(Depth))
    summary.add_argument("--format", default="table", choices=FORMATS)
    summary.set_defaults(command=_summary)

    export = commands.add_parser("export", help="write a net as ONNX, PyTorch source, safetensors or JSON")
    export.add_argument("net", help=f"a trained run, or {NETS}")
    export.add_argument("--format", default="onnx", choices=list(EXPORTS))
    export.add_argument("--size", type=int, help="side of the image in pixels")
    export.add_argument("--seed", type=int, default=0, help="of freshly drawn weights (default: 0)")
    export.add_argument("--output", type=Path, help="default: the net's name, in this folder")
    export.set_defaults(command=_export)

    train = commands.add_parser("train", help="train a net; the app shows the run live")
    train.add_argument(
        "--recipe", default="quick", help=f"where to begin: {', '.join(RECIPES)} (default: quick)"
    )
    train.add_argument("--config", type=Path, help="a recipe as JSON, in place of --recipe")
    train.add_argument("--name", default="", help="what the app calls the run")
    add_fields(train, TrainConfig, "augmentation")
    add_fields(train.add_argument_group("augmentation, of training images"), Augmentation)
    train.set_defaults(command=_train)

    resume = commands.add_parser("resume", help="go on with a stopped run from its last checkpoint")
    resume.add_argument("run")
    resume.set_defaults(command=_resume)

    _add_questions(commands)
    cli_compare.configure(
        commands.add_parser("compare", help="residual against plain: race nets, and ask why")
    )
    return parser


def _add_questions(commands: argparse._SubParsersAction) -> None:
    """Adds what a trained run can be asked."""
    test = commands.add_parser("evaluate", help="loss and accuracy of a trained run")
    test.add_argument("run")
    test.add_argument("--dataset", help="default: the one it was trained on")
    test.add_argument("--split", default="test", choices=("train", "test"))
    test.add_argument("--device", default="auto")
    test.add_argument(
        "--weights",
        default="best",
        choices=("best", "last"),
        help="best by validation, as in the run's own test, or last (default: best)",
    )
    test.set_defaults(command=_evaluate)

    predict = commands.add_parser("predict", help="ask a trained run about images")
    predict.add_argument("run")
    predict.add_argument("images", nargs="+", type=Path)
    predict.add_argument("--top", type=int, default=5)
    predict.set_defaults(command=_predict)


def _summary(options: argparse.Namespace) -> int:
    spec = _spec(options.net)
    side = default_input_size(spec) if options.size is None else options.size
    write = {"table": as_text, "csv": as_csv, "json": as_json}[options.format]
    print(write(layer_table(spec, (3, side, side)), options.depth).rstrip("\n"))
    return 0


def _spec(text: str) -> ModelSpec:
    """A variant's name, a spec as a JSON file, or the piece of a link of the architecture page."""
    if not text.endswith(".json"):
        return spec_from_link(text) if "." in text else get_spec(text)
    try:
        return ModelSpec.from_json(Path(text).read_bytes())
    except OSError as error:
        raise ValueError(f"{text} cannot be read ({type(error).__name__})") from None


def _export(options: argparse.Namespace) -> int:
    """A trained run comes with its weights; of a variant or a spec the weights are freshly drawn."""
    if not 0 <= options.seed < 2**63:
        raise ValueError(f"seed is {options.seed}; it may be a whole number from 0 to 2^63 - 1")
    net: ModelSpec | Classifier
    if options.net in VARIANTS or "." in options.net:
        net = spec = _spec(options.net)
        side = default_input_size(spec)
    else:
        net = load_run_model(RunStore().get(options.net))
        spec, side = net.model.spec, net.side
    side = side if options.size is None else options.size
    name = re.sub(r"[^\w.-]+", "-", spec.name).strip(".-") or "net"
    path = options.output or Path(f"{name}{EXPORTS[options.format].suffix}")
    content = EXPORTS[options.format].write(net, (3, side, side), options.seed)
    try:
        write_atomically(path, content)
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror})") from None
    print(f"{path}: {spec.name}, {path.stat().st_size / 1e6:,.1f} MB")
    return 0


def _train(options: argparse.Namespace) -> int:
    if options.recipe not in RECIPES:
        raise ValueError(f"recipe is {options.recipe!r}; it may be {', '.join(RECIPES)}")
    base = RECIPES[options.recipe] if options.config is None else _recipe(options.config)
    changes = given(options, TrainConfig) | {
        "augmentation": base.augmentation.to_dict() | given(options, Augmentation)
    }
    config = TrainConfig.from_dict(base.to_dict() | changes)
    step = first_step(config)
    if step and (lack := shortage(*step)):
        print(f"resnet_lab: by the lab's estimate, {lack}; it goes on", file=sys.stderr)
    return _execute(lambda: run_of_group(RunStore(), config, options.name))


def _recipe(path: Path) -> TrainConfig:
    try:
        return TrainConfig.from_json(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({type(error).__name__})") from None


def _resume(options: argparse.Namespace) -> int:
    def find() -> Run:
        run = RunStore().get(options.run)
        run.reopen()
        return run

    return _execute(find)


def _execute(find: Callable[[], Run]) -> int:
    """Trains with a progress line; Ctrl-C and SIGTERM stop after the step and keep a checkpoint.

    Under torchrun all processes train one run, which the first of them finds, writes and tells about.
    """
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    with joined() as world:
        run = find() if world.is_first else None
        run_id = world.broadcast(run.id if run else None)
        if run is None:
            return 0 if follow(RunStore().get(run_id), world, asked.is_set) else 1
        run.claim()
        try:
            print(f"{run.config.title} → {run.path}", flush=True)
            print(
                "Ctrl-C stops after the step and keeps a checkpoint; the app shows the run live.",
                file=sys.stderr,
            )
            result = execute(run, asked.is_set, _Progress(), world=world)
        finally:
            run.release()  # whatever ends it before it begins leaves nothing in a queue
    status = run.status
    tail = ""
    if result is not None and result.net is not None and result.test_accuracy is not None:
        tail = f", test accuracy {result.test_accuracy:.2%} ({result.net.weights})"
    print(f"{status.state} at step {status.step:,}{tail}{f': {status.message}' if status.message else ''}")
    return 0 if status.state in ("completed", "stopped", "paused") else 1


class _Progress:
    """One line that is written over, and one that stays per epoch."""

    total = 0

    def __call__(self, event: Event) -> None:
        match event:
            case Preparing():
                self._show(f"{event.text} {event.fraction:.0%}")
            case Started():
                self.total = event.total_steps
                self._keep(
                    f"{event.device}, {event.precision}, {event.params:,} parameters, {self.total:,} steps"
                )
            case MicroBatchReduced() | ModeChosen():
                self._keep(f"step {event.step + 1:,}: {event.text}")
            case StepEvent():
                done = round(20 * event.step / self.total)
                self._show(
                    f"[{'#' * done}{'.' * (20 - done)}] {event.step:,}/{self.total:,}  loss {event.loss:.3f}  "
                    f"accuracy {event.accuracy:.1%}  {event.images_per_second:,.0f} images/s  "
                    f"{event.seconds_left:,.0f} s left"
                )
            case EpochEvent():
                self._keep(
                    f"epoch {event.epoch}: training {event.train_loss:.3f} / {event.train_accuracy:.1%}, "
                    f"validation {event.val_loss:.3f} / {event.val_accuracy:.1%}"
                )
            case TestEvent():
                self._keep(
                    f"test: {event.loss:.3f} / {event.accuracy:.2%} on {event.samples:,} images, "
                    f"best weights, of step {event.step:,}"
                )

    def _show(self, text: str) -> None:
        if sys.stdout.isatty():
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{text[:width]:<{width}}", end="", flush=True)

    def _keep(self, text: str) -> None:
        self._show("")
        print(f"\r{text}" if sys.stdout.isatty() else text, flush=True)


def _evaluate(options: argparse.Namespace) -> int:
    net = load_run_model(RunStore().get(options.run), options.weights)
    data = load_dataset(options.dataset or net.dataset, split=options.split, image_size=net.image_size)
    if data.classes != net.classes:
        raise ValueError(f"The net knows {net.classes}, the data have {data.classes}.")
    device = pick_device(options.device)
    net.model.to(device)
    result = evaluate(net, data.to(device))
    print(
        f"loss {result.loss:.4f} nats, accuracy {result.accuracy:.2%} on {result.samples:,} images ({net.weights})"
    )
    return 0


def _predict(options: argparse.Namespace) -> int:
    net = load_run_model(RunStore().get(options.run))
    print(f"{net.weights}, trained on {net.scope}", file=sys.stderr)
    failed = 0
    for path in options.images:
        try:
            picture = net.prepare(read_image(path, path.name))
            best = net.predict(picture[None])[0].topk(min(options.top, len(net.classes)))
        except Exception as error:  # whatever one image does, the others are answered
            words = str(error).splitlines() or [type(error).__name__]
            print(f"{path}: {words[0]}", file=sys.stderr)
            failed = 1
            continue
        answers = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        print(f"{path}: " + ", ".join(f"{net.classes[i]} {p:.1%}" for p, i in answers))
    return failed
