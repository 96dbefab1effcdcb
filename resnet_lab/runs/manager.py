"""Runs in the background of this process: a queue and a worker thread a device, which outlive every run."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from typing import Any

import torch

from resnet_lab.data import DatasetError
from resnet_lab.data.roots import Roots, require_inside
from resnet_lab.runs.files import RunError
from resnet_lab.runs.mirrors.mirrors import Mirrors
from resnet_lab.runs.model import read_first
from resnet_lab.runs.queue import FairQueue, Turn
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
    run.claim()
    mirrors = Mirrors(run, on_event)
    conclude = partial(_conclude, run, mirrors)
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
            if problem := run.lock.problem:
                emit(Notice(step, f"{problem}: nothing keeps a second process from training this run."))
            ends = lambda: should_stop() or run.stop_file.exists()  # noqa: E731
            result = yield from loop.step_by_step(run.config, emit, ends, resume, steps, world)
    except EXPECTED as error:
        conclude("failed", str(error))
    except Exception as error:
        if world.size > 1 and has_lost_a_peer(error):
            conclude("interrupted", "Another process of this run ended; resume it from its checkpoint.")
        else:  # a worker must not die in silence: the page shows the sentence, the terminal the trace
            traceback.print_exc(file=sys.stderr)
            conclude("failed", _explain(error))
    else:
        is_paused = result.outcome == "stopped" and (steps or run.asked == "pause")
        conclude(
            "paused" if is_paused else result.outcome,
            "",
            step=result.step,
            test_accuracy=result.test_accuracy,
        )
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
    """Takes runs and trains them in daemon threads, `at_once` a device: one after the other, or several in turns.

    Stopping goes through the run's directory, so it works alike for runs of other processes.
    """

    roots: Roots | None = None  # where new runs may read; None: anywhere. The app sets it, for its visitors

    def __init__(self, store: RunStore, at_once: int = 1) -> None:
        self.store = store
        self.longest: Callable[[Run], float | None] = lambda run: None  # seconds that it may train at a time
        self._devices = max(torch.cuda.device_count(), 1)
        self.threads = at_once * self._devices  # at most
        self._queue = FairQueue()
        self._wake = threading.Condition()
        self._closing = threading.Event()
        self._is_paused = False
        self._threads: list[threading.Thread] = []
        self._idle = 0  # threads that wait for a turn
        atexit.register(self.close)

    def submit(self, config: TrainConfig, name: str = "", owner: str = "") -> str:
        """Queues a run of `owner`, and returns its id at once.

        Raises:
            RunError: the run folder cannot be written, or as `admit`.
        """
        return self.race([config], name, owner)[0]

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

    def race(self, configs: Sequence[TrainConfig], name: str = "", owner: str = "") -> list[str]:
        """Queues runs that take turns, a step each, so that their curves grow together; returns their ids at once.

        Raises:
            RunError: the run folder cannot be written, or as `admit`; then none is queued.
        """
        for config in configs:
            self.admit(config)
        runs: list[Run] = []
        try:
            for config in configs:
                runs.append(self.store.create(config, name, owner))
                runs[-1].claim()
            self._enqueue(runs)
        except RunError:
            for run in runs:
                run.release()
                with suppress(RunError):
                    self.store.delete(run)
            raise
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
            for run in self._queue.clear():
                run.release()
        for thread in self._threads:
            thread.join(timeout)

    @property
    def is_paused(self) -> bool:
        return self._is_paused

    @is_paused.setter
    def is_paused(self, value: bool) -> None:
        """Whether those that wait go on waiting. Those under way are not touched."""
        with self._wake:
            self._is_paused = value
            self._wake.notify_all()

    def waiting(self) -> list[str]:
        """The ids of the runs that wait here, in the order in which they will begin if nobody else comes."""
        with self._wake:
            return [run.id for turn in self._queue.order() for run in turn.runs]

    def place(self, run_id: str) -> int | None:
        """How many turns come before that of a run that waits; None for one that does not wait here."""
        with self._wake:
            order = self._queue.order()
        return next((i for i, turn in enumerate(order) if run_id in [run.id for run in turn.runs]), None)

    def _withdraw(self, run_id: str) -> Run | None:
        """Takes a run out of the queue; None if it is not in there."""
        with self._wake:
            return self._queue.withdraw(run_id)

    def _enqueue_again(self, run: Run, steps: int | None = None) -> None:
        try:
            run.set_status(state="queued", message="", **writer_identity())
        except RunError:
            run.release()
            raise
        self._enqueue([run], steps)

    def _enqueue(self, runs: list[Run], steps: int | None = None) -> None:
        """Takes over `runs`, which this process has claimed and which are of one owner."""
        turn = Turn(runs, steps, runs[0].status.owner if runs else "")
        with self._wake:
            self._queue.put(turn)
            self._wake.notify_all()
            if len(self._queue) > self._idle and len(self._threads) < self.threads:
                place = len(self._threads)
                thread = threading.Thread(
                    target=self._work, args=[place], name=f"trainer-{place}", daemon=True
                )
                self._threads.append(thread)
                thread.start()

    def _work(self, place: int) -> None:
        lower_priority()
        if self._devices > 1:
            torch.cuda.set_device(place % self._devices)  # what "cuda" means in this thread
        while True:
            with self._wake:
                self._idle += 1
                self._wake.wait_for(
                    lambda: self._closing.is_set() or (len(self._queue) and not self._is_paused)
                )
                self._idle -= 1
                if self._closing.is_set():
                    return
                turn = self._queue.take()
            try:
                self._train(turn)
            except Exception:  # whatever a run does, the next one has its turn
                traceback.print_exc(file=sys.stderr)
            finally:
                for run in turn.runs:
                    run.release()

    def _train(self, turn: Turn) -> None:
        """The runs of a turn, a step each, until all have ended or taken as long as they may."""
        began, limits = time.monotonic(), {run.id: self.longest(run) for run in turn.runs}
        late: set[str] = set()

        def stop(run: Run) -> bool:
            limit = limits[run.id]
            if limit is not None and time.monotonic() - began > limit:
                late.add(run.id)
            return run.id in late or self._closing.is_set()

        round_robin(step_by_step(run, partial(stop, run), steps=turn.steps) for run in turn.runs)
        for run in turn.runs:
            if run.id in late and run.status.state == "stopped":
                minutes = f"{(limits[run.id] or 0) / 60:g}"
                run.set_status(
                    message=f"Stopped after {minutes} minutes, the longest that it may train at a time."
                )


def lower_priority() -> None:
    """The calling thread gives way to the pages (on Linux, where a thread has a priority of its own)."""
    torch.set_num_threads(torch.get_num_threads())  # per thread in torch: a new thread would take the default
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)
