"""From the press of Stop to the written checkpoint, for nets whose steps are quick, slow and very slow.

python -m benchmarks.stopping
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from resnet_lab.runs import RunManager, RunStore
from resnet_lab.training import TrainConfig
from resnet_lab.training.execution.device import device_name, pick_device

CASES = [("resnet20", 32, 128), ("tutorial_resnet50", 32, 128), ("resnet50", 224, 32), ("resnet152", 224, 32)]
TRIES = 5


def main() -> None:
    print(f"{device_name(pick_device('auto'))}; {TRIES} stops each, at different moments of a step\n")
    print(f"{'net':>20}{'side':>6}{'batch':>7}{'median':>10}{'longest':>10}")
    with tempfile.TemporaryDirectory() as folder:
        manager = RunManager(RunStore(Path(folder)))
        for variant, side, batch in CASES:
            config = TrainConfig(variant, image_size=side, batch_size=batch, epochs=1000, train_limit=400)
            times = sorted(_stop(manager, config, after=1.0 + 0.7 * i) for i in range(TRIES))
            print(
                f"{variant:>20}{side:>6}{batch:>7}{times[TRIES // 2]:>8.2f} s{times[-1]:>8.2f} s", flush=True
            )
        manager.close()


def _stop(manager: RunManager, config: TrainConfig, after: float) -> float:
    run = manager.store.get(manager.submit(config))
    while not run.status.total_steps:
        time.sleep(0.02)
    time.sleep(after)
    began = time.perf_counter()
    manager.stop(run.id)
    while run.status.is_active:
        time.sleep(0.005)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
