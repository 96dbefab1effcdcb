"""How well do the maps of each method hit the object, where its mask is known?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from resnet_lab.attribution import METHODS, attribute, stage_names
from resnet_lab.attribution.localization import BASELINES, score_maps
from resnet_lab.attribution.records import Estimate, LocalizationScore, Measure
from resnet_lab.figures.attribution import localization_figure
from resnet_lab.figures.page import Chart, Table
from resnet_lab.models.classifier import Classifier

BATCH = 50  # images at once
MEASURES: dict[str, tuple[Measure, str, str]] = {  # title → field of a score, what it is, its source
    "Pointing game": (
        "pointing",
        "the strongest place is on the object (% of images)",
        "Zhang et al. 2018, Sec. 5.1",
    ),
    "Energy inside": (
        "energy",
        "part of the map that lies on the object (%)",
        "Wang et al. 2020, Sec. 4.3",
    ),
    "IoU": ("iou", "overlap of map and object at the best threshold (%)", "one threshold for all images"),
}


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
        maps = [
            attribute(net.model, x, method=method, layer=stage or None, on_pass=on_pass)
            for x in inputs.split(BATCH)
        ]
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
    return Table(
        [
            {
                "method": score.method,
                "stage": score.stage.removeprefix("layer"),
                "pointing game": _cell(score.pointing),
                "energy inside": _cell(score.energy),
                "IoU": _cell(score.iou),
            }
            for score in scores
        ]
    )


def _cell(estimate: Estimate) -> str:
    return f"{100 * estimate.mean:.1f} % ({100 * estimate.low:.1f}–{100 * estimate.high:.1f})"
