"""How gradients reach the layers of a net: their norms, and how alike they are for neighbouring inputs."""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_lab.data import Dataset, normalize
from resnet_lab.models import ModelSpec, ResNet, init_model
from resnet_lab.models.layout import training_format

BATCH = 128
LINES, POINTS = 4, 32  # straight lines between images, and inputs on each


def gradient_norms(model: ResNet, images: Tensor, labels: Tensor) -> dict[str, float]:
    """L2 norm of the loss's gradient for the weights of each convolution of the main path, in forward order.

    `images` float (N, 3, H, W), normalised; `labels` int64 (N,). Cross-entropy, mean over the batch, in train mode: BN
    takes the batch's statistics, as in the first step of a run. `model` stays as it is.
    """
    layout = training_format(model, images.device)  # nearly twice as fast on a CPU, where it can be had
    net = copy.deepcopy(model).requires_grad_(True).train().to(memory_format=layout)
    net.zero_grad()
    images = images.contiguous(memory_format=layout)
    F.cross_entropy(net(images), labels).backward()
    convolutions = net.convolutions.items()
    return {name: conv.weight.grad.norm().item() for name, conv in convolutions}  # type: ignore[union-attr, operator]


def initial_gradients(spec: ModelSpec, data: Dataset, seed: int = 0) -> dict[str, float]:
    """`gradient_norms` of a freshly drawn net on the first `BATCH` images of `data`."""
    model = init_model(spec, seed, data.num_classes).to(data.images.device)
    return gradient_norms(model, normalize(data.images[:BATCH], data.mean, data.std), data.labels[:BATCH])


def gradient_correlation(model: ResNet, ends: Tensor, points: int = POINTS) -> dict[str, float]:
    """How alike gradients are for neighbouring inputs, at the input of each block in forward order.

    `ends` float (2 L, 3, H, W), normalised: line l runs from image l to image L + l. All L · `points` inputs are
    one batch, in train mode. The gradient is that of one fixed direction in the logits. Where it is like white noise
    along the line (Balduzzi et al. 2017, "The Shattered Gradients Problem", Sec. 2), the correlation is 0; where it
    changes smoothly, near 1. It depends on the spacing of the points: values of one call can be compared.
    `model` stays as it is.

    Raises:
        ValueError: an odd number of ends, or fewer than two points.
    """
    if len(ends) % 2 or points < 2:
        raise ValueError(
            f"{len(ends)} ends and {points} points; lines need two ends each, and two points or more"
        )
    net = copy.deepcopy(model).train().requires_grad_(False)
    starts, stops = ends.chunk(2)
    t = torch.linspace(0, 1, points, device=ends.device).view(1, -1, 1, 1, 1)
    inputs = ((1 - t) * starts[:, None] + t * stops[:, None]).flatten(0, 1)  # (L · points, 3, H, W)
    seen: dict[str, Tensor] = {}
    for name in (place.name for place in net.spec.block_shapes()):
        block = net.get_submodule(name)
        block.register_forward_pre_hook(lambda _module, args, name=name: seen.__setitem__(name, args[0]))
    logits = net(inputs.requires_grad_())
    direction = torch.randn(logits.shape[1], generator=torch.Generator().manual_seed(0)).to(logits.device)
    gradients = torch.autograd.grad((logits @ direction).sum(), list(seen.values()))
    return {
        name: neighbour_correlation(g.unflatten(0, (-1, points)).flatten(2))
        for name, g in zip(seen, gradients, strict=True)
    }


def neighbour_correlation(gradients: Tensor) -> float:
    """Mean cosine between each vector and the next on its line; `gradients` float (lines, points, values)."""
    return F.cosine_similarity(gradients[:, :-1], gradients[:, 1:], dim=2).mean().item()


def initial_correlation(spec: ModelSpec, data: Dataset, seed: int = 0) -> dict[str, float]:
    """`gradient_correlation` of a freshly drawn net on lines between the first images of `data`."""
    model = init_model(spec, seed, data.num_classes).to(data.images.device)
    return gradient_correlation(model, normalize(data.images[: 2 * LINES], data.mean, data.std))
