"""Nets from variants and specs, with fresh weights."""

from __future__ import annotations

import threading
from typing import Any

import torch

from resnet_lab.models.resnet import ResNet
from resnet_lab.models.spec import PLAIN, ModelSpec
from resnet_lab.models.variants import get_spec


def create_model(variant: str | ModelSpec, num_classes: int | None = None, **fields: Any) -> ResNet:
    """A freshly initialised net; `fields` replace fields of the variant's spec.

    >>> create_model("resnet50", num_classes=10, zero_init_residual=True)  # doctest: +SKIP

    Raises:
        ValueError: for an unknown variant or an impossible spec.
    """
    if num_classes is not None:
        fields["num_classes"] = num_classes
    return ResNet(get_spec(variant).replace(**fields))


_drawing = threading.Lock()  # the generator that it borrows is the process's


def init_model(variant: str | ModelSpec, seed: int = 0, num_classes: int | None = None) -> ResNet:
    """A net whose weights are a function of `seed`; the random state of the process stays as it was.

    Nets that differ only in their shortcuts share the weights of all layers on the main path, so that a race
    between them begins at one point: projections and gates are drawn after everything else.
    """
    spec = get_spec(variant)
    if num_classes is not None:
        spec = spec.replace(num_classes=num_classes)
    with _drawing, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if spec.is_plain or (spec.shortcut == "pad" and "gate" not in spec.join):
            return ResNet(spec)
        plain = ResNet(spec.replace(**PLAIN))
        model = ResNet(spec)
    for name in (*model.convolutions, "fc"):
        model.get_submodule(name).load_state_dict(plain.get_submodule(name).state_dict())
    return model


draw_model = init_model  # its former name, which other people's scripts have
