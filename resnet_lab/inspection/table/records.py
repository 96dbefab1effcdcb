"""The records of the layer table: rows, and the totals that are sums over them."""

from __future__ import annotations

import re
from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True)
class LayerRow:
    """One call of one layer, for one image. Shapes are without the batch.

    A layer that is never called has no shapes. `params` and `weight_bytes` are 0 where the parameters were
    counted in an earlier row. `is_function` marks a call that is no module (the addition of a block), which
    no hook of torch sees; its `path` is the module that makes the call.

    `receptive_field` is the side (height, width), in pixels of the input, of the window that one output
    value depends on, and `field_stride` how far the window moves from one value to its neighbour (Araujo et
    al. 2019, "Computing Receptive Fields of Convolutional Neural Networks", Sec. 2); () where it is not
    known. Padding counts, so it may be larger than the image. Statistics of a norm layer do not count.

    `kept_values` and `kept_bytes`: of what this row makes, autograd keeps so many floating-point values, and
    so many bytes of anything else (the indices of a max pool), until the backward pass.
    """

    path: str
    type: str
    input_shape: Shape
    output_shape: Shape
    params: int = 0
    macs: int = 0
    weight_bytes: int = 0
    trainable_params: int = 0
    kernel: Shape = ()
    stride: Shape = ()
    padding: Shape | str = ()
    dilation: Shape = ()
    groups: int | None = None
    receptive_field: Shape = ()
    field_stride: Shape = ()
    kept_values: int = 0
    kept_bytes: int = 0
    bias: bool = False
    is_function: bool = False

    @property
    def stage(self) -> int | None:
        """Stage, from 1; None in the stem and the head."""
        return self._place[0]

    @property
    def block(self) -> int | None:
        """Block of the stage, from 0; None in the stem and the head."""
        return self._place[1]

    @property
    def key(self) -> str:
        """What a link calls the row: its path; of a function call, "layer1.0.add()"."""
        return f"{self.path}.{self.type}()" if self.is_function else self.path

    @property
    def is_shortcut(self) -> bool:
        """Whether the layer stands on the shortcut, or joins it, and not on the way through the block."""
        return "downsample" in self.path.split(".") or self.is_join

    @property
    def is_join(self) -> bool:
        """Whether it is part of what joins F(x) and the shortcut where that is more than an addition."""
        return "join" in self.path.split(".")

    def activation_bytes(self, value_bytes: int = 4) -> int:
        """Memory that this row holds from the forward to the backward pass, for one image."""
        return self.kept_values * value_bytes + self.kept_bytes

    @property
    def _place(self) -> tuple[int | None, int | None]:
        match = re.match(r"layer(\d+)\.(\d+)(\.|$)", self.path)
        return (int(match[1]), int(match[2])) if match else (None, None)


@dataclass(frozen=True)
class LayerTable:
    """The rows of a net; every total is a sum over them."""

    name: str
    input_size: Shape  # (C, H, W)
    rows: tuple[LayerRow, ...]

    @property
    def total_params(self) -> int:
        return sum(row.params for row in self.rows)

    @property
    def trainable_params(self) -> int:
        return sum(row.trainable_params for row in self.rows)

    @property
    def total_macs(self) -> int:
        """Multiply-accumulates of one image, in convolutions, linear layers and products; FLOPs are twice that."""
        return sum(row.macs for row in self.rows)

    @property
    def weight_bytes(self) -> int:
        """Memory of the parameters alone: no buffers, activations or gradients."""
        return sum(row.weight_bytes for row in self.rows)

    @property
    def weight_layers(self) -> int:
        """Calls of convolutions and linear layers (and of functions that multiply), projections included."""
        return sum(row.macs > 0 for row in self.rows)

    @property
    def named_layers(self) -> int:
        """As the papers count (the 50 of ResNet-50): without the projections on shortcuts."""
        return sum(row.macs > 0 and not row.is_shortcut for row in self.rows)

    def activation_bytes(self, value_bytes: int = 4) -> int:
        """Memory of one image from the forward to the backward pass."""
        return sum(row.activation_bytes(value_bytes) for row in self.rows)


def say_shape(shape: Shape) -> str:
    """(64, 56, 56) → 64 × 56 × 56."""
    return " × ".join(f"{n:,}" for n in shape) or "–"
