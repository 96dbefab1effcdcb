"""Everything that only a GPU can answer: first checks against the CPU, then measurements, a line each.

python -m benchmarks.gpu [--tiny] [--device cuda] [--minutes 9] [--cifar FOLDER] [--output FILE]

The most important comes first. Nothing that fails stops the rest; what the time does not hold is told as skipped. The
JSON is written anew after each line. `--tiny` does all of it in a small form, on a CPU too. `--cifar` names CIFAR-10 as
class folders with train and test; without it what wants it is skipped. Exit status 1 where a check has failed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_checks import CHECKS
from benchmarks.gpu_lab import Failed, Lab, Skipped
from benchmarks.gpu_measures import MEASURES
from resnet_lab import __version__
from resnet_lab.training.execution.device import device_name, pick_device


@dataclass
class Line:
    """What came of one check or measurement; `figures` are what it found, by name."""

    kind: str
    name: str
    outcome: str  # passed, failed, measured, skipped
    seconds: float = 0.0
    text: str = ""
    figures: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        shown = "; ".join(f"{name} {_short(value)}" for name, value in self.figures.items())
        return f"{self.outcome:>8}  {self.seconds:6.1f} s  {self.name}: {'; '.join(filter(None, [self.text, shown]))}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def run(lab: Lab, kind: str, function: Callable[[Lab], dict[str, Any]], deadline: float) -> Line:
    """Whatever happens in `function`, a line comes of it."""
    name = (function.__doc__ or function.__name__).splitlines()[0].rstrip(".")
    began = time.monotonic()
    if began > deadline:
        return Line(kind, name, "skipped", text="the time is up")
    lab.deadline = deadline
    try:
        figures = function(lab)
        line = Line(kind, name, "passed" if kind == "check" else "measured", figures=figures)
    except Skipped as reason:
        line = Line(kind, name, "skipped", text=str(reason))
    except Failed as reason:
        line = Line(kind, name, "failed", text=str(reason), figures=reason.figures)
    except Exception as error:
        traceback.print_exc()
        line = Line(kind, name, "failed", text=f"{type(error).__name__}: {str(error)[:300]}")
    line.seconds = time.monotonic() - began
    return line


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=(__doc__ or "").split("\n\n")[2])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="all of it in a small form")
    parser.add_argument("--minutes", type=float, default=9.0, help="after which nothing more is begun")
    parser.add_argument("--cifar", type=Path, help="CIFAR-10 as class folders, with train and test")
    parser.add_argument("--only", default="", help="names that contain this alone")
    parser.add_argument("--output", type=Path, help="where all of it goes as JSON")
    options = parser.parse_args(arguments)
    device = pick_device(options.device)
    about = {
        "device": device_name(device),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "lab": __version__,
        "tiny": options.tiny,
        "cpus": os.cpu_count(),
    }
    print(*(f"{name} {value}" for name, value in about.items()), sep=", ", flush=True)
    deadline, lines = time.monotonic() + 60 * options.minutes, []
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(device, options.tiny, Path(folder), options.cifar)
        for kind, functions in (("check", CHECKS), ("measure", MEASURES)):
            for function in functions:
                if options.only not in (function.__doc__ or ""):
                    continue
                lines.append(run(lab, kind, function, deadline))
                print(lines[-1], flush=True)
                if options.output:
                    options.output.write_text(
                        json.dumps({**about, "lines": [asdict(line) for line in lines]}, indent=1)
                    )
    failed = sum(line.outcome == "failed" for line in lines)
    print(f"{len(lines)} lines, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
