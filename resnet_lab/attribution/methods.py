"""The methods, one entry of `METHODS` each. Class activation maps are our own, the rest is Captum's, which is imported
when it is asked for, as matplotlib comes with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from resnet_lab.attribution.layers import TargetLayer, find_layer

Combine = Callable[[Tensor, Tensor], Tensor]  # of a layer's features and their gradients
Compute = Callable[[nn.Module, Tensor, Tensor, TargetLayer], Tensor]
NOISY = 24  # samples of SmoothGrad
NOISE = 0.15  # its standard deviation, as a part of the image's range (Smilkov et al. 2017, Sec. 3.1)
STEPS = 32  # of the path of Integrated Gradients
PATCHES = 16  # strides of the occluding patch along a side; it is two strides wide, so it has one place less


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


def saliency(model: nn.Module, images: Tensor, classes: Tensor, layer: TargetLayer) -> Tensor:
    """The largest absolute gradient over a pixel's channels (Simonyan et al. 2014, Sec. 3.1); (N, 1, H, W)."""
    from captum.attr import Saliency

    images.requires_grad_()  # our own copy; Captum warns where it has to do this
    return Saliency(model).attribute(images, target=classes).amax(dim=1, keepdim=True)


def guided_grad_cam(model: nn.Module, images: Tensor, classes: Tensor, layer: TargetLayer) -> Tensor:
    """Guided backpropagation times the upsampled Grad-CAM (Selvaraju et al. 2017, Sec. 3.2); (N, 1, H, W)."""
    from captum.attr import GuidedGradCam

    guided = GuidedGradCam(model, find_layer(model, layer))
    return guided.attribute(images, target=classes, interpolate_mode="bilinear").sum(1, keepdim=True)


def smooth_grad(model: nn.Module, images: Tensor, classes: Tensor, _: TargetLayer) -> Tensor:
    """The mean saliency over noisy copies of the image (Smilkov et al. 2017, Sec. 3); (N, 1, H, W).

    With a generator of its own: Captum's NoiseTunnel draws from the process's, on which runs beside it may depend.
    """
    generator = torch.Generator(images.device).manual_seed(0)
    spread = NOISE * (images.amax(dim=(1, 2, 3), keepdim=True) - images.amin(dim=(1, 2, 3), keepdim=True))
    total = torch.zeros_like(images[:, :1])
    for _sample in range(NOISY):
        noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
        total += saliency(model, (images + spread * noise).detach(), classes, None).detach()
    return total / NOISY


def integrated_gradients(model: nn.Module, images: Tensor, classes: Tensor, _: TargetLayer) -> Tensor:
    """The gradient along the path from the mean image (all zeros, normalised) to this one, times the difference
    (Sundararajan et al. 2017, Sec. 3), summed over channels; (N, 1, H, W). A map's sum is close to the difference of
    the scores at both ends.
    """
    from captum.attr import IntegratedGradients

    integral = IntegratedGradients(model)
    parts = integral.attribute(images, target=classes, n_steps=STEPS, internal_batch_size=len(images))
    return parts.sum(1, keepdim=True)


@torch.no_grad()
def occlusion(model: nn.Module, images: Tensor, classes: Tensor, _: TargetLayer) -> Tensor:
    """How much the score falls when a patch turns mean grey (Zeiler and Fergus 2014, Sec. 4.2); (N, 1, H, W).

    Each side has its own stride, so that an oblong image takes no more passes than a square one.
    """
    from captum.attr import Occlusion

    channels, *sides = images.shape[1:]
    strides = [math.ceil(side / PATCHES) for side in sides]
    window = [min(2 * stride, side) for stride, side in zip(strides, sides, strict=True)]
    falls = Occlusion(model).attribute(images, (channels, *window), (channels, *strides), target=classes)
    return falls.sum(1, keepdim=True)


@dataclass(frozen=True)
class Method:
    """A way to make maps: by `compute`, or, for class activation maps, by how they `combine` features and gradients.

    `passes` is how often the net is run for it, at most, whatever the number and the size of the images, besides
    the one that finds the predicted class; if it `has_gradient`, a backward pass comes after most of them.
    """

    title: str
    source: str
    compute: Compute | None = None
    combine: Combine | None = None
    passes: int = 1
    has_layer: bool = False
    signed: bool = False
    has_gradient: bool = True


METHODS: dict[str, Method] = {
    "grad_cam": Method("Grad-CAM", "Selvaraju et al. 2017", combine=grad_cam, has_layer=True, signed=True),
    "grad_cam_plus_plus": Method(
        "Grad-CAM++", "Chattopadhay et al. 2018", combine=grad_cam_plus_plus, has_layer=True
    ),
    "layer_cam": Method("LayerCAM", "Jiang et al. 2021", combine=layer_cam, has_layer=True),
    "guided_grad_cam": Method(
        "Guided Grad-CAM", "Selvaraju et al. 2017", guided_grad_cam, passes=2, has_layer=True, signed=True
    ),
    "saliency": Method("Saliency", "Simonyan et al. 2014", saliency),
    "smooth_grad": Method("SmoothGrad", "Smilkov et al. 2017", smooth_grad, passes=NOISY),
    "integrated_gradients": Method(
        "Integrated Gradients",
        "Sundararajan et al. 2017",
        integrated_gradients,
        passes=STEPS + 2,
        signed=True,
    ),
    "occlusion": Method(
        "Occlusion",
        "Zeiler and Fergus 2014",
        occlusion,
        passes=(PATCHES - 1) ** 2 + 1,
        signed=True,
        has_gradient=False,
    ),
}
