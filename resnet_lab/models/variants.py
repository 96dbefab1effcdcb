"""Every variant of the lab: one line of data each."""

from __future__ import annotations

import reprlib
from typing import Any

from resnet_lab.models.spec import ModelSpec

BASIC, BOTTLENECK = (3, 3), (1, 3, 1)


def _cifar(name: str, layers: int, **fields: Any) -> ModelSpec:
    """He et al. 2015, Sec. 4.2: 6n + 2 layers (9n + 2 with Bottlenecks), 16-32-64 planes, 3×3 stem."""
    fields = {"shortcut": "pad", "block": BASIC, **fields}
    n = (layers - 2) // (3 * len(fields["block"]))
    return ModelSpec(name, blocks=(n, n, n), width=16, stem="cifar", num_classes=10, **fields)


_TUTORIAL_PROJECTIONS = ((), (3,), (3, 4, 5), (1, 2))  # beyond the first block of each stage

_TORCHVISION = [  # which has ImageNet weights for them
    ModelSpec("resnet18", BASIC, (2, 2, 2, 2)),
    ModelSpec("resnet34", BASIC, (3, 4, 6, 3)),
    ModelSpec("resnet50", BOTTLENECK, (3, 4, 6, 3)),
    ModelSpec("resnet101", BOTTLENECK, (3, 4, 23, 3)),
    ModelSpec("resnet152", BOTTLENECK, (3, 8, 36, 3)),
    ModelSpec("resnext50_32x4d", BOTTLENECK, (3, 4, 6, 3), groups=32, width_per_group=4),
    ModelSpec("resnext101_32x8d", BOTTLENECK, (3, 4, 23, 3), groups=32, width_per_group=8),
    ModelSpec("wide_resnet50_2", BOTTLENECK, (3, 4, 6, 3), width_per_group=128),
    ModelSpec("wide_resnet101_2", BOTTLENECK, (3, 4, 23, 3), width_per_group=128),
]
_OTHERS = [
    ModelSpec("plain18", BASIC, (2, 2, 2, 2), shortcut="none"),
    ModelSpec("plain34", BASIC, (3, 4, 6, 3), shortcut="none"),
    ModelSpec("plain50", BOTTLENECK, (3, 4, 6, 3), shortcut="none"),
    *[_cifar(f"resnet{layers}", layers) for layers in (20, 32, 44, 56, 110, 1202)],
    *[_cifar(f"plain{layers}", layers, shortcut="none") for layers in (20, 32, 44, 56, 110)],
    *[_cifar(f"preact_resnet{layers}", layers, preactivation=True) for layers in (20, 56, 110)],
    _cifar("preact_resnet164", 164, preactivation=True, block=BOTTLENECK, shortcut="projection"),
    ModelSpec("tutorial_resnet50", BOTTLENECK, (3, 4, 6, 3), stem="tutorial", conv_bias=True, num_classes=10,
              extra_projections=_TUTORIAL_PROJECTIONS),
]  # fmt: skip

VARIANTS: dict[str, ModelSpec] = {spec.name: spec for spec in [*_TORCHVISION, *_OTHERS]}
IMAGENET_WEIGHTS = tuple(spec.name for spec in _TORCHVISION)


def get_spec(variant: str | ModelSpec) -> ModelSpec:
    """The spec of a variant's name; a spec passes through.

    Raises:
        ValueError: for a name that is no variant.
    """
    if isinstance(variant, ModelSpec):
        return variant
    if variant not in VARIANTS:
        raise ValueError(f"variant is {reprlib.repr(variant)}; it may be {', '.join(VARIANTS)}")
    return VARIANTS[variant]


def default_input_size(variant: str | ModelSpec) -> int:
    """The side of the images that the paper used this net on: 32 for CIFAR nets, else 224."""
    return 32 if get_spec(variant).stem in ("cifar", "tutorial") else 224
