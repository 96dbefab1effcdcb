"""Recipes by name; each is a `TrainConfig` that can be edited before it is used."""

from __future__ import annotations

from resnet_lab.data import Augmentation
from resnet_lab.training.config import TrainConfig

_AS_DRAWN = Augmentation(crop_padding=0, flip=False)

_PAPER = TrainConfig(
    "resnet20",
    "cifar10",
    epochs=182,  # of 351 steps: 45,000 images in batches of 128, for 64k steps
    lr=0.1,
    nesterov=False,
    schedule="multistep",
    milestones=(91.2, 136.8),  # 32k and 48k steps
)

RECIPES: dict[str, TrainConfig] = {
    "quick": TrainConfig(
        "resnet20", epochs=4, batch_size=32, lr=0.1, weight_decay=5e-4, augmentation=_AS_DRAWN
    ),
    "race-32": TrainConfig("resnet32", epochs=4, lr=0.05, augmentation=_AS_DRAWN, precision="float32"),
    "race-56": TrainConfig("resnet56", epochs=6, lr=0.03, augmentation=_AS_DRAWN, precision="float32"),
    "paper-cifar": _PAPER,
    "paper-cifar-110": _PAPER.replace(variant="resnet110", warmup_accuracy=0.2),
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
    "guide": TrainConfig(
        "resnet18",
        image_size=256,
        train_limit=2000,
        epochs=10,
        batch_size=64,
        lr=0.05,
        schedule="cosine",
        clip_norm=1.0,
        augmentation=Augmentation(0, True, colour_jitter=0.2, scale_jitter=(1.0, 1.875), crop_size=224),
    ),
    "modern": TrainConfig(
        "resnet20",
        "cifar10",
        epochs=20,
        batch_size=256,
        lr=0.4,
        weight_decay=5e-4,
        label_smoothing=0.1,
        precision="bf16",
        channels_last=True,
    ),
    "finetune": TrainConfig(
        "resnet18",
        image_size=224,
        train_limit=1000,
        epochs=3,
        batch_size=32,
        lr=0.01,
        schedule="cosine",
        weights="imagenet",
        backbone_lr=0.1,
        augmentation=Augmentation(crop_padding=0, flip=True),
    ),
}

ABOUT = {
    "quick": "Past 95 % on the shapes, in less than a minute on two cores.",
    "race-32": "The race of the comparison page at 32 layers; try it with plain32.",
    "race-56": "The race of the comparison page at 56 layers; try it with plain56.",
    "paper-cifar": "He et al. 2015, Sec. 4.2: SGD, lr 0.1 divided by 10 at half and three quarters of 64k steps.",
    "paper-cifar-110": "The same for 110 layers, with a tenth of the rate until the training error is below 80 %.",
    "tutorial": "The teaching net's own: Adam 0.001, no augmentation, 100 epochs. Wants a GPU.",
    "guide": "224 px crops of a short side drawn from [256, 480], flip, colour jitter, clipping at norm 1, cosine.",
    "modern": "One-cycle, label smoothing, channels last, bfloat16.",
    "finetune": "ImageNet weights with a new head; the other layers learn at a tenth of its rate.",
}


def nearest_recipe(config: TrainConfig) -> str:
    """The name of the recipe from which `config` differs in the fewest fields."""
    return min(RECIPES, key=lambda name: len(config.changes_from(RECIPES[name])))
