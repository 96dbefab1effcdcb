"""What is measured of nets, without torch: a record is made once, and goes as it is to file, figure and caption."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True)
class LayerSeries:
    """A value of `quantity` for each layer (or block) of a net, by its name, in forward order."""

    net: str
    plain: bool
    quantity: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Lesion:
    """Accuracy (0 to 1) without the blocks `removed`, none for the whole net, over `samples` images.

    `changes_shape`: one of the removed blocks does.
    """

    net: str
    plain: bool
    removed: tuple[str, ...]
    accuracy: float
    samples: int
    changes_shape: bool = False


@dataclass(frozen=True)
class LossPoint:
    """Loss (nats, mean) and accuracy (0 to 1) at w + a · first + b · second; NaN or inf where the net overflows."""

    net: str
    plain: bool
    a: float
    b: float
    loss: float
    accuracy: float
    precision: str = "float32"


Record = TypeVar("Record", LayerSeries, Lesion, LossPoint)


def by_net(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The records of each net, in the order in which nets and records came."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.net, []).append(record)
    return found
