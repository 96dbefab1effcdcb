"""The same net with or without shortcuts."""

from __future__ import annotations

from resnet_lab.models import VARIANTS, ModelSpec


def twin_of(spec: ModelSpec) -> ModelSpec:
    """The plain twin of a residual net, or the residual one of a plain net; a named variant where there is one.

    A plain net gains the shortcuts of its family: option A for CIFAR nets, else option B.
    """
    if spec.is_plain:
        twin = spec.replace(shortcut="pad" if spec.stem == "cifar" else "projection")
    else:
        twin = spec.replace(shortcut="none", extra_projections=())
    for variant in VARIANTS.values():
        if variant == twin.replace(name=variant.name, num_classes=variant.num_classes):
            return twin.replace(name=variant.name)
    return twin.replace(name=f"{spec.name} {'with' if spec.is_plain else 'without'} shortcuts")
