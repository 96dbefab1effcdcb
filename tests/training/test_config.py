import math

import pytest

from resnet_lab.data import Augmentation
from resnet_lab.models import ModelSpec
from resnet_lab.training import RECIPES, TrainConfig
from resnet_lab.training.recipes import ABOUT


@pytest.mark.parametrize(
    "config",
    [
        *RECIPES.values(),
        TrainConfig(ModelSpec("mine", blocks=(1, 2), width=8), milestones=(1.0, 2.5), clip_norm=1.0),
        TrainConfig(augmentation=Augmentation(scale_jitter=(1.0, 1.5), colour_jitter=0.2)),
    ],
)
def test_json_round_trip(config):
    assert TrainConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"variant": "resnet19"}, "variant"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": 1.5}, "epochs"),
        ({"batch_size": 1}, "batch_size"),
        ({"lr": 0}, "lr"),
        ({"lr": math.nan}, "lr"),
        ({"lr": math.inf}, "lr"),
        ({"lr": -0.1}, "lr"),
        ({"momentum": 1.0}, "momentum"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"optimizer": "lion"}, "optimizer"),
        ({"schedule": "linear"}, "schedule"),
        ({"precision": "int8"}, "precision"),
        ({"gamma": 0}, "gamma"),
        ({"milestones": (-1,)}, "milestones"),
        ({"milestones": (math.nan,)}, "milestones"),
        ({"clip_norm": 0}, "clip_norm"),
        ({"val_fraction": 0}, "val_fraction"),
        ({"label_smoothing": 1}, "label_smoothing"),
        ({"image_size": 4}, "image_size"),
        ({"seed": -1}, "seed"),
        ({"momentum": 0.0}, "nesterov"),
        ({"channels_last": "yes"}, "channels_last"),
        ({"compile": True, "deterministic": True}, "compile"),
        ({"deterministic": None}, "deterministic"),
        ({"test_scales": (4,)}, "test_scales"),
        ({"test_scales": [32]}, "test_scales"),
        ({"milestones": "80"}, "milestones"),
        ({"backbone_lr": 2.0}, "backbone_lr"),
        ({"backbone_lr": 0.0}, "backbone_lr"),
        ({"weights": ""}, "weights"),
        ({"warmup_accuracy": 1.5}, "warmup_accuracy"),
        ({"checkpoint_minutes": 0}, "checkpoint_minutes"),
        ({"augmentation": None}, "augmentation"),
        ({"dataset": None}, "dataset"),
    ],
)
def test_impossible_values_name_the_field(fields, named):
    with pytest.raises(ValueError, match=rf"^{named} is .*(may be|needs)"):
        TrainConfig(**fields)


def test_unknown_field():
    with pytest.raises(ValueError, match="unknown field 'layers'"):
        TrainConfig.from_dict({"layers": 3})


def test_every_recipe_is_explained():
    assert ABOUT.keys() == RECIPES.keys()
