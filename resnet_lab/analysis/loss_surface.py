"""The loss around a trained net, along filter-normalised random directions (Li et al. 2018)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_lab.analysis.records import LossPoint
from resnet_lab.models import ResNet
from resnet_lab.models.blocks import Block

CHUNK = 125  # images that pass at once: few enough for the caches of a CPU
Direction = dict[str, Tensor]


def random_direction(model: ResNet, seed: int) -> Direction:
    """A random direction for each parameter, filter by filter as long as the parameter's own filter.

    Gaussian, then d ← d / ‖d‖ · ‖w‖ for each filter of a convolution and each row of the head (Li et al. 2018,
    Sec. 4). Biases and the parameters of norms have no direction, as in the authors' code ("ignore biasbn"); running
    statistics stay as trained.
    """
    generator = torch.Generator().manual_seed(seed)
    direction = {}
    for name, weight in model.named_parameters():
        if weight.dim() < 2:
            continue
        d = torch.randn(weight.shape, generator=generator).to(weight)
        own, drawn = (t.detach().flatten(1).norm(dim=1).clamp_min(1e-10) for t in (weight, d))
        direction[name] = d * (own / drawn).view(-1, *[1] * (weight.dim() - 1))
    return direction


def coarse_to_fine(count: int) -> list[tuple[int, int]]:
    """The cells (i, j) of a count × count grid, those of coarser grids first, each once.

    >>> coarse_to_fine(3)[:5]
    [(0, 0), (0, 2), (2, 0), (2, 2), (0, 1)]
    """
    order: dict[tuple[int, int], None] = {}
    side = 2
    while side < count:
        steps = [round(i * (count - 1) / (side - 1)) for i in range(side)]
        order |= dict.fromkeys(product(steps, steps))
        side = 2 * side - 1
    return list(order | dict.fromkeys(product(range(count), range(count))))


@dataclass(frozen=True)
class Grid:
    """Where the surface is asked: `count` places from −radius to radius in each direction; b = 0 alone for a slice."""

    count: int = 11
    radius: float = 1.0
    is_slice: bool = False

    def places(self) -> list[tuple[float, float]]:
        """Coarse to fine."""
        at = [self.radius * (2 * i / (self.count - 1) - 1) for i in range(self.count)]
        cells = coarse_to_fine(self.count)
        return (
            [(at[i], 0.0) for i, j in cells if j == 0]
            if self.is_slice
            else [(at[i], at[j]) for i, j in cells]
        )


@torch.inference_mode()
def surface(
    model: ResNet,
    images: Tensor,
    labels: Tensor,
    directions: tuple[Direction, Direction],
    places: Sequence[tuple[float, float]],
    dtype: torch.dtype = torch.float32,
    name: str = "",
) -> Iterator[LossPoint]:
    """The loss at each of `places` in turn, on `images` float (N, 3, H, W), normalised, with `labels` (N,).

    In eval mode, on a copy: `model` stays as it is. As BN is a fixed scale and shift there, it is folded into the
    convolution before it, once for w and both directions; each place then costs two additions a weight and one pass.
    With `dtype` bfloat16 the pass is computed in it, and the loss in float32. `name` is what records call the net.
    """
    net = copy.deepcopy(model).eval().requires_grad_(False)
    scales = fold_norms(net)
    net.to(dtype).to(memory_format=torch.channels_last)
    moves = []
    for weight in directions[0]:
        line: list[Tensor] = [model.get_parameter(weight), *(direction[weight] for direction in directions)]
        parts = [t.detach().float() * scales.get(weight, 1.0) for t in line]
        moves.append((net.get_parameter(weight), *parts))
    inputs = images.to(dtype=dtype, memory_format=torch.channels_last)
    chunks = list(zip(inputs.split(CHUNK), labels.split(CHUNK), strict=True))
    precision = str(dtype).removeprefix("torch.")
    for a, b in places:
        for target, start, first, second in moves:
            target.copy_(torch.add(start, first, alpha=a).add_(second, alpha=b))
        loss = right = 0.0
        for x, y in chunks:
            logits = net(x).float()
            loss += F.cross_entropy(logits, y, reduction="sum").item()
            right += (logits.argmax(1) == y).sum().item()
        yield LossPoint(name, model.spec.is_plain, a, b, loss / len(labels), right / len(labels), precision)


def fold_norms(net: ResNet) -> dict[str, Tensor]:
    """Folds each BN that follows a convolution into it, in place, and returns the scale of each folded weight.

    In eval mode BN is y = s (x − mean) + bias with s = weight / √(var + eps), so conv and BN are one convolution with
    the filters s · w and the bias s · (b − mean) + bias. Other norms, and BN before a convolution, stay.
    """
    scales = {}
    for prefix, parent, conv_name, norm_name in list(_pairs(net)):
        conv, norm = getattr(parent, conv_name), getattr(parent, norm_name)
        if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
            continue
        mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
        scale = norm.weight / (variance + norm.eps).sqrt()
        bias = torch.zeros_like(norm.bias) if conv.bias is None else conv.bias
        shift = (bias - mean) * scale + norm.bias
        per_filter = scale.view(-1, 1, 1, 1)
        conv.weight.data = conv.weight * per_filter
        conv.bias = nn.Parameter(shift.detach(), requires_grad=False)
        setattr(parent, norm_name, nn.Identity())
        scales[f"{prefix}{conv_name}.weight"] = per_filter.detach().clone()
    return scales


def _pairs(net: ResNet) -> list[tuple[str, nn.Module, str, str]]:
    """Each convolution with the norm behind it: name of the parent with a dot, the parent, and both names in it."""
    pairs: list[tuple[str, nn.Module, str, str]] = [("", net, "conv1", "bn1")]
    later = int(net.spec.preactivation)  # the norm behind a convolution is then the next one's
    for name, module in net.named_modules():
        if isinstance(module, Block):
            convs = range(1, len(net.spec.block) + 1 - later)
            pairs += [(f"{name}.", module, f"conv{i}", f"bn{i + later}") for i in convs]
        elif isinstance(module, nn.Sequential):
            children = list(module.named_children())
            pairs += [(f"{name}.", module, a, b) for (a, _), (b, _) in pairwise(children)]
    return pairs
