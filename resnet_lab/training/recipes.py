"""Recipes by name."""

from __future__ import annotations

from resnet_lab.data import Augmentation
from resnet_lab.training.config import TrainConfig

RECIPES: dict[str, TrainConfig] = {
    "quick": TrainConfig("resnet20", epochs=10, lr=0.1),
    "race": TrainConfig("resnet32", epochs=5, lr=0.05, augmentation=Augmentation(crop_padding=0, flip=False)),
}
