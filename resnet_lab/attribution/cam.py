"""Class activation maps of any number of classes and layers: one forward pass, and one backward pass a class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from resnet_lab.attribution.layers import TargetLayer, find_layer, stages_in_words
from resnet_lab.attribution.methods import Combine


def cams(
    model: nn.Module, images: Tensor, classes: Tensor | None, layers: Sequence[TargetLayer], combine: Combine
) -> list[Tensor]:
    """The raw maps of each of `layers`: float (N, K, h, w), of the layer's size.

    `images` float (N, 3, H, W); `classes` int64 (N, K), or None for the predicted one (K = 1). The graph begins at
    the first of the layers, so what lies before it costs a bare forward pass. To be called within `preserve_state`,
    which freezes the parameters and takes the hooks away.

    Raises:
        ValueError: the net has no such layer, or one has no feature maps.
    """
    modules = [find_layer(model, layer) for layer in layers]
    found: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not output.requires_grad:
            output = output.detach().requires_grad_()  # the graph begins here
        found[module] = output
        return output.clone()  # what follows may work in place

    for module in dict.fromkeys(modules):
        module.register_forward_hook(keep)
    logits = model(images)
    for layer, module in zip(layers, modules, strict=True):
        if module not in found or found[module].ndim != 4:
            raise ValueError(f"layer {layer!r} has no feature maps (N, C, h, w); {stages_in_words(model)}")
    features = [found[module] for module in modules]
    asked = logits.argmax(1, keepdim=True) if classes is None else classes
    maps: list[list[Tensor]] = [[] for _ in layers]
    for k in range(asked.shape[1]):
        score = logits.gather(1, asked[:, k : k + 1]).sum()  # an image's logits depend on that image alone
        gradients = torch.autograd.grad(score, features, retain_graph=k + 1 < asked.shape[1])
        for place, feature, gradient in zip(maps, features, gradients, strict=True):
            place.append(combine(feature.detach(), gradient))
    return [torch.stack(each, dim=1) for each in maps]
