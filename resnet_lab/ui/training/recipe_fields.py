"""The settings of a recipe that most people leave alone, as widgets: inside "More settings"."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from resnet_lab.data import Augmentation
from resnet_lab.training import TrainConfig
from resnet_lab.ui.common import fields

MORE = "training.more."  # how the keys of these widgets begin
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
SCHEDULES = {
    "constant": "Constant",
    "step": "Step",
    "multistep": "Multi-step",
    "cosine": "Cosine",
    "onecycle": "One-cycle",
}
PRECISIONS = {"auto": "Auto", "float32": "float32", "tf32": "TF32", "bf16": "bfloat16", "fp16": "float16"}
LAYOUTS = {None: "Auto", False: "Channels first", True: "Channels last"}
SWITCH = {None: "Auto", False: "Off", True: "On"}


def more_fields(base: TrainConfig) -> dict[str, Any]:
    """The fields that the widgets ask for; those that have none, or none at present, keep the values of `base`."""
    return _optimization(base) | _data(base) | _execution(base)


def _of(base: TrainConfig, place: Any, kind: Any, name: str, **more: Any) -> dict[str, Any]:
    """The field of that name, by a widget of that kind."""
    return {name: kind(place, TrainConfig, name, getattr(base, name), MORE + name, **more)}


def _optimization(base: TrainConfig) -> dict[str, Any]:
    left, right = st.columns(2)
    add = partial(_of, base)
    found = add(left, fields.number, "batch_size")
    found |= add(right, fields.choice, "optimizer", labels=OPTIMIZERS)
    found |= add(left, fields.choice, "schedule", labels=SCHEDULES)
    found |= add(right, fields.number, "weight_decay")
    if found["optimizer"] == "sgd":
        found |= add(left, fields.number, "momentum")
        found |= add(right, fields.toggle, "nesterov")
    if found["schedule"] == "step":
        found |= add(left, fields.number, "step_epochs")
    if found["schedule"] == "multistep":
        found |= add(left, fields.numbers, "milestones", placeholder="half and three quarters")
    if found["schedule"] in ("step", "multistep"):
        found |= add(right, fields.number, "gamma")
    if found["schedule"] != "onecycle":
        found |= add(left, fields.number, "warmup_epochs")
    found |= add(left, fields.number, "warmup_accuracy", placeholder="none")
    found |= add(right, fields.number, "clip_norm", placeholder="never")
    found |= add(left, fields.number, "label_smoothing")
    found |= add(right, fields.number, "micro_batch", placeholder="whole batch")
    return found


def _data(base: TrainConfig) -> dict[str, Any]:
    """What happens to the images, and with which weights the net begins."""
    found: dict[str, Any] = {"augmentation": _augmentation(base.augmentation)}
    add = partial(_of, base)
    found |= add(st, fields.numbers, "test_scales", placeholder="one view")
    left, right = st.columns(2)
    found |= add(left, fields.number, "train_limit", placeholder="all")
    found |= add(right, fields.number, "image_size", placeholder="as the data")
    found |= add(left, fields.text, "weights", placeholder="fresh")
    found |= add(right, fields.number, "val_fraction")
    found |= add(left, fields.number, "backbone_lr")
    return found


def _augmentation(was: Augmentation) -> Augmentation | dict[str, Any]:
    """As an object where it is none that can be: the config then says why."""
    left, right = st.columns(2)
    found: dict[str, Any] = {}
    for place, kind, name, more in (
        (left, fields.number, "crop_padding", {}),
        (right, fields.number, "crop_size", {"placeholder": "whole"}),
        (left, fields.number, "colour_jitter", {}),
        (right, fields.toggle, "flip", {}),
    ):
        found[name] = kind(place, Augmentation, name, getattr(was, name), MORE + name, **more)
    low, high = (
        place.number_input(
            f"Enlarge {end}", 1.0, 4.0, value, format="%.4g", placeholder="not", key=f"{MORE}enlarge_{end}"
        )
        for place, end, value in zip(
            (left, right), ("from", "to"), was.scale_jitter or (None, None), strict=True
        )
    )
    given = low is not None or high is not None
    return {**found, "scale_jitter": (1.0 if low is None else low, high) if given else None}


def _execution(base: TrainConfig) -> dict[str, Any]:
    """How it is computed."""
    left, right = st.columns(2)
    add = partial(_of, base)
    found = add(left, fields.number, "seed")
    found |= add(right, fields.choice, "precision", labels=PRECISIONS)
    found |= add(left, fields.choice, "channels_last", labels=LAYOUTS)
    found |= add(right, fields.choice, "compile", labels=SWITCH)
    found |= add(left, fields.toggle, "deterministic")
    found |= add(left, fields.number, "checkpoint_minutes")
    return found
