"""Our layer table beside torchinfo's and torch's own FLOP counter: time and peak memory.

python -m benchmarks.layer_table [repeats]

From a name to finished numbers, each in a process of its own that has imported everything before: the lab's
`layer_table`, building torchvision's (or the lab's) net and running torchinfo's `summary` on it, the same on
the meta device, and FlopCounterMode. Median of the repeats, with the fastest and the slowest.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from resnet_lab.inspection.memory.measured_step import peak_rss

SIDES = {"resnet152": 224, "resnet1202": 32}
WAYS = ("lab", "torchinfo", "torchinfo on meta", "flop_counter")


def main(repeats: int = 5) -> None:
    """Prints one table."""
    import torch
    import torchinfo

    print(f"torch {torch.__version__}, torchinfo {torchinfo.__version__}, Python {platform.python_version()}, "
          f"{torch.get_num_threads()} threads, median of {repeats} processes (fastest–slowest)\n")  # fmt: skip
    print(f"{'net':<12}{'way':<20}{'ms':>8}{'spread':>16}{'of the lab':>12}{'peak MB more':>14}  parameters")
    for net in SIDES:
        # In turn, so that a busy moment of the machine falls on all of them.
        results: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
        for _ in range(repeats):
            for way in WAYS:
                results[way].append(_in_own_process(net, way))
        lab = statistics.median(r["ms"] for r in results["lab"])
        for way, runs in results.items():
            times = [run["ms"] for run in runs]
            middle = statistics.median(times)
            spread = f"{min(times):,.0f}–{max(times):,.0f}"
            memory = statistics.median(run["mb"] for run in runs)
            print(f"{net:<12}{way:<20}{middle:>8,.0f}{spread:>16}{middle / lab:>11.1f}×{memory:>14,.0f}"
                  f"  {runs[0]['params']:,}")  # fmt: skip


def _in_own_process(net: str, way: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.layer_table", "--one", net, way]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _one(net: str, way: str) -> None:
    """Runs one way once and prints its time, how much the peak of memory grew, and the parameters it counted."""
    run = _way(net, way)
    before = peak_rss()
    start = time.perf_counter()
    params = run()
    seconds = time.perf_counter() - start
    grown = peak_rss() - before
    print(json.dumps({"ms": 1e3 * seconds, "mb": grown / 2**20, "params": params}))


def _way(net: str, way: str) -> Callable[[], int]:
    import torch
    import torchinfo
    import torchvision
    from torch.utils.flop_counter import FlopCounterMode

    from resnet_lab.inspection import layer_table
    from resnet_lab.models import create_model

    side = SIDES[net]
    build = getattr(torchvision.models, net, None) or (lambda: create_model(net))
    layer_table("resnet18", (3, 64, 64))  # what torch does only once per process is not part of it
    torchinfo.summary(torch.nn.Conv2d(3, 3, 3), (1, 3, 8, 8), verbose=0)

    def lab() -> int:
        return layer_table(net, (3, side, side)).total_params

    def summary() -> int:
        return torchinfo.summary(build(), (1, 3, side, side), verbose=0).total_params

    def on_meta() -> int:
        with torch.device("meta"):
            model = build()
        return torchinfo.summary(model, (1, 3, side, side), device="meta", verbose=0).total_params

    def flops() -> int:
        with torch.device("meta"):
            model = build().eval()
        with FlopCounterMode(display=False), torch.no_grad():
            model(torch.empty(1, 3, side, side, device="meta"))
        return sum(p.numel() for p in model.parameters())

    return {"lab": lab, "torchinfo": summary, "torchinfo on meta": on_meta, "flop_counter": flops}[way]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        _one(*sys.argv[2:4])
    else:
        main(*map(int, sys.argv[1:2]))
