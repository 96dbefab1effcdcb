"""How strongly each layer answers: the analysis of He et al. 2015, Fig. 7."""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import Tensor, nn

from resnet_lab.models import ResNet


@torch.no_grad()
def layer_responses(model: ResNet, images: Tensor) -> dict[str, float]:
    """Standard deviation of each layer's output over all images, channels and places, by its convolution's name.

    For the convolutions of the main path in forward order, on `images` float (N, 3, H, W), normalised, in eval mode.
    A response is taken after the convolution's BN and before anything else, ReLU or addition (He et al. 2015, Sec. 4.2,
    "Analysis of Layer Responses"). Where no norm follows, as in a pre-activation net, it is the convolution's output.
    `model` stays as it is.
    """
    net = copy.deepcopy(model).eval()
    modules = dict(net.named_modules())
    found: dict[str, float] = {}

    def keep(name: str, _module: nn.Module, _args: object, output: Tensor) -> None:
        found[name] = output.float().std(correction=0).item()

    for name, conv in net.convolutions.items():
        norm = conv if net.spec.preactivation else modules.get(name.replace("conv", "bn"), conv)
        answering = conv if isinstance(norm, nn.Identity) else norm
        answering.register_forward_hook(partial(keep, name))
    net(images)
    return {name: found[name] for name in net.convolutions}
