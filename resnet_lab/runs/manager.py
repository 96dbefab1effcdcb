"""Runs in the background of this process: a queue and one worker thread, which outlives every run."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Any

import torch

from resnet_lab.data import DatasetError
from resnet_lab.data.roots import Roots, require_inside
from resnet_lab.runs.files import RunError
from resnet_lab.runs.mirrors.mirrors import Mirrors
from resnet_lab.runs.model import read_first
from resnet_lab.runs.run import Run
from resnet_lab.runs.status import writer_identity
from resnet_lab.runs.store import RunStore
from resnet_lab.runs.writer import RunWriter
from resnet_lab.training import FitResult, TrainConfig, TrainingError, loop
from resnet_lab.training.events import Event, Notice
from resnet_lab.training.execution.distributed import ALONE, World, has_lost_a_peer
from resnet_lab.training.loop import Emit
from resnet_lab.training.round_robin import Steps, round_robin, run_to_end

EXPECTED = (TrainingError, DatasetError, RunError, ValueError)  # their messages are written for people


def execute(
    run: Run,
    should_stop: Callable[[], bool] = lambda: False,
    on_event: Emit | None = None,
    steps: int | None = None,
    world: World = ALONE,
) -> FitResult | None:
    """Trains `run` in this thread, from its last checkpoint if it has one, and leaves its final status.

    `should_stop` is asked beside the run's own stop file (which may be there already: a run can be stopped
    while it waits). `on_event` sees each event after it is written. With `steps` it pauses after so many.
    Returns None for a run that failed; its status then holds the reason.

    Raises:
        RunError: someone else trains the run, or its lock cannot be taken.
    """
    return run_to_end(step_by_step(run, should_stop, on_event, steps, world))


def step_by_step(
    run: Run,
    should_stop: Callable[[], bool] = lambda: False,
    on_event: Emit | None = None,
    steps: int | None = None,
    world: World = ALONE,
) -> Steps[FitResult | None]:
    """`execute` that hands back control after each step; `training.round_robin` lets several runs race."""

    def stop() -> bool:
        return should_stop() or run.stop_file.exists()

    run.claim()
    mirrors = Mirrors(run, on_event)
    try:
        run.set_status(state="running", message="", **writer_identity())
        resume, damage = read_first(run.checkpoints("last"))
        with closing(RunWriter(run)) as writer:

            def emit(event: Event) -> None:
                writer(event)
                if on_event is not None:
                    on_event(event)
                mirrors.tell(event)

            step = resume["step"] if resume else 0
            if damage:
                emit(Notice(step, f"{damage} The one before it is used, of step {step:,}."))
            if run.lock.problem:
                emit(
                    Notice(
                        step, f"{run.lock.problem}: nothing keeps a second process from training this run."
                    )
                )
            result = yield from loop.step_by_step(run.config, emit, stop, resume, steps, world)
    except EXPECTED as error:
        _conclude(run, mirrors, "failed", str(error))
    except Exception as error:
        if world.size > 1 and has_lost_a_peer(error):
            _conclude(
                run,
                mirrors,
                "interrupted",
                "Another process of this run ended; resume it from its checkpoint.",
            )
        else:  # a worker must not die in silence: the page shows the sentence, the terminal the trace
            traceback.print_exc(file=sys.stderr)
            _conclude(run, mirrors, "failed", _explain(error))
    else:
        is_paused = result.outcome == "stopped" and (steps or run.asked == "pause")
        state = "paused" if is_paused else result.outcome
        _conclude(run, mirrors, state, "", step=result.step, test_accuracy=result.test_accuracy)
        return result
    finally:
        mirrors.close("interrupted")  # where nothing above has
        run.release()
    return None


def _conclude(run: Run, mirrors: Mirrors, state: str, message: str, **fields: Any) -> None:
    with suppress(OSError):
        run.stop_file.unlink(missing_ok=True)
    mirrors.close(state)
    try:
        run.set_status(state=state, message=message, **fields)
    except RunError:  # a full disk or a deleted folder: the run reads as interrupted once its lock is free
        print(f"{run.id}: {state}: {message}", file=sys.stderr)


def _explain(error: Exception) -> str:
    if isinstance(error, torch.OutOfMemoryError):
        return "The device has too little memory for this net and batch; choose a smaller batch size."
    return f"{type(error).__name__}: {error}"


class RunManager:
    """Takes runs and trains them in a daemon thread, one after the other or several in turns.

    Stopping goes through the run's directory, so it works alike for runs of other processes.
    """

    roots: Roots | None = None  # where new runs may read; None: anywhere. The app sets it, for its visitors

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self._queue: deque[tuple[list[Run], int | None]] = deque()  # with the number of steps, None for all
        self._wake = threading.Condition()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        atexit.register(self.close)

    def submit(self, config: TrainConfig, name: str = "") -> str:
        """Queues a run and returns its id at once.

        Raises:
            RunError: the run folder cannot be written, or as `admit`.
        """
        return self.race([config], name)[0]

    def admit(self, config: TrainConfig) -> None:
        """Asks whether `config` reads within `roots` alone; runs that exist are not asked again.

        Raises:
            RunError: it names a folder or a weights file that lies outside.
        """
        if self.roots is not None:
            try:
                require_inside(self.roots, config.dataset, config.weights)
            except DatasetError as error:
                raise RunError(str(error)) from error

    def race(self, configs: Sequence[TrainConfig], name: str = "") -> list[str]:
        """Queues runs that take turns, a step each, so that their curves grow together; returns their ids at once.

        Raises:
            RunError: the run folder cannot be written, or as `admit`; then none is queued.
        """
        for config in configs:
            self.admit(config)
        runs: list[Run] = []
        try:
            for config in configs:
                runs.append(self.store.create(config, name))
                runs[-1].claim()
        except RunError:
            for run in runs:
                run.release()
                with suppress(RunError):
                    self.store.delete(run)
            raise
        self._enqueue(runs)
        return [run.id for run in runs]

    def resume(self, run_id: str, steps: int | None = None) -> None:
        """Queues a run that was paused, stopped, interrupted or failed, from its last checkpoint.

        With `steps` it takes so many and is paused again.

        Raises:
            RunError: it is going on, here or in another process, or done.
        """
        run = self.store.get(run_id)
        run.reopen()
        self._enqueue_again(run, steps)

    def extend(self, run_id: str, epochs: int) -> None:
        """Queues a completed or stopped run to go on for so many more epochs than it had.

        Its schedule is that of the longer run from there on.

        Raises:
            RunError: it is going on, or cannot be written.
        """
        run = self.store.get(run_id)
        run.lengthen(epochs)
        self._enqueue_again(run)

    def stop(self, run_id: str, pause: bool = False) -> None:
        """Asks a run, here or in another process, to stop (or pause) after its step and keep a checkpoint.

        Raises:
            RunError: there is no such run, or it cannot be told.
        """
        run = self.store.get(run_id)
        if queued := self._withdraw(run_id):
            try:
                queued.set_status(state="paused" if pause else "stopped")
            finally:
                queued.release()
        elif run.status.is_active:
            run.ask("pause" if pause else "stop")

    def close(self, timeout: float = 4.0) -> None:
        """Stops the run under way, keeping its checkpoint, and waits for it. Those in the queue are let go."""
        self._closing.set()
        with self._wake:
            self._wake.notify_all()
            for runs, _ in self._queue:
                for run in runs:
                    run.release()
            self._queue.clear()
        if self._thread is not None:
            self._thread.join(timeout)

    def _withdraw(self, run_id: str) -> Run | None:
        """Takes a run out of the queue; None if it is not in there."""
        with self._wake:
            for runs, _ in self._queue:
                for run in runs:
                    if run.id == run_id:
                        runs.remove(run)
                        return run
        return None

    def _enqueue_again(self, run: Run, steps: int | None = None) -> None:
        try:
            run.set_status(state="queued", message="", **writer_identity())
        except RunError:
            run.release()
            raise
        self._enqueue([run], steps)

    def _enqueue(self, runs: list[Run], steps: int | None = None) -> None:
        """Takes over `runs`, which this process has claimed."""
        with self._wake:
            self._queue.append((runs, steps))
            self._wake.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="trainer", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        lower_priority()
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._queue or self._closing.is_set())
                if self._closing.is_set():
                    return
                runs, steps = self._queue.popleft()
            try:
                round_robin(step_by_step(run, self._closing.is_set, steps=steps) for run in runs)
            except Exception:  # whatever a run does, the next one has its turn
                traceback.print_exc(file=sys.stderr)
            finally:
                for run in runs:
                    run.release()


def lower_priority() -> None:
    """The calling thread gives way to the pages (on Linux, where a thread has a priority of its own)."""
    torch.set_num_threads(torch.get_num_threads())  # per thread in torch: a new thread would take the default
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)
