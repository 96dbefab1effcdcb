"""`resume`: a stopped run goes on; and how a run is trained in a console, which `train` does alike."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resnet_lab.runs import Run


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run")


def command(options: argparse.Namespace) -> int:
    from resnet_lab.runs import RunStore

    run = RunStore().get(options.run)

    def find() -> Run:
        run.reopen()
        return run

    return train_in_console(find, run.config.device)


def train_in_console(find: Callable[[], Run], device: str) -> int:
    """Trains with a progress line; Ctrl-C and SIGTERM stop after the step and keep a checkpoint.

    A run whose console goes away goes on. Under torchrun all processes train one run, which the first of them finds,
    writes and tells about.
    """
    from resnet_lab.cli.console import Progress, outlived_console
    from resnet_lab.runs import RunStore, execute
    from resnet_lab.runs.group import follow
    from resnet_lab.training.execution.distributed import joined

    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    with outlived_console(), joined(device) as world:
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
            result = execute(run, asked.is_set, Progress(), world=world)
        finally:
            run.release()  # whatever ends it before it begins leaves nothing in a queue
        status = run.status
        tail = ""
        if result is not None and result.net is not None and result.test_accuracy is not None:
            tail = f", test accuracy {result.test_accuracy:.2%} ({result.net.weights})"
        print(
            f"{status.state} at step {status.step:,}{tail}{f': {status.message}' if status.message else ''}"
        )
    return 0 if status.state in ("completed", "stopped", "paused") else 1
