"""From the press of Train to the first step that the page can show, in a process that has trained nothing before.

python -m benchmarks.first_step [net …]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRIES = 5
NETS = ("resnet20", "resnet56", "tutorial_resnet50")


def main(*names: str) -> None:
    from resnet_lab.data import load_dataset
    from resnet_lab.training.execution.device import device_name, pick_device

    load_dataset("shapes")  # drawn once, then read from the disk
    print(f"{device_name(pick_device('auto'))}; shapes on the disk, {TRIES} new processes each\n")
    print(f"{'net':>20}{'median':>10}{'longest':>10}")
    for name in names or NETS:
        command = [sys.executable, "-m", "benchmarks.first_step", "--once", name]
        times = sorted(float(subprocess.check_output(command, text=True)) for _ in range(TRIES))
        print(f"{name:>20}{times[TRIES // 2]:>8.2f} s{times[-1]:>8.2f} s", flush=True)


def once(name: str) -> None:
    """Prints the seconds. What the app imports while its first page is read is imported before."""
    import torch._dynamo  # noqa: F401

    from resnet_lab.runs import RunManager, RunStore
    from resnet_lab.training import RECIPES

    with tempfile.TemporaryDirectory() as folder:
        manager = RunManager(RunStore(Path(folder)))
        began = time.perf_counter()
        run = manager.store.get(manager.submit(RECIPES["quick"].replace(variant=name)))
        while not run.status.step:
            time.sleep(0.01)
        print(time.perf_counter() - began)
        manager.close()


if __name__ == "__main__":
    once(sys.argv[2]) if sys.argv[1:2] == ["--once"] else main(*sys.argv[1:])
