"""The blocks of residual nets: F(x), and what is added to it; and the other parts that are made of several layers.

No module is used twice and nothing is done in place: Captum's hooks need both. Layers are made in the order of
torchvision's state dicts. The first 3×3 of a block carries the stride, as in torchvision ("v1.5"). `downsample` is
the shortcut where it is more than x; a `plain` block has none. `join` is what joins it with F(x) where that is more
than an addition (`joins.py`). The Python export of a net holds the text of what it needs from here, so nothing here
needs more than torch.

Shapes of every block: (B, inputs, H, W) → (B, outputs, ⌈H / stride⌉, ⌈W / stride⌉).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

NormLayer = Callable[[int], nn.Module]


class BasicBlock(nn.Module):
    """y = relu(F(x) + shortcut(x)), F = conv, norm, relu, conv, norm (He et al. 2015, Fig. 5 left)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        join: nn.Module | None = None,
        plain: bool = False,
        kernels: tuple[int, ...] = (3, 3),
        norm: NormLayer = nn.BatchNorm2d,
        bias: bool = False,
    ) -> None:
        super().__init__()
        k1, k2 = kernels
        s1, s2 = (stride, 1) if k1 == 3 else (1, stride)
        self.conv1 = nn.Conv2d(inputs, outputs, k1, s1, padding=k1 // 2, bias=bias)
        self.bn1 = norm(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, k2, s2, padding=k2 // 2, bias=bias)
        self.bn2 = norm(outputs)
        self.relu2 = nn.ReLU()
        self.downsample = downsample
        self.join = join
        self.plain = plain

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if not self.plain:
            shortcut = x if self.downsample is None else self.downsample(x)
            y = y + shortcut if self.join is None else self.join(y, shortcut, x)
        return self.relu2(y)


class Bottleneck(nn.Module):
    """y = relu(F(x) + shortcut(x)), F = conv, norm, relu, twice, conv, norm (He et al. 2015, Fig. 5 right)."""

    def __init__(
        self,
        inputs: int,
        inner: int,
        outputs: int,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        join: nn.Module | None = None,
        plain: bool = False,
        kernels: tuple[int, ...] = (1, 3, 1),
        norm: NormLayer = nn.BatchNorm2d,
        bias: bool = False,
    ) -> None:
        super().__init__()
        k1, k2, k3 = kernels
        s1, s2 = (stride, 1) if k1 == 3 else (1, stride)
        spread = dilation * (k2 // 2)
        self.conv1 = nn.Conv2d(inputs, inner, k1, s1, padding=k1 // 2, bias=bias)
        self.bn1 = norm(inner)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(inner, inner, k2, s2, spread, dilation, groups, bias)
        self.bn2 = norm(inner)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(inner, outputs, k3, padding=k3 // 2, bias=bias)
        self.bn3 = norm(outputs)
        self.relu3 = nn.ReLU()
        self.downsample = downsample
        self.join = join
        self.plain = plain

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.relu2(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        if not self.plain:
            shortcut = x if self.downsample is None else self.downsample(x)
            y = y + shortcut if self.join is None else self.join(y, shortcut, x)
        return self.relu3(y)


class PreActBasicBlock(BasicBlock):
    """y = F(x) + x, F = norm, relu, conv, twice (He et al. 2016, Fig. 4e); a norm is as wide as what enters it.

    Where the shape changes, the shortcut starts after the first norm and ReLU, as in the authors' code.
    """

    def __init__(self, inputs: int, outputs: int, norm: NormLayer = nn.BatchNorm2d, **options: Any) -> None:
        super().__init__(inputs, outputs, norm=norm, **options)
        self.bn1 = norm(inputs)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.relu1(self.bn1(x))
        y = self.conv1(activated)
        y = self.conv2(self.relu2(self.bn2(y)))
        if self.plain:
            return y
        shortcut = x if self.downsample is None else self.downsample(activated)
        return y + shortcut if self.join is None else self.join(y, shortcut, x)


class PreActBottleneck(Bottleneck):
    """y = F(x) + x, F = norm, relu, conv, three times (He et al. 2016, Fig. 4e); a norm is as wide as what enters it.

    Where the shape changes, the shortcut starts after the first norm and ReLU, as in the authors' code.
    """

    def __init__(
        self, inputs: int, inner: int, outputs: int, norm: NormLayer = nn.BatchNorm2d, **options: Any
    ) -> None:
        super().__init__(inputs, inner, outputs, norm=norm, **options)
        self.bn1, self.bn3 = norm(inputs), norm(inner)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.relu1(self.bn1(x))
        y = self.conv1(activated)
        y = self.conv2(self.relu2(self.bn2(y)))
        y = self.conv3(self.relu3(self.bn3(y)))
        if self.plain:
            return y
        shortcut = x if self.downsample is None else self.downsample(activated)
        return y + shortcut if self.join is None else self.join(y, shortcut, x)


Block = BasicBlock | Bottleneck


def projection(
    inputs: int, outputs: int, stride: int = 1, norm: NormLayer | None = nn.BatchNorm2d, bias: bool = False
) -> nn.Sequential:
    """Option B of He et al. 2015, Sec. 3.3: a 1×1 convolution gives x the shape of F(x).

    In a pre-activation net it has no norm of its own, as its input has had one.
    """
    conv = nn.Conv2d(inputs, outputs, 1, stride, bias=bias)
    return nn.Sequential(conv) if norm is None else nn.Sequential(conv, norm(outputs))


class PadShortcut(nn.Module):
    """Option A of He et al. 2015, Sec. 3.3: subsample, then pad the new channels with zeros on both sides."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        before = (outputs - inputs) // 2
        self.pad = (0, 0, 0, 0, before, outputs - inputs - before)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "mps":  # where the gradient of a pooling is wrong (pytorch issue 189233)
            return F.pad(x[:, :, :: self.stride, :: self.stride], self.pad)
        # A pooling of one pixel does the same, and its gradient stays channels last.
        return F.pad(F.avg_pool2d(x, 1, self.stride), self.pad)

    def extra_repr(self) -> str:
        return f"stride={self.stride}, channels={self.pad[-2]}+{self.pad[-1]}"


def deep_stem(width: int, norm: NormLayer = nn.BatchNorm2d, bias: bool = False) -> nn.Sequential:
    """Three 3×3 convolutions in place of the 7×7 (Inception-v3's stem; "ResNet-C" of He et al. 2018)."""
    half = max(width // 2, 1)
    return nn.Sequential(
        nn.Conv2d(3, half, 3, stride=2, padding=1, bias=bias),
        norm(half),
        nn.ReLU(),
        nn.Conv2d(half, half, 3, padding=1, bias=bias),
        norm(half),
        nn.ReLU(),
        nn.Conv2d(half, width, 3, padding=1, bias=bias),
    )


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with 32 groups (Wu and He 2018, Sec. 3.1), or as many as divide the channels."""
    return nn.GroupNorm(math.gcd(32, channels), channels)


def initialize(model: nn.Module) -> None:
    """Convolutions: normal, variance 2 / fan-out (He et al. 2015, arXiv:1502.01852)."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


NORM_LAYERS: dict[str, NormLayer] = {"batch": nn.BatchNorm2d, "group": group_norm, "none": nn.Identity}
