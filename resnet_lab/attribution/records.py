"""What is measured of maps, without torch: a record is made once, and goes as it is to file, figure and caption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Measure = Literal["pointing", "energy", "iou"]


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % confidence interval."""

    mean: float
    low: float
    high: float

    @property
    def in_percent(self) -> str:
        return f"{100 * self.mean:.1f} % ({100 * self.low:.1f}–{100 * self.high:.1f})"


@dataclass(frozen=True)
class LocalizationScore:
    """How well the maps of a method hit the object: three measures, each from 0 to 1, over `count` images.

    `method` is its title; `stage` the one that it reads ("layer3"), "" where it reads none. A baseline is what methods
    must beat.
    """

    method: str
    stage: str
    pointing: Estimate
    energy: Estimate
    iou: Estimate
    count: int
    is_baseline: bool = False

    @property
    def title(self) -> str:
        return f"{self.method}, {stage_title(self.stage)}" if self.stage else self.method


@dataclass(frozen=True)
class MapSimilarity:
    """Spearman's rank correlation of a method's maps before and after all parts of the net from the head down to
    `part` became random, mean over `count` images. `method` is its title.
    """

    method: str
    part: str
    correlation: Estimate
    count: int


@dataclass(frozen=True)
class PixelCurve:
    """Probability (0 to 1) of a class of one image, as 0 to all of its pixels are changed in equal steps.

    `kind`: deletion takes them away, insertion brings them in, those that come first by `order` (a method's title, or
    "random order") first.
    """

    kind: Literal["deletion", "insertion"]
    order: str
    probabilities: tuple[float, ...]
    is_random: bool = False

    @property
    def area(self) -> float:
        """Under the curve, 0 to 1, by trapezoids. The better the map, the lower it is for deletion, the higher for
        insertion.
        """
        ends = self.probabilities[0] + self.probabilities[-1]
        return (sum(self.probabilities) - ends / 2) / (len(self.probabilities) - 1)


def stage_title(name: str) -> str:
    """A part of a net in words: "layer3" is stage 3; others are called by their names."""
    return f"stage {name.removeprefix('layer')}" if name.removeprefix("layer").isdigit() else name
