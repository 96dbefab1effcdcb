"""Heat maps over images, by any of `METHODS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_lab.attribution.cam import cams
from resnet_lab.attribution.layers import TargetLayer
from resnet_lab.attribution.methods import METHODS
from resnet_lab.attribution.preserve_state import preserve_state

OnPass = Callable[[], None]


class Cancelled(Exception):
    """`on_pass` asked for an end; the model is as before."""


def attribute(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor | None = None,
    method: str = "grad_cam",
    layer: TargetLayer = None,
    on_pass: OnPass | None = None,
    signed: bool = False,
) -> Tensor:
    """Where each image speaks for its class: 1 at the strongest place, 0 where it does not.

    `images`: float (N, 3, H, W), normalised, on the model's device. `target`: a class for all, classes int64
    (N,), or None for the predicted ones. `layer` is what Grad-CAM and its kin read: a stage ("layer3"), any module
    path, a module, or None for the last stage; methods without a layer take no notice of it. `on_pass` is called
    before each pass of the net, `METHODS[method].passes` times or so; what it raises ends the work. `signed` keeps
    what speaks against the class, down to -1, where the method can tell (`METHODS[method].signed`).

    Works for models in train mode too, under no_grad and inference_mode, and leaves the model as it was
    (`preserve_state`). Returns float32 (N, H, W), coarse maps upsampled bilinearly. A map with nothing positive is
    all zeros.

    Raises:
        ValueError: an unknown method, layer or class, or images of another form; the message says what may be.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; it may be {', '.join(METHODS)}")
    about = METHODS[method]
    with _lent(model, images, on_pass) as images:
        classes = None if target is None else _checked(model, images, target)
        if about.combine is not None:  # finds the predicted class on its way
            asked = None if classes is None else classes[:, None]
            raw = cams(model, images, asked, [layer], about.combine)[0].float()
        else:
            if classes is None:
                with torch.no_grad():
                    classes = model(images).argmax(1)
            assert about.compute is not None
            raw = about.compute(model, images, classes, layer).detach().float()
    # The positive part is taken before the map is enlarged, as the Grad-CAM paper does.
    return _scaled(raw if signed and about.signed else raw.clamp_min(0), images)


signed_attribute = partial(attribute, signed=True)


def class_maps(
    model: nn.Module, images: Tensor, classes: Tensor, layers: Sequence[TargetLayer], method: str = "grad_cam"
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


def _scaled(maps: Tensor, images: Tensor) -> Tensor:
    """(N, 1, h, w) → (N, H, W), the strongest place of each 1 or -1."""
    maps = F.interpolate(maps, images.shape[-2:], mode="bilinear").squeeze(1)
    peaks = maps.abs().amax(dim=(1, 2), keepdim=True)
    return maps / peaks.where(peaks > 0, 1.0)


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
