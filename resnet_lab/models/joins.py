"""What joins F(x) and the shortcut where that is more than an addition: weights, gates, chance.

He et al. 2016 ("Identity Mappings in Deep Residual Networks"), Sec. 3.1 and Fig. 2. A join takes F(x), the shortcut
s(x) and the block's input x: (B, outputs, H, W), the same, and (B, inputs, stride · H, stride · W); it returns what a
block adds up. The Python export of a net holds the text of what it needs from here, as from `blocks.py`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class WeightedSum(nn.Module):
    """y = β·F(x) + α·s(x), β and α being `residual_scale` and `shortcut_scale`.

    A learned β is one parameter, as in ReZero (Bachlechner et al. 2021) and SkipInit (De and Smith 2020). A scale that
    is to move between steps is a buffer without a place in the state dict; any other is a number, and 1 costs nothing.
    """

    shortcut_scale: float | Tensor
    residual_scale: float | Tensor

    def __init__(
        self, shortcut_scale: float = 1.0, residual_scale: float = 1.0, learned: bool = False
    ) -> None:
        super().__init__()
        self.shortcut_scale = shortcut_scale
        self.residual_scale = nn.Parameter(torch.tensor(residual_scale)) if learned else residual_scale

    def forward(self, residual: Tensor, shortcut: Tensor, *_: Tensor) -> Tensor:
        return times(self.residual_scale, residual) + times(self.shortcut_scale, shortcut)

    def extra_repr(self) -> str:
        beta = "learned" if isinstance(self.residual_scale, nn.Parameter) else f"{self.residual_scale:g}"
        return f"α={self.shortcut_scale:g}, β={beta}"


class ShortcutGate(WeightedSum):
    """y = F(x) + (1 − g)·s(x), g = σ(W_g x + b_g) (Fig. 2d); W_g is a 1×1 convolution with the block's stride."""

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, gate_bias: float = -6.0, **scales: Any
    ) -> None:
        super().__init__(**scales)
        self.gate = nn.Conv2d(inputs, outputs, 1, stride)
        self.sigmoid = nn.Sigmoid()
        nn.init.constant_(self.gate.get_parameter("bias"), gate_bias)

    def forward(self, residual: Tensor, shortcut: Tensor, *x: Tensor) -> Tensor:
        g = self.sigmoid(self.gate(*x))
        return super().forward(residual, (1 - g) * shortcut)


class ExclusiveGate(ShortcutGate):
    """y = g·F(x) + (1 − g)·s(x) (Fig. 2c), as in Highway Networks (Srivastava et al. 2015)."""

    def forward(self, residual: Tensor, shortcut: Tensor, *x: Tensor) -> Tensor:
        g = self.sigmoid(self.gate(*x))
        return WeightedSum.forward(self, g * residual, (1 - g) * shortcut)


class RandomSum(WeightedSum):
    """A sum that draws in train mode: from `seed`, which a run sets in each step, and never from torch's generator."""

    def __init__(self, drop_rate: float = 0.5, **scales: Any) -> None:
        super().__init__(**scales)
        self.drop_rate, self.seed = drop_rate, 0

    def keep(self, like: Tensor) -> Tensor:
        """1 with probability 1 − `drop_rate` and else 0, of the shape of `like`; the next call draws anew."""
        generator = torch.Generator(like.device).manual_seed(self.seed)
        self.seed += 1
        return torch.empty_like(like).bernoulli_(1 - self.drop_rate, generator=generator)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, drop_rate={self.drop_rate:g}"


class ShortcutDropout(RandomSum):
    """y = F(x) + dropout(s(x)) (Fig. 2f): in training values at random are 0, and the rest s / (1 − `drop_rate`)."""

    def forward(self, residual: Tensor, shortcut: Tensor, *_: Tensor) -> Tensor:
        if self.training:
            shortcut = self.keep(shortcut) * shortcut / (1 - self.drop_rate)
        return super().forward(residual, shortcut)


class StochasticDepth(RandomSum):
    """y = b·F(x) + s(x), b being 0 or 1 for a whole batch, and its mean when the net is used (Huang et al. 2016)."""

    def forward(self, residual: Tensor, shortcut: Tensor, *_: Tensor) -> Tensor:
        b = self.keep(residual[:1, :1, :1, :1]) if self.training else 1 - self.drop_rate
        return super().forward(b * residual, shortcut)


def times(scale: float | Tensor, x: Tensor) -> Tensor:
    """`scale` · x; of the number 1, x itself."""
    return x if isinstance(scale, float) and scale == 1 else scale * x
