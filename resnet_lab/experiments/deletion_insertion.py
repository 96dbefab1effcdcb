"""Does the score follow the places that a map calls important (Petsiuk et al. 2018, Sec. 4)?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import mean
from typing import Literal

import torch
from torch import Tensor, nn

from resnet_lab.attribution import preserve_state
from resnet_lab.attribution.records import PixelCurve
from resnet_lab.figures.attribution import pixel_curves_figure
from resnet_lab.figures.page import Chart
from resnet_lab.models.classifier import Classifier

STEPS = 32
BLUR = 8  # the blur's standard deviation is the side divided by this: of an image, only its colours are left
BATCH = 50  # images at once
Kind = Literal["deletion", "insertion"]
KINDS: dict[Kind, tuple[str, str]] = {  # what is on the x-axis, and which area is the better one
    "deletion": ("pixels deleted (%)", "lower"),
    "insertion": ("pixels inserted (%)", "higher"),
}
RANDOM_ORDERS = 3
CURVES = (1 + RANDOM_ORDERS) * len(KINDS)  # of one measurement
CAPTION = (
    f"The strongest places of the map are changed first, in {STEPS} steps (Petsiuk et al. 2018, Sec. 4): "
    "deleted, they become the data's mean colour; inserted, they replace a blurred image. Thin: "
    f"{RANDOM_ORDERS} random orders."
)


@torch.no_grad()
def deletion_insertion(
    model: nn.Module,
    images: Tensor,
    maps: Tensor,
    classes: Tensor,
    steps: int = STEPS,
    on_pass: Callable[[], None] = lambda: None,
) -> tuple[Tensor, Tensor]:
    """Probabilities of the classes as pixels are deleted, and as they are inserted, 0 to all of them in `steps` equal
    parts, the most important ones first (Petsiuk et al. 2018, RISE, Sec. 4).

    `images` float (N, 3, H, W), normalised; `maps` (N, H, W), the larger the more important, equal ones in reading
    order; `classes` int64 (N,); all on one device. Deleted pixels become the data's mean colour (0, normalised);
    inserted ones come into the blurred image, as hard edges on grey would look like things themselves.
    `on_pass` is called before each pass of the net (2 (steps + 1) times for each 50 images); what it raises ends
    the work. Returns float32 (N, steps + 1) twice, on the CPU.
    """
    from torchvision import transforms  # here, as it takes a while

    sigma = images.shape[-1] / BLUR
    kernel = 2 * round(2 * sigma) + 1
    limit = 2 * (min(images.shape[-2:]) // 2) - 1  # a reflected edge is at most as wide as the image
    pixels, parts = maps[0].numel(), []
    for x, heat, target in zip(images.split(BATCH), maps.split(BATCH), classes.split(BATCH), strict=True):
        blurred = transforms.functional.gaussian_blur(x, [min(kernel, limit)] * 2, [sigma] * 2)
        ranks = heat.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(dim=1).view_as(heat)
        found = []
        with preserve_state(model):
            for before, after in ((x, torch.zeros_like(x)), (blurred, x)):
                for step in range(steps + 1):
                    on_pass()
                    changed = (ranks < round(pixels * step / steps))[:, None]
                    logits = model(torch.where(changed, after, before))
                    found.append(logits.softmax(1).gather(1, target[:, None]))
        parts.append(torch.cat(found, dim=1).cpu())
    deletions, insertions = torch.cat(parts).split(steps + 1, dim=1)
    return deletions, insertions


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
