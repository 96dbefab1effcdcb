"""The form over `TrainConfig` on the training page."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from resnet_lab.data import DATASETS, is_downloaded
from resnet_lab.models import VARIANTS, ModelSpec
from resnet_lab.models.links import spec_from_link, spec_to_link
from resnet_lab.training import RECIPES, TrainConfig
from resnet_lab.training.recipes import ABOUT, nearest_recipe
from resnet_lab.ui.download import download
from resnet_lab.ui.recipe_fields import data_fields, execution_fields, optimization_fields
from resnet_lab.ui.text import plain

FOLDER = "folder"
IN_LINK = ("variant", "dataset", "epochs", "lr")  # fields with a place of their own in the page's address


def recipe_form() -> TrainConfig | str:
    """Draws the form; returns what it asks for, or one sentence that says what is wrong with it."""
    _take_over()
    st.selectbox("Recipe", list(RECIPES), key="recipe", bind="query-params", on_change=_apply_recipe)
    recipe = st.session_state["recipe"]
    base = _base(recipe)
    st.caption(ABOUT[recipe])
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
        fields |= optimization_fields(base) | data_fields(base) | execution_fields(base)
    try:
        config = base.replace(**fields)
    except ValueError as error:
        return f"{error}."
    _link(config, recipe)
    return config


def recipe_file(config: TrainConfig | None) -> None:
    """The recipe as a JSON file, out and in."""
    with st.popover("Recipe as a file", icon=":material/description:", width="stretch"):
        if config is not None:
            download("Save", config.to_json, "recipe.json", "application/json")
        upload = st.file_uploader(
            "Open", "json", key=f"recipe-file-{st.session_state.get('opened', 0)}", max_upload_size=1
        )
        if upload is None:
            return
        try:
            fill_form(TrainConfig.from_json(upload.getvalue().decode()))
        except (ValueError, TypeError) as error:
            st.error(f"{plain(upload.name)} holds no recipe: {plain(str(error))}.")
        else:
            st.session_state["opened"] = st.session_state.get("opened", 0) + 1  # an empty uploader comes next
            st.rerun()


def fill_form(config: TrainConfig) -> None:
    """The next run of the page shows `config` in the form: that of a run, or of an uploaded file."""
    st.session_state["fill"] = config


def _take_over() -> None:
    """Sets every widget to the recipe that `fill_form` left, before any is drawn."""
    config: TrainConfig | None = st.session_state.pop("fill", None)
    if config is None:
        return
    recipe = nearest_recipe(config)
    if isinstance(config.variant, ModelSpec) and VARIANTS.get(config.spec.name) != config.spec:
        st.session_state["built"] = spec_to_link(config.spec)
        st.query_params.pop("spec", None)
    dataset, _, path = config.dataset.partition(":")
    values = {"recipe": recipe, "model": config.spec.name, "dataset": dataset, "epochs": config.epochs}
    st.session_state.update(values | {"lr": config.lr} | ({"folder": path} if path else {}))
    _forget_more()
    st.query_params["changes"] = _changes(config, recipe)


def _base(recipe: str) -> TrainConfig:
    """The recipe with the changes that the page's address names."""
    query = st.query_params
    try:
        changes = json.loads(query.get("changes") or "{}")
        return TrainConfig.from_dict(RECIPES[recipe].to_dict() | changes)
    except (ValueError, TypeError) as error:
        st.error(f"The changes in this link cannot be read: {plain(str(error))}.")
        query.pop("changes", None)
        return RECIPES[recipe]


def _link(config: TrainConfig, recipe: str) -> None:
    """Keeps the page's address such that it restores the form."""
    changes = _changes(config, recipe)
    if changes != "{}":
        if st.query_params.get("changes") != changes:
            st.query_params["changes"] = changes
    else:
        st.query_params.pop("changes", None)


def _changes(config: TrainConfig, recipe: str) -> str:
    changed = config.changes_from(RECIPES[recipe])
    return json.dumps({k: v for k, v in changed.items() if k not in IN_LINK}, separators=(",", ":"))


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
    st.query_params.pop("changes", None)
    _forget_more()


def _forget_more() -> None:
    for key in [key for key in st.session_state if str(key).startswith("more.")]:
        del st.session_state[key]
