"""What data parallelism would cost on 1 to 1,024 devices, from a step measured here (docs/distributed.md).

python -m benchmarks.scaling [net] [side] [batch a device] [GB a second] [microseconds of latency]
"""

from __future__ import annotations

import sys
import time
from statistics import median

from resnet_lab.training import TrainConfig
from resnet_lab.training.execution.device import device_name, synchronize
from resnet_lab.training.loop import Trainer

DEVICES = [4**i for i in range(6)]  # 1 to 1,024


def main(
    net: str = "resnet50", side: str = "224", batch: str = "32", bandwidth: str = "25", latency: str = "5"
) -> None:
    config = TrainConfig(
        net, image_size=int(side), batch_size=int(batch), train_limit=8 * int(batch), compile=False
    )
    trainer = Trainer(config, lambda event: None)
    step = _seconds_a_step(trainer)
    gradient = sum(4 * p.numel() for p in trainer.model.parameters() if p.requires_grad)
    print(
        f"{net} at {side}, batch {batch} a device, {device_name(trainer.device)}: a step takes {step:.3f} s; "
        f"gradient {gradient / 1e6:,.1f} MB in float32\nlinks of {bandwidth} GB/s, {latency} µs (assumed)\n"
    )
    print(f"{'devices':>8}{'batch':>10}{'computing':>13}{'exchange':>13}{'images/s':>13}{'efficiency':>12}")
    for n in DEVICES:
        exchange = all_reduce_seconds(gradient, n, 1e9 * float(bandwidth), 1e-6 * float(latency))
        efficiency = step / (step + exchange)
        speed = n * int(batch) / (step + exchange)
        print(
            f"{n:>8,}{n * int(batch):>10,}{step * 1e3:>10,.1f} ms{exchange * 1e3:>10,.2f} ms{speed:>13,.0f}"
            f"{efficiency:>12.1%}"
        )


def all_reduce_seconds(size: int, devices: int, bandwidth: float, latency: float) -> float:
    """Of a ring, for `size` bytes at `bandwidth` bytes a second: Patarasu and Yuan 2009, Sec. 3."""
    return 2 * (devices - 1) / devices * size / bandwidth + 2 * (devices - 1) * latency


def _seconds_a_step(trainer: Trainer, steps: int = 6) -> float:
    """Median, after two that do not count."""
    times = []
    for _ in range(steps + 2):
        began = time.perf_counter()
        trainer.stepper.take()
        synchronize(trainer.device)
        times.append(time.perf_counter() - began)
    return median(times[2:])


if __name__ == "__main__":
    main(*sys.argv[1:])
