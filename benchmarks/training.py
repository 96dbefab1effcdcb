"""Our `fit` beside the loop of the tutorials written out plainly: images per second, in one process, in turn.

python -m benchmarks.training [rounds] [net …]
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from resnet_lab.data import Augmentation, load_dataset
from resnet_lab.models import VARIANTS, ModelSpec, create_model
from resnet_lab.training import TrainConfig
from resnet_lab.training.execution.device import device_name, pick_device, synchronize
from resnet_lab.training.execution.memory import kept_memory
from resnet_lab.training.loop import Trainer

CIFAR_STEM = VARIANTS["resnet18"].replace(name="resnet18-cifar", stem="cifar", num_classes=10)
NETS: dict[str, tuple[str | ModelSpec, int, int]] = {  # name → net, side, batch
    "resnet20": ("resnet20", 32, 128),
    "resnet56": ("resnet56", 32, 128),
    "resnet18-cifar": (CIFAR_STEM, 32, 128),
    "resnet50": ("resnet50", 224, 32),
}
SECONDS = 2.0  # of steps that are counted, a round; short, so that a busy moment falls on all
IMAGES = 2048


def main(rounds: str = "9", *names: str) -> None:
    device = pick_device("auto")
    print(f"{device_name(device)}, torch {torch.__version__}; {rounds} rounds in turn, median (least–most)")
    print("× plain: of each round by itself\n")
    head = f"{'net':>16}{'side':>6}{'batch':>7}  {'loop':<36}{'images a second':>24}{'× plain':>22}"
    print(f"{head}{'of limit':>10}")
    for name in names or NETS:
        net, side, batch = NETS[name]
        with tempfile.TemporaryDirectory() as folder:
            _compare(
                name,
                TrainConfig(net, image_size=side, batch_size=batch, compile=False),
                Path(folder),
                int(rounds),
            )


def _compare(name: str, config: TrainConfig, folder: Path, rounds: int) -> None:
    """One table part: each way takes its turn in each round, so that a busy moment falls on all."""
    side = config.image_size or 32
    _write_images(folder, side)
    device = pick_device("auto")
    workers = _best_workers(config, folder, device)
    loops = {
        f"plain, DataLoader with {workers} workers": _plain_loop(config, folder, workers, device),
        "fit, float32": _our_loop(config.replace(precision="float32", train_limit=IMAGES)),
        "fit, auto": _our_loop(config.replace(train_limit=IMAGES)),
    }
    if side == 32:
        compiled = config.replace(precision="bf16", channels_last=True, compile=True, train_limit=IMAGES)
        loops["fit, bf16, compiled"] = _our_loop(compiled)
    speeds: dict[str, list[float]] = {label: [] for label in loops}
    for _ in range(rounds):
        for label, loop in loops.items():
            memory = nullcontext() if "plain" in label else kept_memory()  # `fit` keeps its memory, as a rule
            with memory:
                speeds[label].append(_images_per_second(loop))
    limits = _limits(config, device)
    plain = next(iter(speeds.values()))
    for label, values in speeds.items():
        ratios = [value / beside for value, beside in zip(values, plain, strict=True)]
        limit = limits["bf16" if "auto" in label or "bf16" in label else "float32"]
        print(
            f"{name:>16}{side:>6}{config.batch_size:>7}  {label:<36}{_spread(values, ',.0f'):>24}"
            f"{_spread(ratios, '.2f'):>22}{median(values) / limit[0]:>9.0%}  {limit[1]}",
            flush=True,
        )


def _spread(values: list[float], form: str) -> str:
    return f"{median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def _write_images(folder: Path, side: int) -> None:
    """The shapes as PNG files in class folders, which torchvision's ImageFolder reads."""
    data = load_dataset("shapes", limit=IMAGES, image_size=side)
    for i, (image, label) in enumerate(zip(data.images, data.labels.tolist(), strict=True)):
        place = folder / data.classes[label]
        place.mkdir(exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(place / f"{i}.png")


def _plain_loop(config: TrainConfig, folder: Path, workers: int, device: torch.device) -> Iterator[int]:
    """What the tutorials write: transforms on PIL images, float32, NCHW, `.item()` at each step."""
    side = config.image_size or 32
    transform = transforms.Compose(
        [
            transforms.RandomCrop(side, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.49, 0.5, 0.5), (0.26, 0.26, 0.26)),
        ]
    )
    data = ImageFolder(str(folder), transform)
    extra: dict[str, Any] = {"persistent_workers": True} if workers else {}
    loader = DataLoader(data, config.batch_size, shuffle=True, num_workers=workers, drop_last=True, **extra)
    model = create_model(config.spec, num_classes=len(data.classes)).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4)
    criterion = nn.CrossEntropyLoss()
    while True:
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            loss.item()
            yield len(labels)


def _best_workers(config: TrainConfig, folder: Path, device: torch.device) -> int:
    speeds = {n: _images_per_second(_plain_loop(config, folder, n, device)) for n in (0, 1, 2)}
    return max(speeds, key=speeds.__getitem__)


def _our_loop(config: TrainConfig) -> Iterator[int]:
    """The loop inside `fit`, with its readings, past the first steps in which it chooses how to compute."""
    config = config.replace(epochs=1000, lr=0.01, schedule="constant", augmentation=Augmentation())
    trainer = Trainer(config, lambda event: None)
    while trainer.stepper.tuner.trial.is_running:
        trainer.stepper.take()
    trainer.meter.begin()
    while True:
        trainer.meter.add(trainer.stepper.take())
        if trainer.meter.is_due:
            trainer.meter.read(trainer.step)
        yield config.batch_size


def _images_per_second(loop: Iterator[int]) -> float:
    """After two steps that do not count."""
    device = pick_device("auto")
    next(loop), next(loop)
    synchronize(device)
    began, images = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS or images == 0:
        images += next(loop)
    synchronize(device)
    return images / (time.perf_counter() - began)


def _limits(config: TrainConfig, device: torch.device) -> dict[str, tuple[float, str]]:
    """Images a second that the device could at most, for each precision, and what binds: arithmetic or memory.

    A step computes three times the forward pass's multiply-accumulates, and moves each activation at least
    four times: written and read forward, and the same for its gradient.
    """
    from resnet_lab.inspection import layer_table

    side = config.image_size or 32
    table = layer_table(config.spec, (3, side, side))
    macs = 3 * table.total_macs
    values = 4 * sum(math.prod(row.output_shape) for row in table.rows)
    limits = {}
    for precision, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        arithmetic = _macs_per_second(dtype, device) / macs
        memory = _bytes_per_second(device) / (values * dtype.itemsize)
        bound = "arithmetic" if arithmetic < memory else "memory"
        limits[precision] = (min(arithmetic, memory), bound)
    return limits


def _macs_per_second(dtype: torch.dtype, device: torch.device, size: int = 2048) -> float:
    """Of a product of two large matrices: as such, and as a 1×1 convolution, whose library may be the faster one."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    image, kernels = a.T.reshape(1, size, size, 1), b.view(size, size, 1, 1)
    ways = (lambda: a @ b, lambda: F.conv2d(image, kernels))
    return size**3 / min(_best_time(way, device) for way in ways)


def _bytes_per_second(device: torch.device, size: int = 2**26) -> float:
    """Bytes read and written by a copy."""
    source = torch.zeros(size, device=device)
    target = torch.empty_like(source)
    return 2 * 4 * size / _best_time(lambda: target.copy_(source), device)


def _best_time(work: Callable[[], object], device: torch.device, tries: int = 8) -> float:
    times = []
    for _ in range(tries):
        synchronize(device)
        began = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    main(*sys.argv[1:])
