"""Every reader is given broken files: nothing may escape but its own refusal, in bounded time and memory.

python -m benchmarks.fuzz [--tries 2000] [--seed 0] [--reader image] [--first 0] [--keep FOLDER]

A try is a function of (seed, reader, its number): `--first 17 --tries 1` repeats number 17, and `--keep` writes the
inputs that escaped. Each reader works in a process of its own, whose memory is watched and limited; one that hangs or
dies is an escape, and the next process goes on behind it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import pickle
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

import torch

from benchmarks.readers import READERS, Case, Reader, sentence, train
from resnet_lab.inspection.memory.measured_step import peak_rss
from resnet_lab.runs import Run

TRIES = 2000
SLOW = 2.0  # seconds of the processor's time
HUNG = 10.0  # seconds without an answer, on a machine that may be busy
MUCH = 512 << 20  # bytes above what the process held before its first try
MOST = 4 << 30  # bytes above that, at which the system refuses
DIED, HANGS = "the process died", "no answer"  # escapes that end the process
Read = Callable[[Case, Path], None]
Refuses = tuple[type[Exception], ...]
SHOWN = 20  # escapes of a reader


@dataclass(frozen=True)
class Try:
    """What came of one input; `escape` says what left the reader, "" for nothing, and where it arose."""

    refused: bool = False
    escape: str = ""
    seconds: float = 0.0
    memory: int = 0  # bytes, the most so far


@dataclass
class Tally:
    """What came of a reader's tries; of escapes from the same place, the numbers of all and the text of the first."""

    tries: int = 0
    refused: int = 0
    slowest: tuple[float, int] = (0.0, 0)  # seconds, number
    memory: tuple[int, int] = (0, 0)  # bytes, number
    escapes: dict[str, list[int]] = field(default_factory=dict)

    def add(self, number: int, came: Try) -> None:
        self.tries += 1
        self.refused += came.refused
        self.slowest = max(self.slowest, (came.seconds, number))
        if came.memory > self.memory[0]:
            self.memory = (came.memory, number)
        if came.escape:
            self.escapes.setdefault(came.escape, []).append(number)

    @property
    def holds(self) -> bool:
        return not self.escapes and self.slowest[0] < SLOW and self.memory[0] < MUCH


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table, then what escaped; 1 if a reader does not hold."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        run = train(Path(folder))
        print(
            f"{'reader':>12}{'tries':>8}{'refused':>9}{'escapes':>9}{'slowest':>10}{'memory':>10}", flush=True
        )
        tallies = {}
        for name in options.reader or READERS:
            tallies[name] = tally = fuzz(
                name, READERS[name], run, options.seed, options.first, options.tries, options.keep
            )
            print(
                f"{name:>12}{tally.tries:>8,}{tally.refused:>9,}{sum(map(len, tally.escapes.values())):>9,}"
                f"{tally.slowest[0]:>8.2f} s{tally.memory[0] / 2**20:>7,.0f} MB",
                flush=True,
            )
    for name, tally in tallies.items():
        _explain(name, tally)
    return 0 if all(tally.holds for tally in tallies.values()) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.fuzz", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--tries", type=int, default=TRIES, help=f"of each reader (default: {TRIES:,})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first try")
    parser.add_argument(
        "--reader", action="append", choices=READERS, help="may be given several times; default: all"
    )
    parser.add_argument("--keep", type=Path, help="a folder for the inputs that escaped, pickled")
    return parser


def _explain(name: str, tally: Tally) -> None:
    for escape, numbers in list(tally.escapes.items())[:SHOWN]:
        print(f"\n{name}, {len(numbers):,} times, first in try {numbers[0]}: {escape}")
    if tally.slowest[0] >= SLOW:
        print(f"\n{name}: try {tally.slowest[1]} took {tally.slowest[0]:.1f} s")
    if tally.memory[0] >= MUCH:
        print(
            f"\n{name}: try {tally.memory[1]} took the memory to {tally.memory[0] / 2**20:,.0f} MB above the start"
        )


def fuzz(
    name: str, reader: Reader, run: Run, seed: int, first: int, tries: int, keep: Path | None = None
) -> Tally:
    """Breaks the reader's corpus `tries` times here, and has another process read it."""
    tally, number = Tally(), first
    corpus = reader.corpus(run)
    while number < first + tries:
        with _other(reader, corpus) as other:
            came = Try()
            while number < first + tries and came.escape not in (DIED, HANGS):
                case = reader.mutate(Random(f"{seed} {name} {number}"), corpus)
                came = _ask(other, case)
                tally.add(number, came)
                if keep is not None and came.escape:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{name.replace(' ', '-')}-{seed}-{number}.pickle").write_bytes(
                        pickle.dumps(case)
                    )
                number += 1
    return tally


def _ask(other: Connection, case: Case) -> Try:
    try:
        other.send(case)
        return other.recv() if other.poll(HUNG) else Try(escape=HANGS)
    except (EOFError, ConnectionError):
        return Try(escape=DIED)


@contextmanager
def _other(reader: Reader, corpus: Sequence[Case]) -> Iterator[Connection]:
    """The process that reads, once it has read the valid files."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    arguments = (reader.read, reader.refuses, corpus, there)
    process = context.Process(target=_serve, args=arguments, daemon=True)
    process.start()
    there.close()
    try:
        if problem := here.recv():
            raise RuntimeError(f"a valid file is refused: {problem}")
        yield here
    finally:
        here.close()
        process.kill()
        process.join()


def _serve(read: Read, refuses: Refuses, corpus: Sequence[Case], connection: Connection) -> None:
    """Reads what comes until the other side is closed."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)  # libraries complain of what they read
        try:
            for case in corpus:
                read(case, Path(folder))
        except Exception:
            connection.send(traceback.format_exc())
            raise
        start = _begin_measuring()
        connection.send("")
        with suppress(EOFError):
            while True:
                connection.send(_tried(read, refuses, connection.recv(), Path(folder), start))


def _tried(read: Read, refuses: Refuses, case: Case, folder: Path, start: int) -> Try:
    began, refused, escape = time.process_time(), False, ""
    try:
        read(case, folder)
    except refuses as error:
        refused = True
        try:
            sentence(str(error))
        except AssertionError as unfit:
            escape = f"{unfit} at {_place(error)}"
    except BaseException as error:
        escape = f"{type(error).__name__} at {_place(error)}"
    return Try(refused, escape, time.process_time() - began, max(peak_rss() - start, 0))


def _place(error: BaseException) -> str:
    """The innermost lines of the lab and of all through which it went."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "resnet_lab" in frame.filename] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno} {ours[-1].name}"


def _begin_measuring() -> int:
    """The bytes that the process holds, from which its peak counts; asking for far more gets a MemoryError."""
    if sys.platform == "linux":
        import resource

        Path("/proc/self/clear_refs").write_text(
            "5"
        )  # the peak so far, which importing may have made, is forgotten
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MOST,) * 2)
    return peak_rss()


if __name__ == "__main__":
    sys.exit(main())
