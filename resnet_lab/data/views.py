"""One image cut and scaled in several ways, for tests that average over them."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms

F = transforms.functional
LONGEST = 4  # sides; the ends of longer images are left out, as scaling them whole would need gigabytes


def at_short_side(
    image: Image.Image,
    side: int,
    interpolation: transforms.InterpolationMode = transforms.InterpolationMode.BICUBIC,
) -> Tensor:
    """An RGB image scaled so that its short side is `side`: uint8 (3, h, w)."""
    width, height = image.size
    longest = LONGEST * min(width, height)
    image = F.center_crop(image, [min(height, longest), min(width, longest)])
    return F.pil_to_tensor(F.resize(image, [side], interpolation, antialias=True))


def ten_crops(image: Image.Image, side: int, short_side: int) -> Tensor:
    """The corners and the middle of the image at `short_side`, and their mirror images: uint8 (10, 3, side, side)
    (Krizhevsky et al. 2012, Sec. 4.1).
    """
    return torch.stack(F.ten_crop(at_short_side(image, short_side), [side, side]))


def pyramid(image: Image.Image, short_sides: list[int]) -> list[Tensor]:
    """The whole image, but for the ends of very long ones, with each of these short sides: uint8 (1, 3, h, w)
    (He et al. 2015, Sec. 3.4).
    """
    return [at_short_side(image, side)[None] for side in short_sides]
