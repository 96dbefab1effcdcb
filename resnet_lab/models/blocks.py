"""The blocks of residual nets: F(x), and what is added to it.

No module is used twice and nothing is done in place: Captum's hooks need both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

NormLayer = Callable[[int], nn.Module]


@dataclass(frozen=True)
class BlockShape:
    """What one block turns into what; channels unless said otherwise."""

    inputs: int
    inner: int
    outputs: int
    stride: int = 1
    groups: int = 1
    dilation: int = 1

    @property
    def changes_shape(self) -> bool:
        return self.stride != 1 or self.inputs != self.outputs


class PadShortcut(nn.Module):
    """Option A of He et al. 2015, Sec. 3.3: subsample, then pad the new channels with zeros on both sides."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        before = (outputs - inputs) // 2
        self.pad = (0, 0, 0, 0, before, outputs - inputs - before)

    def forward(self, x: Tensor) -> Tensor:
        # A pooling of one pixel subsamples as x[:, :, ::stride, ::stride] does, and its gradient stays channels last.
        return F.pad(F.avg_pool2d(x, 1, self.stride), self.pad)

    def extra_repr(self) -> str:
        return f"stride={self.stride}, channels={self.pad[-2]}+{self.pad[-1]}"


class Block(nn.Module):
    """y = relu(F(x) + shortcut(x)), with F = conv, norm, relu, conv, norm, … (He et al. 2015, Fig. 2).

    `kernels` gives the convolutions: (3, 3) is the BasicBlock, (1, 3, 1) the Bottleneck. The first 3×3
    carries the stride, as in torchvision ("v1.5"). Without a shortcut, y = relu(F(x)).

    Shapes: (B, inputs, H, W) → (B, outputs, ⌈H / stride⌉, ⌈W / stride⌉).
    """

    def __init__(
        self,
        kernels: tuple[int, ...],
        shape: BlockShape,
        norm: NormLayer,
        downsample: nn.Module | None = None,
        has_shortcut: bool = True,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.depth = len(kernels)
        self.has_shortcut = has_shortcut
        for i, conv in enumerate(block_convs(kernels, shape, bias), start=1):
            setattr(self, f"conv{i}", conv)
            setattr(self, f"bn{i}", norm(self.normalized_channels(conv)))
            setattr(self, f"relu{i}", nn.ReLU())
        self.downsample = downsample

    @staticmethod
    def normalized_channels(conv: nn.Conv2d) -> int:
        return conv.out_channels

    @property
    def last_norm(self) -> nn.Module:
        return getattr(self, f"bn{self.depth}")

    @property
    def last_relu(self) -> nn.Module:
        return getattr(self, f"relu{self.depth}")

    def residual(self, x: Tensor) -> Tensor:
        """F(x), before the addition."""
        for i in range(1, self.depth):
            x = getattr(self, f"relu{i}")(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)))
        return self.last_norm(getattr(self, f"conv{self.depth}")(x))

    def shortcut(self, x: Tensor) -> Tensor:
        return x if self.downsample is None else self.downsample(x)

    def forward(self, x: Tensor) -> Tensor:
        y = self.residual(x)
        if self.has_shortcut:
            y = y + self.shortcut(x)
        return self.last_relu(y)


class PreActivationBlock(Block):
    """y = F(x) + x, with F = norm, relu, conv, norm, relu, conv (He et al. 2016, Fig. 4e).

    Where the shape changes, the shortcut starts after the first norm and ReLU, as in the authors' code.
    """

    @staticmethod
    def normalized_channels(conv: nn.Conv2d) -> int:
        return conv.in_channels

    def activate(self, x: Tensor) -> Tensor:
        return getattr(self, "relu1")(getattr(self, "bn1")(x))  # noqa: B009 (typed as Any)

    def residual(self, x: Tensor) -> Tensor:
        """F after its first norm and ReLU."""
        for i in range(1, self.depth):
            x = getattr(self, f"relu{i + 1}")(getattr(self, f"bn{i + 1}")(getattr(self, f"conv{i}")(x)))
        return getattr(self, f"conv{self.depth}")(x)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.activate(x)
        y = self.residual(activated)
        if not self.has_shortcut:
            return y
        return y + (x if self.downsample is None else self.downsample(activated))


def block_convs(kernels: tuple[int, ...], shape: BlockShape, bias: bool) -> list[nn.Conv2d]:
    """The convolutions of a block; the first 3×3 carries stride, groups and dilation."""
    strided = kernels.index(3)
    channels = [shape.inputs, *[shape.inner] * (len(kernels) - 1), shape.outputs]
    convs = []
    for i, kernel in enumerate(kernels):
        spread = shape.dilation if kernel == 3 else 1
        conv = nn.Conv2d(
            channels[i],
            channels[i + 1],
            kernel,
            stride=shape.stride if i == strided else 1,
            padding=spread * (kernel // 2),
            dilation=spread,
            groups=shape.groups if kernel == 3 else 1,
            bias=bias,
        )
        convs.append(conv)
    return convs


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with 32 groups (Wu and He 2018, Sec. 3.1), or as many as divide the channels."""
    return nn.GroupNorm(math.gcd(32, channels), channels)


def no_norm(channels: int) -> nn.Module:
    return nn.Identity()


NORM_LAYERS: dict[str, NormLayer] = {"batch": nn.BatchNorm2d, "group": group_norm, "none": no_norm}
