"""Heat maps over images: one line of `METHODS` a method. Class activation maps are our own, the rest is Captum's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from captum.attr import GuidedGradCam, IntegratedGradients, Occlusion, Saliency
from torch import Tensor, nn

from resnet_lab.attribution.cam import Combine, cams, grad_cam, grad_cam_plus_plus, layer_cam
from resnet_lab.attribution.layers import Layer, find_layer
from resnet_lab.attribution.preserve_state import preserve_state

Compute = Callable[[nn.Module, Tensor, Tensor, Layer], Tensor]
OnPass = Callable[[], None]
NOISY = 24  # samples of SmoothGrad
NOISE = 0.15  # its standard deviation, as a part of the image's range (Smilkov et al. 2017, Sec. 3.1)
STEPS = 32  # of the path of Integrated Gradients
PATCHES = 16  # strides of the occluding patch along a side; it is two strides wide, so it has one place less


class Cancelled(Exception):
    """`on_pass` asked for an end; the model is as before."""


def attribute(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor | None = None,
    method: str = "grad_cam",
    layer: Layer = None,
    on_pass: OnPass | None = None,
) -> Tensor:
    """Where each image speaks for its class: 1 at the strongest place, 0 where it does not.

    `images`: float (N, 3, H, W), normalised, on the model's device. `target`: a class for all, classes int64
    (N,), or None for the predicted ones. `layer` is what Grad-CAM and its kin read: a stage ("layer3"), any module
    path, a module, or None for the last stage; methods without a layer take no notice of it. `on_pass` is called
    before each pass of the net, `METHODS[method].passes` times or so; what it raises ends the work.

    Works for models in train mode too, under no_grad and inference_mode, and leaves the model as it was
    (`preserve_state`). Returns float32 (N, H, W), coarse maps upsampled bilinearly. A map with nothing positive is
    all zeros.

    Raises:
        ValueError: an unknown method, layer or class, or images of another form; the message says what may be.
    """
    # The positive part is taken before the map is enlarged, as the Grad-CAM paper does.
    return _scaled(_raw(model, images, target, method, layer, on_pass).clamp_min(0), images)


def signed_attribute(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor | None = None,
    method: str = "grad_cam",
    layer: Layer = None,
    on_pass: OnPass | None = None,
) -> Tensor:
    """As `attribute`, with what speaks against the class below 0: -1 to 1, the strongest place at either end.

    Methods that cannot tell for from against (`METHODS[method].signed`) give what `attribute` gives.
    """
    raw = _raw(model, images, target, method, layer, on_pass)
    return _scaled(raw if METHODS[method].signed else raw.clamp_min(0), images)


def class_maps(
    model: nn.Module, images: Tensor, classes: Tensor, layers: Sequence[Layer], method: str = "grad_cam"
) -> Tensor:
    """Maps of several classes at several layers: one forward pass, and one backward pass a class for all layers.

    `images` as in `attribute`; `classes` int64 (K,), the same for all images, or (N, K). `method` is a class
    activation map (one with a `combine`). Returns float32 (N, K, layers, H, W), each map as `attribute` gives it.

    Raises:
        ValueError: as `attribute`.
    """
    combine = METHODS[method].combine if method in METHODS else None
    if combine is None:
        cams_only = [name for name, about in METHODS.items() if about.combine]
        raise ValueError(f"method is {method!r}; it may be {', '.join(cams_only)}")
    with _lent(model, images, None) as images:
        asked = classes.to(images.device).expand(len(images), -1)
        for column in asked.unbind(1):
            _checked(model, images, column)
        found = cams(model, images, asked, layers, combine)
    flat = [_scaled(maps.clamp_min(0).flatten(0, 1)[:, None], images) for maps in found]
    return torch.stack([maps.unflatten(0, asked.shape) for maps in flat], dim=2)


@contextmanager
def _lent(model: nn.Module, images: Tensor, on_pass: OnPass | None) -> Iterator[Tensor]:
    """The model, its state preserved, and images that can enter a backward pass."""
    if images.ndim != 4 or not images.is_floating_point() or not images.numel():
        raise ValueError(
            f"images are {images.dtype} {tuple(images.shape)}; they must be float (N, 3, H, W), none of these 0"
        )
    with preserve_state(model), torch.inference_mode(False), torch.enable_grad():
        if on_pass is not None:
            model.register_forward_pre_hook(lambda *_: on_pass())  # taken away by `preserve_state`
        yield images.detach().clone()  # what inference_mode made cannot enter a backward pass


def _raw(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor | None,
    method: str,
    layer: Layer,
    on_pass: OnPass | None,
) -> Tensor:
    """The method's own maps, float32 (N, 1, h, w)."""
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; it may be {', '.join(METHODS)}")
    about = METHODS[method]
    with _lent(model, images, on_pass) as images:
        classes = None if target is None else _checked(model, images, target)
        if about.combine is not None:  # finds the predicted class on its way
            asked = None if classes is None else classes[:, None]
            return cams(model, images, asked, [layer], about.combine)[0].float()
        if classes is None:
            with torch.no_grad():
                classes = model(images).argmax(1)
        assert about.compute is not None
        return about.compute(model, images, classes, layer).detach().float()


def _scaled(maps: Tensor, images: Tensor) -> Tensor:
    """(N, 1, h, w) → (N, H, W), the strongest place of each 1 or -1."""
    maps = F.interpolate(maps, images.shape[-2:], mode="bilinear").squeeze(1)
    peaks = maps.abs().amax(dim=(1, 2), keepdim=True)
    return maps / peaks.where(peaks > 0, 1.0)


def saliency(model: nn.Module, images: Tensor, classes: Tensor, layer: Layer) -> Tensor:
    """The largest absolute gradient over a pixel's channels (Simonyan et al. 2014, Sec. 3.1); (N, 1, H, W)."""
    images.requires_grad_()  # our own copy; Captum warns where it has to do this
    return Saliency(model).attribute(images, target=classes).amax(dim=1, keepdim=True)


def guided_grad_cam(model: nn.Module, images: Tensor, classes: Tensor, layer: Layer) -> Tensor:
    """Guided backpropagation times the upsampled Grad-CAM (Selvaraju et al. 2017, Sec. 3.2); (N, 1, H, W)."""
    guided = GuidedGradCam(model, find_layer(model, layer))
    return guided.attribute(images, target=classes, interpolate_mode="bilinear").sum(1, keepdim=True)


def smooth_grad(model: nn.Module, images: Tensor, classes: Tensor, _: Layer) -> Tensor:
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


def integrated_gradients(model: nn.Module, images: Tensor, classes: Tensor, _: Layer) -> Tensor:
    """The gradient along the path from the mean image (all zeros, normalised) to this one, times the difference
    (Sundararajan et al. 2017, Sec. 3), summed over channels; (N, 1, H, W). A map's sum is close to the difference of
    the scores at both ends.
    """
    integral = IntegratedGradients(model)
    return integral.attribute(images, target=classes, n_steps=STEPS, internal_batch_size=len(images)).sum(
        1, keepdim=True
    )


@torch.no_grad()
def occlusion(model: nn.Module, images: Tensor, classes: Tensor, _: Layer) -> Tensor:
    """How much the score falls when a patch turns mean grey (Zeiler and Fergus 2014, Sec. 4.2); (N, 1, H, W).

    Each side has its own stride, so that an oblong image takes no more passes than a square one.
    """
    strides = [math.ceil(side / PATCHES) for side in images.shape[-2:]]
    window = [min(2 * stride, side) for stride, side in zip(strides, images.shape[-2:], strict=True)]
    channels = images.shape[1]
    falls: Tensor = Occlusion(model).attribute(
        images, (channels, *window), (channels, *strides), target=classes
    )
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


def _checked(model: nn.Module, images: Tensor, target: int | Tensor) -> Tensor:
    """One class an image, int64 (N,)."""
    classes = torch.as_tensor(target, device=images.device)
    if classes.is_floating_point() or classes.shape not in ((), (len(images),)):
        raise ValueError(f"target is {target!r}; it may be a class, or one for each of {len(images)} images")
    # Asked here, because on a GPU an index out of range ends the process's use of it.
    head = getattr(model, "fc", None)
    last = head.out_features - 1 if isinstance(head, nn.Linear) else None
    if classes.numel() and (classes.min() < 0 or (last is not None and classes.max() > last)):
        raise ValueError(f"target is {target!r}; it may be 0 to {'the last class' if last is None else last}")
    return classes.long().expand(len(images))
