"""Receptive fields, layer by layer (Araujo et al. 2019, "Computing Receptive Fields of CNNs", Sec. 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from resnet_lab.inspection.table.records import Shape


class Span(NamedTuple):
    """Along one axis: value i depends on the input pixels low + i · jump … high + i · jump."""

    low: int
    high: int
    jump: int

    @property
    def size(self) -> int:
        return self.high - self.low + 1


def padding_per_side(padding: Shape | str, kernel: Shape, dilation: Shape) -> Shape:
    """In pixels, also of torch's padding="same" and "valid"."""
    if not isinstance(padding, str):
        return padding
    same = padding == "same"
    return tuple(d * (k - 1) // 2 if same else 0 for k, d in zip(kernel, dilation, strict=True))


Field = tuple[Span, ...]  # height, width; () where it is not known


def of_input(sides: int) -> Field:
    """Each pixel sees itself."""
    return (Span(0, 0, 1),) * sides


def through_window(
    field: Field, kernel: Shape, stride: Shape, padding: Shape | str, dilation: Shape
) -> Field:
    """After a convolution or a pool."""
    padding = padding_per_side(padding, kernel, dilation)
    return tuple(
        Span(span.low - p * span.jump, span.high + ((k - 1) * d - p) * span.jump, span.jump * s)
        for span, k, s, p, d in zip(field, kernel, stride, padding, dilation, strict=True)
    )


def over_all(field: Field, sides: Shape) -> Field:
    """Everything that a map of these sides sees: after a global pool or a flatten."""
    return tuple(
        Span(span.low, span.high + (side - 1) * span.jump, span.jump * side)
        for span, side in zip(field, sides, strict=True)
    )


def union(fields: Sequence[Field]) -> Field:
    """After an addition, or where maps are joined; () if one is unknown or they step differently."""
    if not fields or not all(fields) or len({tuple(span.jump for span in field) for field in fields}) > 1:
        return ()
    return tuple(
        Span(min(s.low for s in spans), max(s.high for s in spans), spans[0].jump)
        for spans in zip(*fields, strict=True)
    )
