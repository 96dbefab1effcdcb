"""Does the score follow the places that a map calls important (Petsiuk et al. 2018, Sec. 4)?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import mean
from typing import Literal

import torch
from torch import Tensor

from resnet_lab.attribution.deletion_insertion import STEPS, deletion_insertion
from resnet_lab.attribution.records import PixelCurve
from resnet_lab.figures.attribution import pixel_curves_figure
from resnet_lab.figures.page import Chart
from resnet_lab.models.classifier import Classifier

Kind = Literal["deletion", "insertion"]
KINDS: dict[Kind, tuple[str, str]] = {  # what is on the x-axis, and which area is the better one
    "deletion": ("pixels taken away (%)", "lower"),
    "insertion": ("pixels brought in (%)", "higher"),
}
RANDOM_ORDERS = 3
CURVES = (1 + RANDOM_ORDERS) * len(KINDS)  # of one measurement
CAPTION = (
    f"The strongest places of the map are changed first, in {STEPS} steps (Petsiuk et al. 2018, Sec. 4): taken "
    "away, they become the data's mean colour; brought in, they replace a blurred image. Thin: "
    f"{RANDOM_ORDERS} random orders."
)


def measure(
    net: Classifier,
    image: Tensor,
    heat: Tensor,
    target: int,
    title: str,
    on_pass: Callable[[], None] = lambda: None,
) -> Iterator[PixelCurve]:
    """Both curves of a map `heat` (H, W), called `title`, of an image uint8 (3, H, W), then of random orders.

    `on_pass` is called before each pass of the net; what it raises ends the work.
    """
    inputs, generator = net.inputs(image[None]), torch.Generator().manual_seed(0)
    for i in range(1 + RANDOM_ORDERS):
        order = torch.rand(heat.shape, generator=generator) if i else heat
        curves = deletion_insertion(net.model, inputs, order[None], torch.tensor([target]), on_pass=on_pass)
        for kind, curve in zip(KINDS, curves, strict=True):
            yield PixelCurve(kind, "random order" if i else title, tuple(curve[0].tolist()), is_random=i > 0)


def chart(curves: Sequence[PixelCurve], kind: Kind, dark: bool = False) -> Chart | None:
    """The curves of one kind, with their areas; None before the first."""
    axis, better = KINDS[kind]
    curves = [curve for curve in curves if curve.kind == kind]
    if not curves:
        return None
    mine, chance = ([c.area for c in curves if c.is_random is is_random] for is_random in (False, True))
    beside = f", random order {100 * mean(chance):.1f} %" if chance else ""
    caption = (
        f"Area under the {kind} curve: {100 * mean(mine):.1f} %{beside}. The {better}, the better the map."
    )
    return Chart(pixel_curves_figure(curves, axis, dark), caption)
