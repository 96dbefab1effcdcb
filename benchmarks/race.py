"""Residual against plain with the comparison page's own settings: test accuracy and seconds a net.

python -m benchmarks.race [depth] [dataset] [seeds]
"""

from __future__ import annotations

import sys
import time

from resnet_lab.training import TrainConfig, fit
from resnet_lab.training.execution.device import device_name, pick_device
from resnet_lab.training.races import race, race_recipe


def main(depth: str = "32", dataset: str = "shapes", seeds: str = "3") -> None:
    device = pick_device("auto")
    config = race_recipe(int(depth), dataset)
    print(
        f"{device_name(device)}, {config.precision}; {dataset}, {config.epochs} epochs, "
        f"batch {config.batch_size}, {config.schedule}, peak lr {config.lr:g}\n"
    )
    print(f"{'seed':>4}{'resnet' + depth:>12}{'plain' + depth:>12}{'points':>9}{'seconds a net':>20}")
    for seed in range(int(seeds)):
        [pair] = race([int(depth)], ["A", "plain"], dataset, [seed])
        (residual, first), (plain, second) = map(_run, pair)
        points = 100 * (residual - plain)
        print(
            f"{seed:>4}{residual:>12.1%}{plain:>12.1%}{points:>9.1f}{first:>13.0f} / {second:.0f}", flush=True
        )


def _run(config: TrainConfig) -> tuple[float, float]:
    began = time.perf_counter()
    accuracy = fit(config, lambda event: None).test_accuracy
    return accuracy if accuracy is not None else float("nan"), time.perf_counter() - began


if __name__ == "__main__":
    main(*sys.argv[1:])
