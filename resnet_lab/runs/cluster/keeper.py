"""The part that lives in the cluster: it keeps the runs that wait there, and starts again those whose process died."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import ray
import torch
from ray.exceptions import RayError, RayTaskError, TaskCancelledError

from resnet_lab.runs.files import RunError
from resnet_lab.runs.manager import execute
from resnet_lab.runs.run import Run
from resnet_lab.runs.status import writer_identity

BEAT = 60.0  # seconds between signs of life of a run that waits; without locks it counts as gone after 120
DEATHS = 3  # of its process, without a new checkpoint between them: then the run has failed
PATIENCE = 120  # seconds in which a file server gives back the lock of a node that is gone


class Order(TypedDict):
    """How a run is to be trained; `working` and `data` are folders of whoever asks for it."""

    path: str
    steps: int | None
    seconds: float | None  # that it may train at a time
    num_cpus: float
    num_gpus: float | None  # None: one if the cluster has any
    working: str
    data: str


@dataclass
class Kept:
    """A run in the cluster. `waits` until its process has begun; its lock is the keeper's until then."""

    run: Run
    order: Order
    task: Any  # the ObjectRef of its task
    waits: bool = True


class Keeper:
    """An actor on the head node that outlives whoever submits. Its methods answer at once, in one event loop."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}  # by path, in the order in which they were handed to Ray
        self._following: set[asyncio.Task[None]] = set()  # the loop itself would forget them

    async def take(self, orders: Sequence[Order]) -> str:
        """Takes over runs that nobody holds, all or none; returns why not, "" if it does."""
        taken: list[Run] = []
        try:
            for order in orders:
                run = Run(Path(order["path"]))
                require_shared(run)
                run.claim()
                taken.append(run)
                run.set_status(**writer_identity())
        except RunError as error:
            for run in taken:
                run.release()
            return str(error)
        for run, order in zip(taken, orders, strict=True):
            kept = self._kept[order["path"]] = Kept(run, order, self._hand_in(order))
            self._following.add(task := asyncio.create_task(self._see_through(kept)))
            task.add_done_callback(self._following.discard)
        return ""

    async def begin(self, path: str, task: str) -> bool:
        """Whether the process of this task shall train the run; if so its lock is free now."""
        kept = self._kept.get(path)
        if kept is None or kept.task.task_id().hex() != task:  # withdrawn in this very moment
            return False
        kept.waits = False
        kept.run.release()
        return True

    async def withdraw(self, path: str) -> bool:
        """Takes a run out of Ray's queue and frees its lock; False where it does not wait."""
        kept = self._kept.get(path)
        if kept is None or not kept.waits:
            return False
        self._let_go(kept)
        ray.cancel(kept.task)
        return True

    async def waiting(self) -> list[str]:
        """The paths of the runs that wait, the next one first."""
        return [path for path, kept in self._kept.items() if kept.waits]

    def _hand_in(self, order: Order) -> Any:
        gpus = order["num_gpus"]
        if gpus is None:
            gpus = 1 if ray.cluster_resources().get("GPU") else 0
        this = ray.get_runtime_context().current_actor
        return TRAIN.options(num_cpus=order["num_cpus"], num_gpus=gpus).remote(order, this)

    async def _see_through(self, kept: Kept) -> None:
        """Until the run has ended. Ray does not retry it: it would wait without its lock, as if it were given up."""
        deaths, checkpoint = 0, _checkpoint_time(kept.run)
        try:
            while problem := await self._death(kept):
                before, checkpoint = checkpoint, _checkpoint_time(kept.run)
                deaths = deaths + 1 if checkpoint == before else 1
                if not await self._reclaim(kept):
                    return
                if deaths == DEATHS:
                    raise RunError(f"Its process ended {deaths} times without a new checkpoint. {problem}")
                host = kept.run.status.host
                message = f"Its process on {host} ended; it waits to go on from its last checkpoint."
                kept.run.set_status(state="queued", message=message, **writer_identity())
                self._kept.pop(kept.order["path"])  # Ray puts it behind those that wait
                self._kept[kept.order["path"]] = kept
                kept.task, kept.waits = self._hand_in(kept.order), True
        except RunError as error:
            with suppress(RunError):  # someone else has it, or it cannot be written
                kept.run.claim()
                if kept.run.status.is_active:
                    kept.run.set_status(state="failed", message=str(error))
        finally:
            self._let_go(kept)

    async def _death(self, kept: Kept) -> str:
        """Waits for the task's end: what took its process or node away, "" where it ended by itself.

        Says now and then that the run is alive while it waits.

        Raises:
            RunError: the task failed, before the training or beside it.
        """
        future = asyncio.wrap_future(kept.task.future())
        while not (await asyncio.wait([future], timeout=BEAT))[0]:
            if kept.waits:
                with suppress(RunError):
                    kept.run.set_status()
        try:
            future.result()
        except TaskCancelledError:
            return ""
        except RayTaskError as error:
            raise RunError(explain(error)) from None
        except RayError as error:
            return explain(error)
        return ""

    def _let_go(self, kept: Kept) -> None:
        kept.run.release()
        if self._kept.get(kept.order["path"]) is kept:
            del self._kept[kept.order["path"]]

    async def _reclaim(self, kept: Kept) -> bool:
        """Takes the lock from a process that is gone; False where the run has ended or was taken up anew meanwhile."""
        with suppress(OSError):
            for _ in range(PATIENCE):
                if await asyncio.to_thread(kept.run.lock.acquire):
                    is_ours = self._kept.get(kept.order["path"]) is kept
                    return is_ours and kept.run.path.is_dir() and kept.run.status.is_active
                await asyncio.sleep(1.0)
        return False


def train(order: Order, keeper: Any) -> None:
    """The task of one run: trains it from its last checkpoint, in a process of its own."""
    with suppress(OSError):  # relative folders in a recipe are the app's, where this node sees them
        os.chdir(order["working"])
    os.environ.setdefault("RESNET_LAB_DATA", order["data"])
    torch.set_num_threads(max(1, int(order["num_cpus"])))
    run = Run(Path(order["path"]))
    require_shared(run)
    may_begin = keeper.begin.remote(order["path"], ray.get_runtime_context().get_task_id())
    if may_begin.future().result():  # during ray.get, Ray would give this task's CPUs to the next one
        end = float("inf") if order["seconds"] is None else time.monotonic() + order["seconds"]
        execute(run, lambda: time.monotonic() > end, steps=order["steps"])


TRAIN = ray.remote(max_retries=0, max_calls=1)(train)


def require_shared(run: Run) -> None:
    """
    Raises:
        RunError: this machine does not see the run.
    """
    if not run.path.is_dir():
        raise RunError(
            f"{socket.gethostname()}, a node of the Ray cluster, does not see {run.path}: the run folder "
            "(RESNET_LAB_RUNS) must lie on a disk that all nodes share, under the same path."
        )


def explain(error: BaseException) -> str:
    """What came from Ray as one sentence for people."""
    cause = getattr(error, "cause", None) or error
    if missing := re.search(r"No module named '(\w+)", f"{error} {cause}"):
        return f"A node of the cluster has no {missing[1]}; install this version of the lab on every node."
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()] or [type(cause).__name__]
    return lines[0] if isinstance(cause, RunError) else f"Ray says: {lines[0][:500]}"


def _checkpoint_time(run: Run) -> int:
    """When its last checkpoint was written; 0 where there is none."""
    with suppress(OSError):
        if run.last_checkpoint is not None:
            return run.last_checkpoint.stat().st_mtime_ns
    return 0
