"""The 2-D loss surface beside the plain loop over its points: points a second, in one process, in turn.

python -m benchmarks.landscape [rounds] [net] [images] [grid]
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Iterator
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_lab.analysis.loss_surface import Direction, Grid, random_direction, surface
from resnet_lab.data import load_dataset, normalize
from resnet_lab.models import ResNet
from resnet_lab.training import TrainConfig, fit
from resnet_lab.training.execution.device import device_name, pick_device

POINTS = 5  # of the surface that each way computes in a round
BATCH = 250  # of the plain loop; the best of 125, 250, 500 and 1,000 here


def main(rounds: str = "8", net: str = "resnet20", pictures: str = "1000", grid: str = "25") -> None:
    device = pick_device("auto")
    model = _trained(net).to(device)
    data = load_dataset("shapes", split="test", limit=int(pictures)).to(device)
    images = normalize(data.images, data.mean, data.std)
    directions = random_direction(model, 1), random_direction(model, 2)
    places = Grid(int(grid)).places()
    print(
        f"{device_name(device)}, torch {torch.__version__}; {net}, {pictures} images, {grid} × {grid} points; "
        f"{rounds} rounds of {POINTS} points in turn, median (fastest–slowest)\n"
    )
    ways = {
        "plain loop, float32": lambda at: _plain(model, images, data.labels, directions, at),
        "lab, float32": lambda at: _lab(model, images, data.labels, directions, at, torch.float32),
        "lab, bf16": lambda at: _lab(model, images, data.labels, directions, at, torch.bfloat16),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    losses: dict[str, list[float]] = {name: [] for name in ways}
    batches = _batches(places)
    for _ in range(int(rounds)):
        at = next(batches)
        for name, way in ways.items():
            began = time.perf_counter()
            losses[name] += way(at)
            times[name].append((time.perf_counter() - began) / POINTS)
    _print(times, losses, len(places))


def _print(times: dict[str, list[float]], losses: dict[str, list[float]], points: int) -> None:
    plain, exact = (next(iter(of.values())) for of in (times, losses))
    print(f"{'way':<22}{'ms a point':>22}{'whole surface':>15}{'× plain':>9}{'loss differs by at most':>26}")
    for name, values in times.items():
        middle = median(values)
        spread = f"{1e3 * middle:,.0f} ({1e3 * min(values):,.0f}–{1e3 * max(values):,.0f})"
        off = max(abs(a - b) / b for a, b in zip(losses[name], exact, strict=True))
        print(f"{name:<22}{spread:>22}{middle * points:>13,.0f} s{median(plain) / middle:>9.2f}{off:>26.2%}")


def _trained(net: str) -> ResNet:
    """A short run: the loss at random weights is as high everywhere."""
    model = fit(
        TrainConfig(net, epochs=2, lr=0.05, train_limit=4000, precision="float32"), lambda _: None
    ).model
    assert model is not None
    return model.cpu().float()


def _batches(places: list[tuple[float, float]]) -> Iterator[list[tuple[float, float]]]:
    while True:
        for i in range(0, len(places) - POINTS, POINTS):
            yield places[i : i + POINTS]


def _lab(
    model: ResNet,
    images: Tensor,
    labels: Tensor,
    directions: tuple[Direction, Direction],
    places: list[tuple[float, float]],
    dtype: torch.dtype,
) -> list[float]:
    return [point.loss for point in surface(model, images, labels, directions, places, dtype)]


@torch.no_grad()
def _plain(
    model: ResNet,
    images: Tensor,
    labels: Tensor,
    directions: tuple[Direction, Direction],
    places: list[tuple[float, float]],
) -> list[float]:
    """Load the weights, evaluate: float32, channels first."""
    net, start = copy.deepcopy(model), copy.deepcopy(model.state_dict())
    losses = []
    for a, b in places:
        state = dict(start)
        for name, first in directions[0].items():
            state[name] = start[name] + a * first + b * directions[1][name]
        net.load_state_dict(state)
        net.eval()
        total = 0.0
        for x, y in zip(images.split(BATCH), labels.split(BATCH), strict=True):
            total += F.cross_entropy(net(x), y, reduction="sum").item()
        losses.append(total / len(labels))
    return losses


if __name__ == "__main__":
    main(*sys.argv[1:])
