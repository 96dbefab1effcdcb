"""A class at one lab: what each of many sessions waits while a run trains on the same cores, and what the run loses.

    python -m benchmarks.classroom [seconds, of each load]

Sessions speak the browser's protocol (benchmarks/sessions.py) from a process of their own on the same machine, so what
they cost themselves is the server's loss, too. The run's speed under a load is compared with its speed just before and
just after, unwatched.
"""

from __future__ import annotations

import asyncio
import io
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import psutil
from PIL import Image

from benchmarks.harness import running_server
from benchmarks.sessions import Answer, Session
from resnet_lab.data import load_dataset
from resnet_lab.runs import Run, RunStore
from resnet_lab.runs.writer import RunWriter
from resnet_lab.training import TrainConfig
from resnet_lab.training.events import Started, StepEvent
from resnet_lab.training.execution.device import device_name, pick_device

PAGES = ("training", "comparison", "architecture", "runs", "prediction", "home")
THINK = 1.0  # seconds between two requests of a session
CALM = 15.0  # seconds of the run unwatched, before and after each load
SLOW = 1.0  # seconds of p95 at which a load is too much
Life = Callable[["Load", Session, random.Random], Awaitable[None]]


class Load:
    """So many sessions for so long, and what they met."""

    def __init__(self, seconds: float) -> None:
        self.until = time.perf_counter() + seconds
        self.answers: list[Answer] = []
        self.looks: list[Answer] = []  # of those who watch, whether a run has ended
        self.maps: list[Answer] = []  # to uploads
        self.errors: list[str] = []

    def note(self, answer: Answer, kind: str = "answers") -> None:
        getattr(self, kind).append(answer)
        self.errors += answer.errors

    @property
    def is_over(self) -> bool:
        return time.perf_counter() > self.until


async def switch(load: Load, session: Session, chance: random.Random) -> None:
    """Goes from page to page."""
    while not load.is_over:
        load.note(await session.open(chance.choice(PAGES)))
        await asyncio.sleep(THINK)


async def watch(load: Load, session: Session, chance: random.Random) -> None:
    """Looks at the run that goes on: asks for points, and less often whether more than these has come."""
    await session.open("training")
    await session.ask()  # for the whole
    looked = time.perf_counter()
    while not load.is_over:
        began = time.perf_counter()
        load.note(await session.ask())
        for fragment, every in session.fragments.items():
            if time.perf_counter() - looked > every:
                looked = time.perf_counter()
                load.note(await session.refresh(fragment), "looks")
        await asyncio.sleep(max(0.0, THINK - (time.perf_counter() - began)))


async def mixed(load: Load, session: Session, chance: random.Random) -> None:
    """A tenth uploads images and asks for their maps, the others watch or go about."""
    kind = chance.random()
    if kind > 0.1:
        await (watch if kind > 0.55 else switch)(load, session, chance)
    while not load.is_over:
        page = await session.open("prediction")
        (uploader,) = page.ids("file_uploader", "Images")
        load.note(await session.upload(uploader, f"{chance.random()}.jpg", photograph(chance)), "maps")
        await asyncio.sleep(5 * THINK)


def photograph(chance: random.Random) -> bytes:
    """A JPEG that no other is alike."""
    image = Image.frombytes("RGB", (32, 24), chance.randbytes(32 * 24 * 3)).resize((640, 480))
    data = io.BytesIO()
    image.save(data, "JPEG")
    return data.getvalue()


async def lives(address: str, life: Life, count: int, seconds: float) -> Load:
    """Sessions that come over the first seconds, and leave together."""
    load = Load(seconds + count * 0.05)

    async def one(number: int) -> None:
        await asyncio.sleep(number * 0.05)
        try:
            async with Session(address) as session:
                await life(load, session, random.Random(number))
        except Exception as error:
            load.errors.append(f"{type(error).__name__}: {error}")

    await asyncio.gather(*[one(number) for number in range(count)])
    return load


def speed(run: Run, seconds: float, meanwhile: Callable[[], Any] | None = None) -> tuple[float, Any]:
    """Images a second that the run trains while `meanwhile` goes on, or nothing does; and what that returned."""

    def last() -> StepEvent:
        return [event for event in run.events()[0] if isinstance(event, StepEvent)][-1]

    before, began = last(), time.perf_counter()
    if meanwhile is None:
        meanwhile = partial(time.sleep, seconds)
    found = meanwhile()
    after, spent = last(), time.perf_counter() - began
    return (after.step - before.step) * run.config.batch_size / spent, found


def under(run: Run, address: str, server: psutil.Process, life: Life, count: int, seconds: float) -> float:
    """Puts a load on the server and prints a line; returns the 95th percentile in seconds."""
    memory = server.memory_info().rss
    before, _ = speed(run, CALM)
    most = [memory]
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.5):
            most.append(server.memory_info().rss)

    threading.Thread(target=look, daemon=True).start()
    during, load = speed(run, seconds, lambda: asyncio.run(lives(address, life, count, seconds)))
    over.set()
    after, _ = speed(run, CALM)
    times = sorted(answer.seconds for answer in load.answers)
    p95 = times[int(0.95 * len(times))] if times else float("inf")
    print(
        f"{count:>5} {life.__name__:7}{len(times):>7}{1e3 * times[len(times) // 2]:>8.0f}{1e3 * p95:>8.0f}"
        f"{1e3 * times[-1]:>8.0f}{len(load.errors):>8}{fmean(a.size for a in load.answers) / 1e3:>10.2f}"
        f"{(max(most) - memory) / count / 1e6:>10.1f}{during:>9.0f}{during / fmean([before, after]):>8.0%}",
        flush=True,
    )
    if load.looks:
        looks = sorted(answer.seconds for answer in load.looks)
        size = fmean(answer.size for answer in load.looks)
        print(
            f"      whether it has ended, every 2 s: {len(looks)}, p50 {1e3 * looks[len(looks) // 2]:.0f} ms, "
            f"p95 {1e3 * looks[int(0.95 * len(looks))]:.0f}, {size / 1e3:.2f} kB"
        )
    if load.maps:
        maps = sorted(answer.seconds for answer in load.maps)
        print(f"      images uploaded: {len(maps)}, p50 {maps[len(maps) // 2]:.2f} s, worst {maps[-1]:.2f} s")
    for error in sorted(set(load.errors))[:3]:
        print(f"      {error[:110]}")
    return p95


def main(seconds: float = 120.0) -> None:
    with tempfile.TemporaryDirectory() as folder:
        runs, data = Path(folder) / "runs", Path(folder) / "data"
        load_dataset("shapes", root=data), load_dataset("shapes", split="test", root=data)
        print(f"{device_name(pick_device('cpu'))}, {os.cpu_count()} cores; sessions on the same machine\n")
        with running_server(runs, data) as address:
            (server,) = psutil.Process().children()
            asyncio.run(begin(address))
            run = RunStore(runs).list()[0]
            while run.status.step < 200:
                time.sleep(0.5)
            began = server.memory_info().rss
            print(
                f"{'':13}{'n':>7}{'p50 ms':>8}{'p95 ms':>8}{'worst':>8}{'errors':>8}{'kB each':>10}{'MB each':>10}"
                f"{'images/s':>9}{'of free':>8}"
            )
            for life, count in ((switch, 30), (watch, 30), (mixed, 30), (watch, 100)):
                under(run, address, server, life, count, seconds)
            for life, counts in ((switch, (60, 100)), (watch, (200, 400, 800))):
                for count in counts:
                    if under(run, address, server, life, count, seconds / 4) > SLOW:
                        break
            time.sleep(seconds / 4)  # sessions that have left are kept for a while
            print(
                f"\nmemory {began / 1e6:,.0f} MB at first, {server.memory_info().rss / 1e6:,.0f} MB after all had left"
            )
        print("\nA live page at its nth step (a run that only writes):")
        for step in (100, 1_000_000):
            live_page(Path(folder), data, step)


async def begin(address: str) -> None:
    """Starts the run as a visitor does."""
    async with Session(address) as session:
        page = await session.open("training", "epochs=10000")
        (train,) = page.ids("button", "Train")
        await session.press(train)


def live_page(folder: Path, data: Path, steps: int) -> None:
    """Prints what a refresh takes once a run has told of so many steps, while it goes on."""
    store = RunStore(folder / f"runs-{steps}")
    run = store.create(TrainConfig("resnet20", epochs=100_000))
    run.claim()
    run.set_status(state="running", total_steps=2 * steps)
    chance, over = random.Random(0), threading.Event()
    with closing(RunWriter(run)) as write, running_server(store.root, data) as address:
        write(Started(0, 2 * steps, 100, 6400, 800, 269_722, "a run that only writes", "float32"))

        def tell(step: int) -> None:
            loss = 2.3 * 0.9 ** (step / steps * 20) + 0.1 * chance.random()
            write(
                StepEvent(
                    step, step / 100, loss, 0.5, 0.1, chance.random(), 1000.0, step / 30, 1e5, 512.0, 0.9
                )
            )

        for step in range(10, steps + 1, 10):
            tell(step)

        def go_on() -> None:
            step = steps
            while not over.wait(0.5):
                tell(step := step + 10)

        threading.Thread(target=go_on, daemon=True).start()
        load = asyncio.run(lives(address, watch, 1, 30))
        over.set()
        times = sorted(answer.seconds for answer in load.answers)
        size = fmean(answer.size for answer in load.answers)
        print(f"{steps:>10,}: p50 {1e3 * times[len(times) // 2]:.0f} ms, {size / 1e3:.2f} kB, n {len(times)}")
    run.release()


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
