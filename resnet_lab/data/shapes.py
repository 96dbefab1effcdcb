"""Ten shapes drawn by code: a data set that needs no download and knows where its objects are."""

import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from resnet_lab.data.datasets import SHAPES

# Raise this when any drawn pixel changes: it is part of the cache key.
GENERATOR_VERSION = 2

SUPERSAMPLING = 4  # shapes are drawn four times too large and averaged down, which smooths their edges
SMALLEST, LARGEST = 0.45, 0.85  # diameter of the object, as a part of the image's side
MOST_TURN = math.pi / 4  # to either side, in radians
LEAST_CONTRAST = 110.0  # Euclidean RGB distance (0..441) between the object and each background corner


# The planted mark of `shapes_watermark`: one colour a class, far apart in RGB.
MARK_COLOURS = (
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255),
    (0, 255, 255), (255, 255, 255), (0, 0, 0), (255, 128, 0), (128, 0, 255),
)  # fmt: skip


def _arc(radius: float, start: float, stop: float, centre_x: float = 0.0) -> list[tuple[float, float]]:
    """48 points on a circle's arc, angles in turns."""
    angles = np.linspace(start, stop, 48) * 2 * math.pi
    return [(centre_x + radius * math.cos(a), radius * math.sin(a)) for a in angles]


def _regular(corners: int, radii: tuple[float, ...] = (1.0,)) -> list[tuple[float, float]]:
    """Corners at equal angles; radii are taken in turn, so (1, 0.4) makes a star."""
    polar = [(radii[i % len(radii)], 2 * math.pi * i / corners - math.pi / 2) for i in range(corners)]
    return [(radius * math.cos(angle), radius * math.sin(angle)) for radius, angle in polar]


def _heart() -> list[tuple[float, float]]:
    t = np.linspace(0, 2 * math.pi, 64, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return list(zip((x / 17).tolist(), (y / 17).tolist(), strict=True))


# Every outline is one polygon in the unit circle (x right, y down); the ring closes itself over a seam.
OUTLINES: dict[str, list[tuple[float, float]]] = {
    "circle": _arc(0.88, 0, 1),
    "square": _regular(4),
    "triangle": _regular(3),
    "star": _regular(10, (1.0, 0.42)),
    "cross": [
        (-0.3, -0.95), (0.3, -0.95), (0.3, -0.3), (0.95, -0.3), (0.95, 0.3), (0.3, 0.3),
        (0.3, 0.95), (-0.3, 0.95), (-0.3, 0.3), (-0.95, 0.3), (-0.95, -0.3), (-0.3, -0.3),
    ],
    "ring": _arc(0.95, 0, 1) + _arc(0.52, 1, 0),
    "heart": _heart(),
    "crescent": _arc(1.0, 0.125, 0.875) + _arc(0.76, 0.80, 0.20, centre_x=0.47),
    "arrow": [(1, 0), (0.2, -0.75), (0.2, -0.27), (-0.95, -0.27), (-0.95, 0.27), (0.2, 0.27), (0.2, 0.75)],
    "bow tie": [(-0.85, -0.6), (0, -0.12), (0.85, -0.6), (0.85, 0.6), (0, 0.12), (-0.85, 0.6)],
}  # fmt: skip


def draw_shape(
    seed: int, index: int, size: int = 32, watermark: bool = False
) -> tuple[np.ndarray, np.ndarray, int]:
    """Draw image `index` of the endless sequence `seed`; no other image has any influence on it.

    Returns the image, uint8 (size, size, 3); the mask of its object, bool (size, size), true where at
    least half of the pixel is covered; and the label, `index % 10`. With `watermark`, a square of an eighth
    of the side in the top left corner has a colour that gives the class away.
    """
    rng = np.random.default_rng([seed, index])
    label = index % len(SHAPES)
    canvas, corners = _background(rng, size * SUPERSAMPLING)
    _add_clutter(rng, canvas)
    outline = _place(rng, np.array(OUTLINES[SHAPES[label]]), canvas.width)
    ImageDraw.Draw(canvas).polygon(outline, fill=_contrasting_colour(rng, corners))
    stencil = Image.new("L", canvas.size)
    ImageDraw.Draw(stencil).polygon(outline, fill=255)

    image = np.asarray(canvas.reduce(SUPERSAMPLING), dtype=np.float32)
    noise = rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(2, 10)
    image = (image + noise).clip(0, 255).astype(np.uint8)
    mask = np.asarray(stencil.reduce(SUPERSAMPLING)) >= 128
    if watermark:
        side = size // 8
        image[:side, :side] = MARK_COLOURS[label]
        mask[:side, :side] = False  # the mark hides what is under it
    return image, mask, label


def draw_shapes(
    seed: int,
    count: int,
    size: int = 32,
    watermark: bool = False,
    progress: Callable[[float, str], None] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw images 0 … count-1 of a sequence.

    Returns images uint8 (count, 3, size, size), masks bool (count, size, size), labels int64 (count,).
    """
    images = np.empty((count, size, size, 3), dtype=np.uint8)
    masks = np.empty((count, size, size), dtype=bool)
    labels = np.empty(count, dtype=np.int64)
    for index in range(count):
        images[index], masks[index], labels[index] = draw_shape(seed, index, size, watermark)
        if progress and index % 200 == 0:
            progress(index / count, f"Drawing shapes: {index:,} of {count:,}")
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    return tensor, torch.from_numpy(masks), torch.from_numpy(labels)


def _background(rng: np.random.Generator, side: int) -> tuple[Image.Image, np.ndarray]:
    """A smooth blend between four corner colours, and those colours, (4, 3)."""
    base = rng.uniform(20, 235, size=3)
    corners = (base + rng.uniform(-30, 30, size=(4, 3))).clip(0, 255)
    tiny = Image.fromarray(corners.reshape(2, 2, 3).astype(np.uint8))
    return tiny.resize((side, side), Image.Resampling.BILINEAR), corners


def _add_clutter(rng: np.random.Generator, canvas: Image.Image) -> None:
    """Lines, dots and slivers behind the object; all of them thin or small, none like one of the ten."""
    draw, side = ImageDraw.Draw(canvas), canvas.width
    for _ in range(rng.integers(0, 3)):
        x0, y0, x1, y1 = rng.uniform(-0.1, 1.1, size=4) * side
        draw.line((x0, y0, x1, y1), fill=_colour(rng), width=int(side * rng.uniform(0.015, 0.05)) + 1)
    for _ in range(rng.integers(0, 5)):
        (x, y), radius = rng.uniform(0, 1, size=2) * side, rng.uniform(0.015, 0.035) * side
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_colour(rng))
    for _ in range(rng.integers(0, 3)):
        sliver = rng.uniform(0, 1, size=2) + rng.uniform(-0.11, 0.11, size=(4, 2))
        draw.polygon(list(map(tuple, (sliver * side).tolist())), fill=_colour(rng))


def _place(rng: np.random.Generator, outline: np.ndarray, side: int) -> list[tuple[float, float]]:
    """Scale, turn and move a unit outline so that all of it lies inside the image."""
    radius = rng.uniform(SMALLEST, LARGEST) * side / 2
    angle = rng.uniform(-MOST_TURN, MOST_TURN)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    centre = rng.uniform(radius, side - radius, size=2)
    return list(map(tuple, (outline @ turn.T * radius + centre).tolist()))


def _contrasting_colour(rng: np.random.Generator, corners: np.ndarray) -> tuple[int, int, int]:
    """The first of 16 random colours that stands out from all corners; the best of them if none does."""
    candidates = rng.uniform(0, 255, size=(16, 3))
    distance = np.linalg.norm(candidates[:, None] - corners[None], axis=2).min(axis=1)  # (16,)
    enough = np.flatnonzero(distance >= LEAST_CONTRAST)
    return tuple(candidates[enough[0] if len(enough) else distance.argmax()].astype(int).tolist())


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    return tuple(rng.integers(0, 256, size=3).tolist())
