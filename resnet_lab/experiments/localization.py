"""How well do the maps of each method hit the object, where its mask is known?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from resnet_lab.attribution import METHODS, attribute, stage_names
from resnet_lab.attribution.records import Estimate, LocalizationScore, Measure
from resnet_lab.figures.attribution import localization_figure
from resnet_lab.figures.page import Chart, Table
from resnet_lab.models.classifier import Classifier

BATCH = 50  # images at once
THRESHOLDS = 20  # at which the overlap with the mask is asked
RESAMPLES = 1000
MEASURES: dict[str, tuple[Measure, str, str]] = {  # title → field of a score, what it is, its source
    "Pointing game": (
        "pointing",
        "the strongest place is on the object (% of images)",
        "Zhang et al. 2018, Sec. 5.1",
    ),
    "Energy inside": ("energy", "part of the map that lies on the object (%)", "Wang et al. 2020, Sec. 4.3"),
    "IoU": ("iou", "overlap of map and object at the best threshold (%)", "one threshold for all images"),
}


def pointing_hits(maps: Tensor, masks: Tensor) -> Tensor:
    """The pointing game: is the strongest place on the object? (Zhang et al. 2018, Sec. 5.1, no tolerance.)

    `maps` float (N, H, W), `masks` bool (N, H, W). Returns bool (N,). An empty map points nowhere: a miss.
    """
    flat = maps.flatten(1)
    peaks, places = flat.max(dim=1)
    return masks.flatten(1).gather(1, places[:, None]).squeeze(1) & (peaks > 0)


def energy_inside(maps: Tensor, masks: Tensor) -> Tensor:
    """The share of a map's sum that lies on the object (Wang et al. 2020, Sec. 4.3).

    `maps` float (N, H, W), not negative, `masks` bool (N, H, W). Returns float (N,), 0 for an empty map. A
    map that is the same everywhere gets the object's share of the area: that is what chance scores.
    """
    total = maps.sum(dim=(1, 2))
    return (maps * masks).sum(dim=(1, 2)) / total.where(total > 0, 1.0)


def best_iou(maps: Tensor, masks: Tensor) -> Tensor:
    """Intersection over union of mask and map at the one threshold that is best for all images together.

    `maps` float (N, H, W) in [0, 1], `masks` bool (N, H, W). Returns float (N,).
    """
    best = torch.zeros(len(maps))
    for i in range(1, THRESHOLDS + 1):
        above = maps >= i / THRESHOLDS
        overlap = (above & masks).sum(dim=(1, 2)) / (above | masks).sum(dim=(1, 2)).clamp_min(1)
        best = max(best, overlap.float(), key=lambda values: values.mean().item())
    return best


def proportion(hits: int, count: int) -> Estimate:
    """Wilson's interval of a proportion (Wilson 1927)."""
    z, p = 1.96, hits / count
    middle = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return Estimate(p, max(middle - half, 0.0), min(middle + half, 1.0))


def bootstrap(values: Tensor) -> Estimate:
    """Of the mean of `values` (N,), from resampled images (Efron and Tibshirani 1993, Sec. 13.3)."""
    generator = torch.Generator().manual_seed(0)
    draws = torch.randint(len(values), (RESAMPLES, len(values)), generator=generator)
    low, high = values[draws].mean(1).quantile(torch.tensor([0.025, 0.975])).tolist()
    return Estimate(values.mean().item(), low, high)


def score_maps(
    maps: Tensor, masks: Tensor, method: str, stage: str = "", is_baseline: bool = False
) -> LocalizationScore:
    """`maps` float (N, H, W) in [0, 1], `masks` bool (N, H, W)."""
    count = len(maps)
    pointing = proportion(int(pointing_hits(maps, masks).sum()), count)
    energy, iou = bootstrap(energy_inside(maps, masks)), bootstrap(best_iou(maps, masks))
    return LocalizationScore(method, stage, pointing, energy, iou, count, is_baseline)


def random_maps(shape: Sequence[int]) -> Tensor:
    """Noise from 0 to 1, (N, H, W)."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def centre_maps(shape: Sequence[int]) -> Tensor:
    """A bump in the middle of each image, (N, H, W)."""
    y, x = (torch.linspace(-1, 1, side) for side in shape[1:])
    return torch.exp(-2 * (y[:, None] ** 2 + x**2)).expand(*shape)


BASELINES = {"Random": random_maps, "Centre": centre_maps}  # what a method must beat


def pairs(net: Classifier, methods: Sequence[str]) -> list[tuple[str, str]]:
    """Each of `methods` at each stage that it can read: (method, "layer3"), (method, "") for one without a layer."""
    stages = stage_names(net.model)
    return [(name, stage) for name in methods for stage in (stages if METHODS[name].has_layer else ("",))]


def measure(
    net: Classifier,
    images: Tensor,
    masks: Tensor,
    asked: Sequence[tuple[str, str]],
    on_pass: Callable[[], None] | None = None,
) -> Iterator[LocalizationScore]:
    """The score of each (method, stage) of `asked`, for the classes that the net predicts, then those of the baselines.

    `images` uint8 (N, 3, H, W), `masks` bool (N, H, W). `on_pass` as in `attribute`; what it raises ends the work.
    """
    inputs, masks = net.inputs(images), net.transform.view(masks)
    for method, stage in asked:
        maps = [attribute(net.model, x, None, method, stage or None, on_pass) for x in inputs.split(BATCH)]
        yield score_maps(torch.cat(maps).cpu(), masks, METHODS[method].title, stage)
    for name, baseline in BASELINES.items():
        yield score_maps(baseline(masks.shape), masks, name, is_baseline=True)


def chart(scores: Sequence[LocalizationScore], measured: str, total: int = 0, dark: bool = False) -> Chart:
    """By one of `MEASURES`, in the order of the scores, of which there will be `total`."""
    field, axis, source = MEASURES[measured]
    caption = (
        f"{measured}: {axis.split(' (')[0]} ({source}). {scores[0].count} test images, maps of the class that the net "
        "predicts, mean and 95 % interval. Hollow: what random noise and a bump in the middle of each image score."
    )
    return Chart(localization_figure(scores, field, axis, dark, total), caption)


def table(scores: Sequence[LocalizationScore]) -> Table:
    rows = [
        {
            "method": score.method,
            "stage": score.stage.removeprefix("layer"),
            "pointing game": score.pointing.in_percent,
            "energy inside": score.energy.in_percent,
            "IoU": score.iou.in_percent,
        }
        for score in scores
    ]
    return Table(rows)
