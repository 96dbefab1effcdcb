"""The settings of a recipe that most people leave alone, as widgets: inside "More settings"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import streamlit as st

from resnet_lab.data import Augmentation
from resnet_lab.schema import Record
from resnet_lab.training import TrainConfig
from resnet_lab.training.config import Schedule
from resnet_lab.ui.common import fields

MORE = "training.more."  # how the keys of these widgets begin
SCHEDULES = {name: name.capitalize() for name in get_args(Schedule)}
SCHEDULES |= {"multistep": "Multi-step", "onecycle": "One-cycle"}
PRECISIONS = {"auto": "Auto", "float32": "float32", "tf32": "TF32", "bf16": "bfloat16", "fp16": "float16"}
LOOKS: dict[str, dict[str, Any]] = {  # of fields with more than what the class says
    "optimizer": {"labels": {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}},
    "schedule": {"labels": SCHEDULES},
    "milestones": {"placeholder": "half and three quarters"},
    "warmup_accuracy": {"placeholder": "none"},
    "clip_norm": {"placeholder": "never"},
    "micro_batch": {"placeholder": "whole batch"},
    "crop_size": {"placeholder": "whole"},
    "test_scales": {"placeholder": "one view"},
    "train_limit": {"placeholder": "all"},
    "image_size": {"placeholder": "as the data"},
    "weights": {"placeholder": "fresh"},
    "precision": {"labels": PRECISIONS},
    "channels_last": {"labels": {None: "Auto", False: "Channels first", True: "Channels last"}},
    "compile": {"labels": {None: "Auto", False: "Off", True: "On"}},
}


def more_fields(base: TrainConfig) -> dict[str, Any]:
    """The fields that the widgets ask for; those that have none, or none at present, keep the values of `base`."""
    places = st.columns(2)
    found = _ask(base, places, ["batch_size", "schedule"], ["optimizer", "weight_decay"])
    has_momentum, warms_up = found["optimizer"] == "sgd", found["schedule"] != "onecycle"
    falls = {"step": ["step_epochs"], "multistep": ["milestones"]}.get(found["schedule"], [])
    left = ["momentum"] * has_momentum + falls + ["warmup_epochs"] * warms_up
    right = ["nesterov"] * has_momentum + ["gamma"] * len(falls)
    found |= _ask(
        base, places, [*left, "warmup_accuracy", "label_smoothing"], [*right, "clip_norm", "micro_batch"]
    )
    found["augmentation"] = _augmentation(base.augmentation)
    found |= _ask(base, [st], ["test_scales"])
    found |= _ask(
        base, st.columns(2), ["train_limit", "weights", "backbone_lr"], ["image_size", "val_fraction"]
    )
    left, right = ["seed", "channels_last", "deterministic", "checkpoint_minutes"], ["precision", "compile"]
    return found | _ask(base, st.columns(2), left, right)


def _ask(base: Record, places: Sequence[Any], *names: Sequence[str]) -> dict[str, Any]:
    """These fields of `base`, those of each place below each other."""
    return {
        name: fields.ask(place, type(base), name, getattr(base, name), MORE + name, **LOOKS.get(name, {}))
        for place, column in zip(places, names, strict=True)
        for name in column
    }


def _augmentation(was: Augmentation) -> Augmentation | dict[str, Any]:
    """As an object where it is none that can be: the config then says why."""
    places = st.columns(2)
    found = _ask(was, places, ["crop_padding", "colour_jitter"], ["crop_size", "flip"])
    low, high = (
        place.number_input(
            f"Enlarge {end}", 1.0, 4.0, value, format="%.4g", placeholder="not", key=f"{MORE}enlarge_{end}"
        )
        for place, end, value in zip(places, ("from", "to"), was.scale_jitter or (None, None), strict=True)
    )
    given = low is not None or high is not None
    return {**found, "scale_jitter": (1.0 if low is None else low, high) if given else None}
