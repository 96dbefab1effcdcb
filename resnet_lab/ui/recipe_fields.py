"""The settings of a recipe that most people leave alone, as widgets: inside "More settings"."""

from __future__ import annotations

from typing import Any

import streamlit as st

from resnet_lab.data import Augmentation
from resnet_lab.training import TrainConfig

OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
SCHEDULES = {
    "constant": "Constant",
    "step": "Step",
    "multistep": "Multi-step",
    "cosine": "Cosine",
    "onecycle": "One-cycle",
}
PRECISIONS = {"auto": "Auto", "float32": "float32", "bf16": "bfloat16", "fp16": "float16"}
LAYOUTS = {None: "Auto", False: "Channels first", True: "Channels last"}
SWITCH = {None: "Auto", False: "Off", True: "On"}


def optimization_fields(base: TrainConfig) -> dict[str, Any]:
    """Optimizer, schedule, batch."""
    left, right = st.columns(2)
    fields: dict[str, Any] = {
        "batch_size": left.number_input("Batch size", 1, None, base.batch_size, key="more.batch"),
        "optimizer": right.selectbox(
            "Optimizer",
            list(OPTIMIZERS),
            list(OPTIMIZERS).index(base.optimizer),
            OPTIMIZERS.__getitem__,
            key="more.optimizer",
        ),
        "schedule": left.selectbox(
            "Schedule",
            list(SCHEDULES),
            list(SCHEDULES).index(base.schedule),
            SCHEDULES.__getitem__,
            key="more.schedule",
        ),
        "weight_decay": right.number_input(
            "Weight decay", 0.0, None, base.weight_decay, format="%.4g", key="more.decay"
        ),
    }
    if fields["optimizer"] == "sgd":
        fields["momentum"] = left.number_input("Momentum", 0.0, 1.0, base.momentum, key="more.momentum")
        fields["nesterov"] = (
            right.toggle("Nesterov", base.nesterov, key="more.nesterov") and fields["momentum"] > 0
        )
    if fields["schedule"] == "step":
        fields["step_epochs"] = left.number_input(
            "Every (epochs)", 0.0, None, base.step_epochs, key="more.every"
        )
    if fields["schedule"] == "multistep":
        text = left.text_input("At epochs", ", ".join(map(str, base.milestones)), key="more.milestones")
        fields["milestones"] = tuple(_number(part) for part in text.split(",") if part.strip())
    if fields["schedule"] in ("step", "multistep"):
        fields["gamma"] = right.number_input("Factor", 0.0, 1.0, base.gamma, key="more.gamma")
    if fields["schedule"] != "onecycle":
        fields["warmup_epochs"] = left.number_input(
            "Warm-up (epochs)", 0.0, None, base.warmup_epochs, key="more.warmup"
        )
    clip = right.number_input(
        "Clip gradient norm at", 0.0, None, base.clip_norm, placeholder="never", key="more.clip"
    )
    smoothing = left.number_input("Label smoothing", 0.0, 0.9, base.label_smoothing, key="more.smoothing")
    micro = right.number_input(
        "Micro-batch", 1, None, base.micro_batch, placeholder="whole batch", key="more.micro",
        help="So many pictures pass through the net at once; gradients add up to those of the batch. BN sees these.",
    )  # fmt: skip
    return {**fields, "clip_norm": clip, "label_smoothing": smoothing, "micro_batch": micro}


def data_fields(base: TrainConfig) -> dict[str, Any]:
    """What happens to the pictures."""
    left, right = st.columns(2)
    was = base.augmentation
    crop = left.number_input("Pad and crop (px)", 0, 64, was.crop_padding, key="more.crop")
    side = right.number_input(
        "Cut to (px)", 8, None, was.crop_size, placeholder="whole", key="more.cut",
        help="Training: anywhere. Validation and test: the middle.",
    )  # fmt: skip
    jitter = left.number_input("Colour jitter", 0.0, 1.0, was.colour_jitter, key="more.jitter")
    scale = right.number_input(
        "Enlarge up to", 1.0, 4.0, was.scale_jitter[1] if was.scale_jitter else 1.0, key="more.scale",
        help="Each picture by its own factor from 1 to this; 1.875 is a short side from 256 to 480.",
    )  # fmt: skip
    flip = left.toggle("Horizontal flip", was.flip, key="more.flip")
    scales = st.text_input(
        "Test at several sides (px)", ", ".join(map(str, base.test_scales)), placeholder="one view",
        key="more.scales", help="Probabilities are averaged over them, e.g. 224, 256, 384.",
    )  # fmt: skip
    left, right = st.columns(2)
    return {
        "augmentation": Augmentation(crop, flip, jitter, (1.0, scale) if scale > 1 else None, side),
        "test_scales": tuple(_whole(part) for part in scales.split(",") if part.strip()),
        "image_size": right.number_input(
            "Picture side (px)", 1, None, base.image_size, placeholder="as the data", key="more.size"
        ),
        "train_limit": left.number_input(
            "Use only (pictures)", 1, None, base.train_limit, placeholder="all", key="more.limit"
        ),
        "val_fraction": right.number_input(
            "Held out for validation", 0.01, 0.9, base.val_fraction, key="more.val"
        ),
        **_start(base, left, right),
    }


def _start(base: TrainConfig, left: Any, right: Any) -> dict[str, Any]:
    """With which weights it begins."""
    weights = left.text_input(
        "Begin with weights", base.weights, placeholder="fresh", key="more.weights",
        help="“imagenet” for torchvision's, or the path of a file; the head is drawn afresh where it differs.",
    )  # fmt: skip
    rate = right.number_input(
        "Rate of the backbone", 0.0, 1.0, base.backbone_lr, key="more.backbone",
        help="A factor on the learning rate of all layers but the head; 0 freezes them.",
    )  # fmt: skip
    return {"weights": weights or None, "backbone_lr": rate}


def execution_fields(base: TrainConfig) -> dict[str, Any]:
    """How it is computed. Auto: a few timed steps at the start choose."""
    left, right = st.columns(2)
    auto = "Auto: the first steps are timed, and the fastest sound way is kept."
    fields: dict[str, Any] = {"seed": left.number_input("Seed", 0, None, base.seed, key="more.seed")}
    for place, name, title, labels in (
        (right, "precision", "Precision", PRECISIONS),
        (left, "channels_last", "Memory format", LAYOUTS),
        (right, "compile", "Compile", SWITCH),
    ):
        options = list(labels)
        index = options.index(getattr(base, name))
        fields[name] = place.selectbox(
            title, options, index, labels.__getitem__, key=f"more.{name}", help=auto
        )
    fields["deterministic"] = st.toggle(
        "Deterministic", base.deterministic, key="more.deterministic",
        help="The same numbers bit for bit each time on this machine; auto then means float32, not compiled.",
    )  # fmt: skip
    fields["checkpoint_minutes"] = left.number_input(
        "Checkpoint every (min)", 0.05, None, base.checkpoint_minutes, key="more.minutes"
    )
    return fields


def _whole(text: str) -> float:
    """A number that is not whole stays one: `TrainConfig` then says so."""
    number = _number(text)
    return int(number) if number == number and number == int(number) else number


def _number(text: str) -> float:
    """NaN for what is no number: `TrainConfig` then says so."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
