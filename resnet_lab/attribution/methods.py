"""Heat maps over pictures: one line of `METHODS` a method, most of them computed by Captum."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from captum.attr import GuidedGradCam, IntegratedGradients, LayerGradCam, Occlusion, Saliency
from torch import Tensor, nn

from resnet_lab.attribution.undisturbed import undisturbed

Layer = str | nn.Module | None
Compute = Callable[[nn.Module, Tensor, Tensor, Layer], Tensor]
NOISY = 24  # samples of SmoothGrad
NOISE = 0.15  # its standard deviation, as a part of the picture's range (Smilkov et al. 2017, Sec. 3.1)
STEPS = 32  # of the path of Integrated Gradients
PATCHES = 16  # places of the occluding patch along a side, half overlapping


class Cancelled(Exception):
    """`on_pass` asked for an end; the model is as before."""


def attribute(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor | None = None,
    method: str = "grad_cam",
    layer: Layer = None,
    signed: bool = False,
    on_pass: Callable[[], None] | None = None,
) -> Tensor:
    """Where each picture speaks for its class: 1 at the strongest place, 0 where it does not.

    `images`: float (N, 3, H, W), normalised, on the model's device. `target`: a class for all, classes int64
    (N,), or None for the predicted ones. `layer` is what Grad-CAM reads: a stage ("layer3"), any module path,
    a module, or None for the last stage; methods without a layer take no notice of it. With `signed`, methods that
    tell for from against give -1 to 1, the strongest place at either end. `on_pass` is called before each pass of
    the net, `METHODS[method].passes` times or so; what it raises ends the work.

    Works for models in train mode too, under no_grad and inference_mode, and leaves the model as it was
    (`undisturbed`). Returns float32 (N, H, W), coarse maps upsampled bilinearly. A map with nothing positive is
    all zeros, as is a signed one of nothing.

    Raises:
        ValueError: an unknown method, layer or class, or images of another form; the message says what may be.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; it may be {', '.join(METHODS)}")
    if images.ndim != 4 or not images.is_floating_point():
        raise ValueError(f"images are {images.dtype} {tuple(images.shape)}; they must be float (N, 3, H, W)")
    with undisturbed(model), torch.inference_mode(False), torch.enable_grad():
        images = images.detach().clone()  # what inference_mode made cannot enter a backward pass
        classes = _classes(model, images, target)
        if on_pass is not None:
            model.register_forward_pre_hook(lambda *_: on_pass())  # taken away by `undisturbed`
        maps = METHODS[method].compute(model, images, classes, layer)  # (N, 1, h, w)
    maps = maps.detach().float()
    if not (signed and METHODS[method].signed):
        maps = maps.clamp_min(0)  # before it is enlarged, as the paper does
    maps = F.interpolate(maps, images.shape[-2:], mode="bilinear").squeeze(1)
    peaks = maps.abs().amax(dim=(1, 2), keepdim=True)
    return maps / peaks.where(peaks > 0, 1.0)


def grad_cam(model: nn.Module, images: Tensor, classes: Tensor, layer: Layer) -> Tensor:
    """Feature maps weighted by their mean gradient and summed (Selvaraju et al. 2017, Eq. 1–2; the positive part is
    taken later). Returns (N, 1, h, w), as large as the layer's feature maps.
    """
    cam = LayerGradCam(model, find_layer(model, layer))
    maps: Tensor = cam.attribute(images, target=classes)
    if maps.ndim != 4:
        raise ValueError(f"layer {layer!r} has no feature maps (N, C, h, w); {_stages_in_words(model)}")
    return maps


def saliency(model: nn.Module, images: Tensor, classes: Tensor, layer: Layer) -> Tensor:
    """The largest absolute gradient over a pixel's channels (Simonyan et al. 2014, Sec. 3.1); (N, 1, H, W)."""
    images.requires_grad_()  # our own copy; Captum warns where it has to do this
    return Saliency(model).attribute(images, target=classes).amax(dim=1, keepdim=True)


def guided_grad_cam(model: nn.Module, images: Tensor, classes: Tensor, layer: Layer) -> Tensor:
    """Guided backpropagation times the upsampled Grad-CAM (Selvaraju et al. 2017, Sec. 3.2); (N, 1, H, W)."""
    guided = GuidedGradCam(model, find_layer(model, layer))
    return guided.attribute(images, target=classes, interpolate_mode="bilinear").sum(1, keepdim=True)


def smooth_grad(model: nn.Module, images: Tensor, classes: Tensor, _: Layer) -> Tensor:
    """The mean saliency over noisy copies of the picture (Smilkov et al. 2017, Sec. 3); (N, 1, H, W).

    With a generator of its own: Captum's NoiseTunnel draws from the process's, on which runs beside it may depend.
    """
    generator = torch.Generator(images.device).manual_seed(0)
    spread = NOISE * (images.amax(dim=(1, 2, 3), keepdim=True) - images.amin(dim=(1, 2, 3), keepdim=True))
    total = torch.zeros_like(images[:, :1])
    for _sample in range(NOISY):
        noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
        total += saliency(model, (images + spread * noise).detach(), classes, None).detach()
    return total / NOISY


def integrated_gradients(model: nn.Module, images: Tensor, classes: Tensor, _: Layer) -> Tensor:
    """The gradient along the path from the mean picture (all zeros, normalised) to this one, times the difference
    (Sundararajan et al. 2017, Sec. 3), summed over channels; (N, 1, H, W). A map's sum is close to the difference of
    the scores at both ends.
    """
    integral = IntegratedGradients(model)
    return integral.attribute(images, target=classes, n_steps=STEPS, internal_batch_size=len(images)).sum(
        1, keepdim=True
    )


@torch.no_grad()
def occlusion(model: nn.Module, images: Tensor, classes: Tensor, _: Layer) -> Tensor:
    """How much the score falls when a patch turns mean grey (Zeiler and Fergus 2014, Sec. 4.2); (N, 1, H, W)."""
    stride = max(images.shape[-1] // PATCHES, 1)
    window = (3, 2 * stride, 2 * stride)
    falls: Tensor = Occlusion(model).attribute(images, window, (3, stride, stride), target=classes)
    return falls.sum(1, keepdim=True)


@dataclass(frozen=True)
class Method:
    """A way to make maps. `passes` is how often the net is run for it, whatever the number of pictures."""

    title: str
    source: str
    compute: Compute
    passes: int
    has_layer: bool = False
    signed: bool = False


METHODS: dict[str, Method] = {
    "grad_cam": Method("Grad-CAM", "Selvaraju et al. 2017", grad_cam, 1, has_layer=True, signed=True),
    "guided_grad_cam": Method(
        "Guided Grad-CAM", "Selvaraju et al. 2017", guided_grad_cam, 2, has_layer=True, signed=True
    ),
    "saliency": Method("Saliency", "Simonyan et al. 2014", saliency, 1),
    "smooth_grad": Method("SmoothGrad", "Smilkov et al. 2017", smooth_grad, NOISY),
    "integrated_gradients": Method(
        "Integrated Gradients", "Sundararajan et al. 2017", integrated_gradients, STEPS + 2, signed=True
    ),
    "occlusion": Method(
        "Occlusion", "Zeiler and Fergus 2014", occlusion, (PATCHES - 1) ** 2 + 1, signed=True
    ),
}


def stage_names(model: nn.Module) -> tuple[str, ...]:
    """The names of the model's stages in order, "layer1" first; none for a net that has no stages."""
    return tuple(name for name, _ in model.named_children() if re.fullmatch(r"layer\d+", name))


def find_layer(model: nn.Module, layer: Layer) -> nn.Module:
    """The module that `layer` means; see `attribute`."""
    if isinstance(layer, nn.Module):
        if not any(layer is module for module in model.modules()):
            raise ValueError(f"layer is a {type(layer).__name__} of another net; {_stages_in_words(model)}")
        return layer
    stages = stage_names(model)
    if layer is None and not stages:
        raise ValueError("this net has no stages; give layer a module or its path")
    name = stages[-1] if layer is None else layer
    # A pre-activation stage ends in a bare sum, and the norm and ReLU that belong to it come next: in the
    # stage after it, or before the pooling. Only there does 0 mean "not present", which Grad-CAM's weighted
    # sum takes for granted, so that is where a stage is read. The module itself gives the bare sum.
    if name in stages and hasattr(model, "relu_last"):
        following = stages.index(name) + 1
        name = f"{stages[following]}.0.relu1" if following < len(stages) else "relu_last"
    try:
        return model.get_submodule(name)
    except AttributeError:
        raise ValueError(f"layer is {layer!r}; {_stages_in_words(model)}") from None


def _stages_in_words(model: nn.Module) -> str:
    return f"it may be {', '.join(stage_names(model))}, or the path of another module of this net"


def _classes(model: nn.Module, images: Tensor, target: int | Tensor | None) -> Tensor:
    """One class a picture, int64 (N,)."""
    if target is None:
        with torch.no_grad():
            return model(images).argmax(1)
    classes = torch.as_tensor(target, device=images.device)
    if classes.is_floating_point() or classes.shape not in ((), (len(images),)):
        raise ValueError(
            f"target is {target!r}; it may be a class, or one for each of {len(images)} pictures"
        )
    # Asked here, because on a GPU an index out of range ends the process's use of it.
    head = getattr(model, "fc", None)
    last = head.out_features - 1 if isinstance(head, nn.Linear) else None
    if classes.numel() and (classes.min() < 0 or (last is not None and classes.max() > last)):
        raise ValueError(f"target is {target!r}; it may be 0 to {'the last class' if last is None else last}")
    return classes.long().expand(len(images))
