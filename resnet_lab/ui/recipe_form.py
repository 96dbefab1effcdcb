"""The form over `TrainConfig` on the training page."""

from __future__ import annotations

from typing import Any

import streamlit as st

from resnet_lab.data import DATASETS, Augmentation, is_downloaded
from resnet_lab.models import VARIANTS, ModelSpec
from resnet_lab.models.links import spec_from_link
from resnet_lab.training import RECIPES, TrainConfig
from resnet_lab.training.recipes import ABOUT
from resnet_lab.ui.text import plain

FOLDER = "folder"
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
SCHEDULES = {
    "constant": "Constant",
    "step": "Step",
    "multistep": "Multi-step",
    "cosine": "Cosine",
    "onecycle": "One-cycle",
}
PRECISIONS = {"auto": "Auto", "float32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def recipe_form() -> TrainConfig | str:
    """Draws the form; returns what it asks for, or one sentence that says what is wrong with it."""
    st.selectbox("Recipe", list(RECIPES), key="recipe", bind="query-params", on_change=_apply_recipe)
    base = RECIPES[st.session_state["recipe"]]
    st.caption(ABOUT[st.session_state["recipe"]])
    left, right = st.columns(2)
    nets = {**VARIANTS, **_own_net()}
    net = left.selectbox(
        "Net", list(nets), list(nets).index(base.spec.name), key="model", bind="query-params"
    )
    variant = net if net in VARIANTS else nets[net]
    sets = [*DATASETS, FOLDER]
    dataset = right.selectbox("Data", sets, sets.index(base.dataset), key="dataset", bind="query-params")
    if dataset == FOLDER:
        help_text = "Holds train/<class>/* and test/<class>/*, or class folders alone."
        path = st.text_input("Folder", "data/cifar10-jpeg", key="folder", bind="query-params", help=help_text)
        dataset = f"folder:{path}"
    else:
        st.caption(_about_data(dataset))
    left, right = st.columns(2)
    epochs = left.number_input("Epochs", 1, None, base.epochs, key="epochs", bind="query-params")
    lr = right.number_input(
        "Learning rate", 0.0, None, base.lr, format="%.4g", step=0.01, key="lr", bind="query-params"
    )
    fields: dict[str, Any] = {"variant": variant, "dataset": dataset, "epochs": epochs, "lr": lr}
    with st.expander("More settings"):
        fields |= _optimization(base) | _data(base) | _execution(base)
    try:
        return TrainConfig(**fields)
    except ValueError as error:
        return f"{error}."


def _own_net() -> dict[str, ModelSpec]:
    """The net that was built on the architecture page, by name: the link's, or this session's."""
    query = st.query_params
    link = query.get("spec") or st.session_state.get("built", "")
    if not link:
        return {}
    try:
        spec = spec_from_link(link)
    except ValueError as error:
        st.error(f"The net in this link cannot be read: {plain(str(error))}.")
        query.pop("spec", None)
        return {}
    if spec.name in VARIANTS and spec != VARIANTS[spec.name]:
        spec = spec.replace(name=f"my_{spec.name}")  # it must not be taken for the variant
    if "spec" in query and "model" not in query:  # the link came for this net
        st.session_state["model"] = spec.name
    return {spec.name: spec} if spec.name not in VARIANTS else {}


def _about_data(name: str) -> str:
    """One line on the data set, and what it costs to get it."""
    info = DATASETS[name]
    return info.note + ("" if is_downloaded(name) else f" {info.download_mb:,} MB are downloaded first.")


def _apply_recipe() -> None:
    """A new recipe sets every widget to its values."""
    recipe = RECIPES[st.session_state["recipe"]]
    st.session_state["model"] = recipe.spec.name
    for name in ("dataset", "epochs", "lr"):
        st.session_state[name] = getattr(recipe, name)
    for key in [key for key in st.session_state if str(key).startswith("more.")]:
        del st.session_state[key]


def _optimization(base: TrainConfig) -> dict[str, Any]:
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


def _data(base: TrainConfig) -> dict[str, Any]:
    left, right = st.columns(2)
    crop = left.number_input("Pad and crop (px)", 0, 64, base.augmentation.crop_padding, key="more.crop")
    jitter = right.number_input("Colour jitter", 0.0, 1.0, base.augmentation.colour_jitter, key="more.jitter")
    flip = left.toggle("Horizontal flip", base.augmentation.flip, key="more.flip")
    return {
        "augmentation": Augmentation(crop_padding=crop, flip=flip, colour_jitter=jitter),
        "image_size": right.number_input(
            "Picture side (px)", 1, None, base.image_size, placeholder="as the data", key="more.size"
        ),
        "train_limit": left.number_input(
            "Use only (pictures)", 1, None, base.train_limit, placeholder="all", key="more.limit"
        ),
        "val_fraction": right.number_input(
            "Held out for validation", 0.01, 0.9, base.val_fraction, key="more.val"
        ),
    }


def _execution(base: TrainConfig) -> dict[str, Any]:
    left, right = st.columns(2)
    return {
        "seed": left.number_input("Seed", 0, None, base.seed, key="more.seed"),
        "precision": right.selectbox(
            "Precision",
            list(PRECISIONS),
            list(PRECISIONS).index(base.precision),
            PRECISIONS.__getitem__,
            key="more.precision",
        ),
        "channels_last": left.toggle("Channels last", base.channels_last, key="more.layout"),
        "compile": right.toggle(
            "Compile", base.compile, key="more.compile", help="The first step then takes a minute or so."
        ),
    }


def _number(text: str) -> float:
    """NaN for what is no number: `TrainConfig` then says so."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
