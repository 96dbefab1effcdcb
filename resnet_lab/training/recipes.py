"""Recipes by name; each is a `TrainConfig` that can be edited before it is used."""

from __future__ import annotations

from resnet_lab.data import Augmentation
from resnet_lab.training.config import TrainConfig

_AS_DRAWN = Augmentation(crop_padding=0, flip=False)

RECIPES: dict[str, TrainConfig] = {
    "quick": TrainConfig("resnet20", epochs=10, lr=0.1),
    "race-32": TrainConfig("resnet32", epochs=4, lr=0.05, augmentation=_AS_DRAWN),
    "race-56": TrainConfig("resnet56", epochs=6, lr=0.03, augmentation=_AS_DRAWN),
    "cifar": TrainConfig(
        "resnet20",
        "cifar10",
        epochs=160,
        lr=0.1,
        nesterov=False,
        schedule="multistep",
        milestones=(80.0, 120.0),
    ),
    "tutorial": TrainConfig(
        "tutorial_resnet50",
        "cifar10",
        epochs=100,
        optimizer="adam",
        lr=1e-3,
        weight_decay=0.0,
        schedule="constant",
        augmentation=_AS_DRAWN,
    ),
}

ABOUT = {
    "quick": "About 80 s on two cores; past 95 % on the shapes.",
    "race-32": "The race of the comparison page at 32 layers; try it with plain32.",
    "race-56": "The race of the comparison page at 56 layers; try it with plain56.",
    "cifar": "He et al. 2015, Sec. 4.2: SGD, lr 0.1 divided by 10 at half and three quarters of 64k steps.",
    "tutorial": "The teaching net's own: Adam 0.001, no augmentation, 100 epochs. Wants a GPU.",
}

PAIRS = (20, 32, 56)  # depths whose residual and plain nets race each other


def race(depth: int, dataset: str = "shapes", seed: int = 0) -> tuple[TrainConfig, TrainConfig]:
    """The pair resnet-n and plain-n: same seed, batches in the same order, same recipe.

    The settings are those that showed the difference best on `shapes` (docs/performance.md).
    """
    base = RECIPES["race-56" if depth > 44 else "race-32"].replace(dataset=dataset, seed=seed)
    return base.replace(variant=f"resnet{depth}"), base.replace(variant=f"plain{depth}")
