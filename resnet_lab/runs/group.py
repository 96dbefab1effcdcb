"""A run of several processes that torchrun started: one directory, one writer."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from resnet_lab.runs.files import RunError, read_start, write_atomically
from resnet_lab.runs.model import read_first
from resnet_lab.runs.run import Run
from resnet_lab.runs.store import RunStore
from resnet_lab.training import TrainConfig, TrainingError, fit
from resnet_lab.training.execution.distributed import World


def run_of_group(store: RunStore, config: TrainConfig, name: str = "") -> Run:
    """A new run; or, in processes that `torchrun --max-restarts` has started again, the one they had begun.

    A file in the run folder keeps the group's run id. torchrun's job id tells groups apart; where it has its default,
    "none", the launcher's process does.

    Raises:
        RunError: the run folder cannot be written.
    """
    job = os.environ.get("TORCHELASTIC_RUN_ID")
    if job is None:  # outside torchrun
        return store.create(config, name)
    own = f"{socket.gethostname()}-{os.getppid()}" if job == "none" else job
    note = store.root / f".torchrun-{''.join(c if c.isalnum() else '-' for c in own)[:100]}"
    if int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0 and note.is_file():
        return store.get(read_start(note, 300).decode(errors="replace"))
    run = store.create(config, name)
    with run.writing():
        write_atomically(note, run.id.encode())
    return run


def follow(run: Run, world: World, should_stop: Callable[[], bool]) -> bool:
    """The part of every process but the first: trains along and writes nothing. False if it failed.

    The first process writes why.
    """
    resume, _ = read_first(run.checkpoints("last"))
    try:
        fit(run.config, lambda event: None, should_stop, resume, world=world)
    except (TrainingError, RunError, ValueError):
        return False
    return True
