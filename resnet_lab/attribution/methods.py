"""Heat maps over pictures: one entry of `METHODS` a method, all computed by Captum."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam, Saliency
from torch import Tensor, nn

from resnet_lab.attribution.undisturbed import undisturbed

Layer = str | nn.Module | None
Method = Callable[[nn.Module, Tensor, Tensor, Layer], Tensor]


def attribute(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor | None = None,
    method: str = "grad_cam",
    layer: Layer = None,
) -> Tensor:
    """Where each picture speaks for its class: 1 at the strongest place, 0 where it does not.

    `images`: float (N, 3, H, W), normalised, on the model's device. `target`: a class for all, classes int64
    (N,), or None for the predicted ones. `layer` is what Grad-CAM reads: a stage ("layer3"), any module path,
    a module, or None for the last stage; the other methods have none.

    Works for models in train mode too, under no_grad and inference_mode, and leaves the model as it was
    (`undisturbed`). Returns float32 (N, H, W), coarse maps upsampled bilinearly. A map with nothing positive is
    all zeros.

    Raises:
        ValueError: an unknown method, layer or class, or images of another form; the message says what may be.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; it may be {', '.join(METHODS)}")
    if images.ndim != 4 or not images.is_floating_point():
        raise ValueError(f"images are {images.dtype} {tuple(images.shape)}; they must be float (N, 3, H, W)")
    with undisturbed(model), torch.inference_mode(False), torch.enable_grad():
        images = images.detach().clone()  # what inference_mode made cannot enter a backward pass
        maps = METHODS[method](model, images, _classes(model, images, target), layer)  # (N, 1, h, w)
    maps = F.interpolate(maps.detach().float(), images.shape[-2:], mode="bilinear").squeeze(1)
    peaks = maps.amax(dim=(1, 2), keepdim=True)
    return maps / peaks.where(peaks > 0, 1.0)


def grad_cam(model: nn.Module, images: Tensor, classes: Tensor, layer: Layer) -> Tensor:
    """Feature maps weighted by their mean gradient, summed, positive part (Selvaraju et al. 2017, Eq. 1–2).

    Returns (N, 1, h, w), as large as the layer's feature maps.
    """
    cam = LayerGradCam(model, find_layer(model, layer))
    maps: Tensor = cam.attribute(images, target=classes, relu_attributions=True)
    if maps.ndim != 4:
        raise ValueError(f"layer {layer!r} has no feature maps (N, C, h, w); {_stages_in_words(model)}")
    return maps


def saliency(model: nn.Module, images: Tensor, classes: Tensor, layer: Layer) -> Tensor:
    """The largest absolute gradient over a pixel's channels (Simonyan et al. 2014, Sec. 3.1); (N, 1, H, W)."""
    images.requires_grad_()  # our own copy; Captum warns where it has to do this
    return Saliency(model).attribute(images, target=classes).amax(dim=1, keepdim=True)


METHODS: dict[str, Method] = {"grad_cam": grad_cam, "saliency": saliency}


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
