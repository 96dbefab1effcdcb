"""Each block taken out in turn beside the plain loop, and what a click costs: in one process, in turn.

python -m benchmarks.lesion [rounds] [net] [images]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch import Tensor

from resnet_lab.analysis.lesions import Prepared, lesioned, remove_each
from resnet_lab.data import load_dataset, normalize
from resnet_lab.models import ResNet, init_model
from resnet_lab.training.execution.device import device_name, pick_device, synchronize

SIZES = (50, 250)  # images that pass at once in the plain loop; 50 is what the lab takes on a CPU


def main(rounds: str = "3", net: str = "resnet56", pictures: str = "1000") -> None:
    device = pick_device("auto")
    data = load_dataset("shapes", split="test", limit=int(pictures)).to(device)
    images = normalize(data.images, data.mean, data.std)
    model = _with_statistics(net, images[:200].cpu()).to(device)
    print(
        f"{device_name(device)}, torch {torch.__version__}, {torch.get_num_threads()} threads, float32; {net}, "
        f"{pictures} images; {rounds} rounds in turn, median (fastest–slowest)\n"
    )
    prepared = Prepared(model, images, data.labels)
    names = [place.name for place in prepared.places]
    middle = names[len(names) // 2]
    ways: dict[str, Callable[[], object]] = {
        **{
            f"plain loop, {size} at once": partial(_plain, model, images, data.labels, names, size)
            for size in SIZES
        },
        "lab, remove_each": lambda: _lab(model, images, data.labels),
        "lab, a click on the first block": lambda: prepared.accuracy(names[:1]),
        f"lab, a click on {middle}": lambda: prepared.accuracy([middle]),
        "lab, a click on the last block": lambda: prepared.accuracy(names[-1:]),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    answers: dict[str, object] = {}
    for _ in range(int(rounds)):
        for name, way in ways.items():
            synchronize(device)
            began = time.perf_counter()
            answers[name] = way()  # ends with a number on the CPU, so the device has finished
            times[name].append(time.perf_counter() - began)
    for name, values in times.items():
        print(f"{name:<34}{median(values):>8.2f} s ({min(values):.2f}–{max(values):.2f})")
    found = [answers[name] for name in list(ways)[: len(SIZES) + 1]]
    alike = all(answer == found[0] for answer in found)
    print(f"\nKept block inputs: {prepared.kept_bytes / 1e6:,.0f} MB. Same accuracies all ways: {alike}.")


def _with_statistics(net: str, images: Tensor) -> ResNet:
    """Weights do not matter for the time, but running statistics of the images keep values finite."""
    model = init_model(net, 0).train()
    with torch.no_grad():
        model(images)
    return model.eval()


@torch.no_grad()
def _plain(model: ResNet, images: Tensor, labels: Tensor, names: list[str], size: int) -> list[float]:
    """Take a block out, evaluate the whole net."""
    assert names == [place.name for place in model.spec.block_shapes()]
    accuracies = []
    for name in names:
        net = lesioned(model, [name])
        right = 0
        for x, y in zip(images.split(size), labels.split(size), strict=True):
            right += int((net(x).argmax(1) == y).sum())
        accuracies.append(right / len(labels))
    return accuracies


def _lab(model: ResNet, images: Tensor, labels: Tensor) -> list[float]:
    """With the pass that keeps the inputs."""
    found = [lesion.accuracy for lesion in remove_each(Prepared(model, images, labels))]
    return found[::-1]


if __name__ == "__main__":
    main(*sys.argv[1:])
