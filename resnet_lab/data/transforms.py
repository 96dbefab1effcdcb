"""Augmentation and normalisation of whole batches, on whatever device they lie."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from resnet_lab.data.augmentation import Augmentation

RGB = tuple[float, float, float]


class Draws:
    """Random numbers for a batch of `total` images, cut down to the `count` from `first` on.

    Each process of a distributed run holds some rows of the batch, and draws for them what one process with
    the whole batch would.
    """

    def __init__(
        self, generator: torch.Generator, count: int, first: int = 0, total: int | None = None
    ) -> None:
        self.generator, self.total = generator, total or count
        self.rows = slice(first, first + count)

    def uniform(self, *shape: int) -> Tensor:
        """Values in [0, 1), (count, *shape)."""
        size, device = (self.total, *shape), self.generator.device
        return torch.rand(size, generator=self.generator, device=device)[self.rows]

    def below(self, high: int) -> Tensor:
        """Whole numbers from 0 to below `high`, (count,)."""
        size, device = (self.total,), self.generator.device
        return torch.randint(high, size, generator=self.generator, device=device)[self.rows]


def augment(images: Tensor, augmentation: Augmentation, draws: Draws | torch.Generator) -> Tensor:
    """Crop, flip and jitter a batch uint8 (N, 3, H, W), each image by itself.

    Returns values 0..255 of the same size, or cut to `crop_size`: uint8, or float32 where colour or scale was
    jittered. All randomness comes from the generator, which must be on the images' device.

    Raises:
        ValueError: `crop_size` is larger than the padded images.
    """
    if isinstance(draws, torch.Generator):
        draws = Draws(draws, len(images))
    height, width = images.shape[-2:]
    side, padding = augmentation.crop_size, augmentation.crop_padding
    size = (height, width) if side is None else (side, side)
    if min(height, width) + 2 * padding < max(size) and side is not None:
        raise ValueError(f"crop_size is {side}; the images have {height} × {width} pixels")
    if augmentation.scale_jitter is not None:
        images = _scaled_crop(images, augmentation.scale_jitter, padding, size, draws)
    elif padding or size != (height, width):
        images = _random_crop(images, padding, size, draws)
    if augmentation.flip:
        flipped = draws.uniform() < 0.5
        images = torch.where(flipped.view(-1, 1, 1, 1), images.flip(3), images)
    if augmentation.colour_jitter:
        images = _jitter_colour(images, augmentation.colour_jitter, draws)
    return images


def center_crop(images: Tensor, side: int) -> Tensor:
    """The middle (N, C, side, side) of (N, C, H, W); images smaller than that stay as they are."""
    height, width = images.shape[-2:]
    top, left = max(height - side, 0) // 2, max(width - side, 0) // 2
    return images[..., top : top + side, left : left + side]


def rescale(images: Tensor, side: int) -> Tensor:
    """Values 0..255 (N, 3, H, W) to float32 (N, 3, side, side), bilinear."""
    size = (side, side)
    return F.interpolate(images.float(), size=size, mode="bilinear", align_corners=False, antialias=True)


def normalize(images: Tensor, mean: RGB, std: RGB, dtype: torch.dtype = torch.float32) -> Tensor:
    """(pixel / 255 - mean) / std by channel: values 0..255 (N, 3, H, W) to `dtype` (N, 3, H, W)."""
    shift, scale = _constants(mean, std, images.device)
    return images.float().sub_(shift).mul_(scale).to(dtype)


@lru_cache(maxsize=64)
def _constants(mean: RGB, std: RGB, device: torch.device) -> tuple[Tensor, Tensor]:
    """Shift and factor, (3, 1, 1) each; made once, as a copy to a GPU would wait for it at every batch."""
    with torch.inference_mode(False):
        shift = torch.tensor(mean, device=device).mul(255).view(3, 1, 1)
        return shift, torch.tensor(std, device=device).mul(255).reciprocal().view(3, 1, 1)


@lru_cache(maxsize=64)
def _row(values: tuple[int, ...], device: torch.device) -> Tensor:
    """Numbers on the device, copied there once."""
    with torch.inference_mode(False):
        return torch.tensor(values, device=device)


def _scaled_crop(
    images: Tensor, scales: tuple[float, float], padding: int, size: tuple[int, int], draws: Draws
) -> Tensor:
    """Each image enlarged by its own factor, and a window of `size` cut out: in one interpolation.

    The window covers size / factor of the image's own pixels, wherever it comes to lie.
    """
    sides = _row(tuple(images.shape[-2:]), images.device)  # height, width
    factor = scales[0] + draws.uniform(1) * (scales[1] - scales[0])  # (N, 1)
    window = _row(size, images.device) / factor  # (N, 2)
    corner = draws.uniform(2) * (sides + 2 * padding - window) - padding
    centre = 2 * (corner + window / 2) / sides - 1  # in grid_sample's terms, -1 to 1
    theta = images.new_zeros(len(images), 2, 3, dtype=torch.float32)
    theta[:, 0, 0], theta[:, 1, 1] = (window / sides).flip(1).unbind(1)
    theta[:, :, 2] = centre.flip(1)
    grid = F.affine_grid(theta, [len(images), 3, *size], align_corners=False)
    beyond = "zeros" if padding else "border"
    return F.grid_sample(images.float(), grid, mode="bilinear", padding_mode=beyond, align_corners=False)


def _random_crop(images: Tensor, padding: int, size: tuple[int, int], draws: Draws) -> Tensor:
    """Pad with black, as torchvision's RandomCrop does, and cut a window of `size` out at random."""
    padded = F.pad(images, (padding,) * 4)
    windows = padded.unfold(2, size[0], 1).unfold(3, size[1], 1)  # view (N, 3, tops, lefts, H, W)
    top, left = draws.below(windows.shape[2]), draws.below(windows.shape[3])
    return windows[torch.arange(len(images), device=images.device), :, top, left]


def _jitter_colour(images: Tensor, strength: float, draws: Draws) -> Tensor:
    factors = 1 + strength * (2 * draws.uniform(3, 1, 1, 1) - 1)
    brightness, contrast, saturation = factors.unbind(1)  # (N, 1, 1, 1) each
    images = (images.float() * brightness).clamp(0, 255)
    middle = _grey(images).mean(dim=(2, 3), keepdim=True)  # (N, 1, 1, 1)
    images = (middle + (images - middle) * contrast).clamp(0, 255)
    grey = _grey(images)
    return (grey + (images - grey) * saturation).clamp(0, 255)


def _grey(images: Tensor) -> Tensor:
    """Luma, (N, 3, H, W) to (N, 1, H, W), with the weights of ITU-R BT.601."""
    red, green, blue = images.unbind(1)
    return (0.299 * red + 0.587 * green + 0.114 * blue).unsqueeze(1)
