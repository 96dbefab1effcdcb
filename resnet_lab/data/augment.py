"""Augmentation and normalisation of whole batches, on whatever device they lie."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a training picture.

    The defaults are those of the CIFAR nets: "4 pixels are padded on each side, and a 32 × 32 crop is randomly
    sampled from the padded image or its horizontal flip" (He et al. 2016, arXiv:1512.03385, section 4.2).

    `colour_jitter` s multiplies brightness, contrast and saturation, in this order, each by a factor from
    [1 - s, 1 + s]. `scale_jitter` (low, high) enlarges a batch by one factor from that range before the crop;
    (1.0, 1.875) on 256-pixel pictures is the paper's short side from [256, 480] (section 3.4). Raises
    ValueError on values outside what is said here.
    """

    crop_padding: int = 4
    flip: bool = True
    colour_jitter: float = 0.0
    scale_jitter: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.crop_padding < 0:
            raise ValueError(f"crop_padding is {self.crop_padding}; it must be 0 or more pixels.")
        if not 0 <= self.colour_jitter <= 1:
            raise ValueError(f"colour_jitter is {self.colour_jitter}; it must lie between 0 and 1.")
        if self.scale_jitter is not None and not 1 <= self.scale_jitter[0] <= self.scale_jitter[1] <= 4:
            raise ValueError(
                f"scale_jitter is {self.scale_jitter}; it must be (low, high), 1 ≤ low ≤ high ≤ 4."
            )


def augment(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Crop, flip and jitter a batch uint8 (N, 3, H, W), each picture by itself, without changing its size.

    Returns values 0..255 of the same shape: uint8, or float32 where colour or scale was jittered. All
    randomness comes from `generator`, which must be on the images' device.
    """
    height, width = images.shape[-2:]
    if augmentation.scale_jitter is not None:
        images = _enlarge(images, augmentation.scale_jitter, generator)
    if augmentation.crop_padding or images.shape[-2:] != (height, width):
        images = _random_crop(images, augmentation.crop_padding, (height, width), generator)
    if augmentation.flip:
        flipped = torch.rand(len(images), generator=generator, device=images.device) < 0.5
        images = torch.where(flipped.view(-1, 1, 1, 1), images.flip(3), images)
    if augmentation.colour_jitter:
        images = _jitter_colour(images, augmentation.colour_jitter, generator)
    return images


def normalize(
    images: Tensor,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """(pixel / 255 - mean) / std by channel: values 0..255 (N, 3, H, W) to `dtype` (N, 3, H, W)."""
    scale = torch.tensor(std, device=images.device).mul(255).reciprocal().view(3, 1, 1)
    shift = torch.tensor(mean, device=images.device).mul(255).view(3, 1, 1)
    return images.float().sub_(shift).mul_(scale).to(dtype)


def _enlarge(images: Tensor, scale_range: tuple[float, float], generator: torch.Generator) -> Tensor:
    low, high = scale_range
    draw = torch.rand((), generator=generator, device=images.device).item()
    size = [round(side * (low + draw * (high - low))) for side in images.shape[-2:]]
    return F.interpolate(images.float(), size=size, mode="bilinear", align_corners=False)


def _random_crop(images: Tensor, padding: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Pad with black, as torchvision's RandomCrop does, and cut a window of `size` out at random."""
    padded = F.pad(images, (padding,) * 4)
    count, device = len(images), images.device
    windows = padded.unfold(2, size[0], 1).unfold(3, size[1], 1)  # view (N, 3, tops, lefts, H, W)
    top = torch.randint(windows.shape[2], (count,), generator=generator, device=device)
    left = torch.randint(windows.shape[3], (count,), generator=generator, device=device)
    return windows[torch.arange(count, device=device), :, top, left]


def _jitter_colour(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    draws = torch.rand(3, len(images), 1, 1, 1, generator=generator, device=images.device)
    brightness, contrast, saturation = 1 + strength * (2 * draws - 1)
    images = (images.float() * brightness).clamp(0, 255)
    middle = _grey(images).mean(dim=(2, 3), keepdim=True)  # (N, 1, 1, 1)
    images = (middle + (images - middle) * contrast).clamp(0, 255)
    grey = _grey(images)
    return (grey + (images - grey) * saturation).clamp(0, 255)


def _grey(images: Tensor) -> Tensor:
    """Luma, (N, 3, H, W) to (N, 1, H, W), with the weights of ITU-R BT.601."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device).view(3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)
