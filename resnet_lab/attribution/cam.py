"""Class activation maps of any number of classes and layers: one forward pass, and one backward pass a class."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from resnet_lab.attribution.layers import Layer, find_layer, stages_in_words

Combine = Callable[[Tensor, Tensor], Tensor]


def grad_cam(features: Tensor, gradients: Tensor) -> Tensor:
    """Feature maps weighted by their mean gradient and summed (Selvaraju et al. 2017, Eq. 1 and 2).

    Both float (N, C, h, w); returns (N, h, w). The paper's ReLU comes later, so that a map can be shown signed.
    """
    return (gradients.mean(dim=(2, 3), keepdim=True) * features).sum(1)


def grad_cam_plus_plus(features: Tensor, gradients: Tensor) -> Tensor:
    """Grad-CAM with weights that count every place of a feature map alike (Chattopadhay et al. 2018, Sec. 3).

    The score is taken as the exponent of the logit, as in the paper, by which its higher derivatives are powers of
    the first. Shapes as in `grad_cam`.
    """
    squares, cubes = gradients**2, gradients**3
    below = 2 * squares + features.sum(dim=(2, 3), keepdim=True) * cubes
    shares = torch.where(gradients != 0, squares / torch.where(below != 0, below, 1), 0)
    weights = (shares * gradients.clamp_min(0)).sum(dim=(2, 3), keepdim=True)
    return (weights * features).sum(1)


def layer_cam(features: Tensor, gradients: Tensor) -> Tensor:
    """Each place weighted by its own positive gradient, so that early layers keep their detail (Jiang et al. 2021,
    Sec. III). Shapes as in `grad_cam`.
    """
    return (gradients.clamp_min(0) * features).sum(1)


def cams(
    model: nn.Module, images: Tensor, classes: Tensor | None, layers: Sequence[Layer], combine: Combine
) -> list[Tensor]:
    """The raw maps of each of `layers`: float (N, K, h, w), of the layer's size.

    `images` float (N, 3, H, W); `classes` int64 (N, K), or None for the predicted one (K = 1). The graph begins at
    the first of the layers, so what lies before it costs a bare forward pass; the parameters must be frozen.

    Raises:
        ValueError: the net has no such layer, or one has no feature maps.
    """
    modules = [find_layer(model, layer) for layer in layers]
    features = []
    outputs, logits = _forward(model, images, modules)
    for layer, output in zip(layers, outputs, strict=True):
        if output is None or output.ndim != 4:
            raise ValueError(f"layer {layer!r} has no feature maps (N, C, h, w); {stages_in_words(model)}")
        features.append(output)
    asked = logits.argmax(1, keepdim=True) if classes is None else classes
    maps: list[list[Tensor]] = [[] for _ in layers]
    for k in range(asked.shape[1]):
        score = logits.gather(1, asked[:, k : k + 1]).sum()  # an image's logits depend on that image alone
        gradients = torch.autograd.grad(score, features, retain_graph=k + 1 < asked.shape[1])
        for place, feature, gradient in zip(maps, features, gradients, strict=True):
            place.append(combine(feature.detach(), gradient))
    return [torch.stack(found, dim=1) for found in maps]


def _forward(
    model: nn.Module, images: Tensor, modules: Sequence[nn.Module]
) -> tuple[list[Tensor | None], Tensor]:
    """What comes out of each of `modules`, and the logits."""
    found: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not output.requires_grad:
            output = output.detach().requires_grad_()  # the graph begins here
        found[module] = output
        return output.clone()  # what follows may work in place

    hooks = [module.register_forward_hook(keep) for module in dict.fromkeys(modules)]
    try:
        logits = model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return [found.get(module) for module in modules], logits
