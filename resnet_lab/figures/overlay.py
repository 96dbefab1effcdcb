"""Heat maps as images: arrays in, RGB arrays out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from plotly.colors import hex_to_rgb, sequential

Pixels = NDArray[np.uint8]  # (H, W, 3), RGB
Heat = NDArray[np.float32]  # (H, W), 0 to 1, or -1 to 1
Mask = NDArray[np.bool_]  # (H, W)
Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels of an image

LONGEST = 4  # of the short side; the ends of longer images are not shown
DIMMED = 0.65  # part of mid grey where the net does not see

# Brightness rises evenly in all of them, so they read the same without colour vision. Laid over an image, Inferno,
# from black to pale yellow, leaves lit what the net looks at.
COLOURS = {
    "Inferno": [hex_to_rgb(colour) for colour in sequential.Inferno],
    "Viridis": [hex_to_rgb(colour) for colour in sequential.Viridis],
    "Cividis": [hex_to_rgb(colour) for colour in sequential.Cividis],
    "Grey": [(0, 0, 0), (255, 255, 255)],
}
_AGAINST = np.array(hex_to_rgb("#56B4E9"), dtype=np.float64)  # sky blue, for what speaks against a class


def colourise(heat: Heat, colours: str = "Inferno") -> Pixels:
    """Colours of `COLOURS` for values from 0 to 1, and blue mixed in down to -1; values beyond are the ends."""
    anchors = np.array(COLOURS[colours], dtype=np.float64)
    places = np.linspace(0, 1, len(anchors))
    channels = [np.interp(heat, places, anchors[:, i]) for i in range(3)]
    against = np.clip(-heat, 0, 1)[..., None] * _AGAINST
    return np.round(np.stack(channels, axis=-1) + against).clip(0, 255).astype(np.uint8)


def overlay(image: Pixels, heat: Heat, opacity: float, colours: str = "Inferno") -> Pixels:
    """The coloured `heat` over an `image` of its size; opacity 0 leaves the image, 1 the map.

    Raises:
        ValueError: the sizes differ, or the opacity is not from 0 to 1.
    """
    if image.shape[:2] != heat.shape:
        raise ValueError(
            f"the image is {image.shape[:2]} and the heat map {heat.shape}; they must be one size"
        )
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity is {opacity}; it may be from 0 to 1")
    blended = (1 - opacity) * image + opacity * colourise(heat, colours)
    return np.round(blended).astype(np.uint8)


def at_side(image: Image.Image, box: Box, side: int) -> tuple[Pixels, Box]:
    """An RGB image to be shown with a short side of about `side`, and where in it the box is.

    Larger images are scaled down; in smaller ones every pixel becomes a crisp square.
    """
    longest = LONGEST * min(image.size)
    left, top = (max(length - longest, 0) // 2 for length in image.size)
    image = image.crop((left, top, image.width - left, image.height - top))
    short = min(image.size)
    scale = -(-side // short) if short < side else side / short
    size = round(image.width * scale), round(image.height * scale)
    resampling = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS
    moved = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    return np.asarray(image.resize(size, resampling)), tuple(scale * length for length in moved)  # type: ignore[return-value]


def overlay_within(image: Pixels, box: Box, heat: Heat, opacity: float, colours: str = "Inferno") -> Pixels:
    """The coloured `heat`, of any size, over the box of the image that it is about; what lies around it is dimmed."""
    left, top, right, bottom = map(round, box)
    left, top = min(left, image.shape[1] - 1), min(top, image.shape[0] - 1)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    result = np.round((1 - DIMMED) * image + DIMMED * 128).astype(np.uint8)
    seen = image[top:bottom, left:right]
    result[top:bottom, left:right] = overlay(seen, enlarge_heat(heat, *seen.shape[:2]), opacity, colours)
    return result


def outline(image: Pixels, mask: Mask, width: int = 1) -> Pixels:
    """The image with the rim of `mask`, `width` pixels inside it, in white edged with black."""
    result = image.copy()
    inner = _shrunk(mask, width)
    result[mask & ~inner] = 255
    result[inner & ~_shrunk(inner, max(width // 2, 1))] = 0  # a white line alone is lost on white
    return result


def enlarge(image: Pixels, side: int) -> Pixels:
    """Every pixel as a crisp square, a whole number of times larger, until the short side is `side` or more."""
    factor = -(-side // min(image.shape[:2]))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def enlarge_heat(heat: Heat, height: int, width: int) -> Heat:
    """The map at another size, bilinear."""
    return np.asarray(Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR))


def _shrunk(mask: Mask, pixels: int) -> Mask:
    """`mask` less a rim of `pixels`; what lies outside the image counts as part of it."""
    for _ in range(pixels):
        padded = np.pad(mask, 1, constant_values=True)
        mask = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask
