"""Deletion and insertion: does the score follow the places that a map calls important?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from resnet_lab.attribution.preserve_state import preserve_state

STEPS = 32
BLUR = 8  # the blur's standard deviation is the side divided by this: of an image, only its colours are left
BATCH = 50  # images at once


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
    # Here, as the app's first page imports torchvision in a thread, and two imports of it at once can both fail.
    from torchvision.transforms.functional import gaussian_blur

    sigma = images.shape[-1] / BLUR
    kernel = 2 * round(2 * sigma) + 1
    parts = []
    for x, heat, target in zip(images.split(BATCH), maps.split(BATCH), classes.split(BATCH), strict=True):
        limit = 2 * (min(x.shape[-2:]) // 2) - 1  # a reflected edge is at most as wide as the image
        blurred = gaussian_blur(x, [min(kernel, limit)] * 2, [sigma] * 2)
        deletion = _curves(model, (x, torch.zeros_like(x)), (heat, target), steps, on_pass)
        insertion = _curves(model, (blurred, x), (heat, target), steps, on_pass)
        parts.append((deletion.cpu(), insertion.cpu()))
    deletions, insertions = zip(*parts, strict=True)
    return torch.cat(deletions), torch.cat(insertions)


@torch.no_grad()
def _curves(
    model: nn.Module,
    ends: tuple[Tensor, Tensor],
    asked: tuple[Tensor, Tensor],
    steps: int,
    on_pass: Callable[[], None],
) -> Tensor:
    """Probabilities (N, steps + 1) while pixels of the first of `ends` are replaced by those of the second."""
    before, after = ends
    maps, classes = asked
    ranks = maps.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(dim=1).view_as(maps)
    pixels = maps[0].numel()
    found = []
    with preserve_state(model):
        for step in range(steps + 1):
            on_pass()
            changed = (ranks < round(pixels * step / steps))[:, None]
            logits = model(torch.where(changed, after, before))
            found.append(logits.softmax(1).gather(1, classes[:, None]).squeeze(1))
    return torch.stack(found, dim=1)
