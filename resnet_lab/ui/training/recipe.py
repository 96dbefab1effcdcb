"""The form over `TrainConfig` on the training page."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from resnet_lab.data import DATASETS, is_downloaded
from resnet_lab.models import VARIANTS, ModelSpec
from resnet_lab.models.links import spec_from_link
from resnet_lab.schema import SchemaError, read_json
from resnet_lab.training import RECIPES, TrainConfig
from resnet_lab.training.recipes import ABOUT, nearest_recipe
from resnet_lab.ui.common import fields
from resnet_lab.ui.common.download import download
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.shared import choose_spec, chosen_spec
from resnet_lab.ui.training.recipe_fields import MORE, more_fields

FOLDER = "folder"
USUAL_FOLDER = "data/cifar10-jpeg"
IN_LINK = ("variant", "dataset", "epochs", "lr")  # fields with a place of their own in the page's address
FILL, OPENED = "training.fill", "training.opened"


def recipe_form() -> TrainConfig | str:
    """Draws the form; returns what it asks for, or one sentence that says what is wrong with it."""
    linked = _take_over()
    st.selectbox("Recipe", list(RECIPES), key="recipe", bind="query-params", on_change=_apply_recipe)
    recipe = st.session_state["recipe"]
    base = linked or RECIPES[recipe]
    st.caption(ABOUT[recipe])
    left, right = st.columns(2)
    asked: dict[str, Any] = {"variant": _net(left, base), "dataset": _dataset(right, base)}
    left, right = st.columns(2)
    asked["epochs"] = fields.number(left, TrainConfig, "epochs", base.epochs, "epochs", bind="query-params")
    asked["lr"] = fields.number(right, TrainConfig, "lr", base.lr, "lr", step=0.01, bind="query-params")
    with st.expander("More settings"):
        asked |= more_fields(base)
    try:
        config = base.replace(**asked)
    except SchemaError as error:
        return f"{error}."
    _link(config, recipe)
    return config


def recipe_file(config: TrainConfig | None) -> None:
    """The recipe as a JSON file, out and in."""
    with st.popover("Recipe as a file", icon=":material/description:", width="stretch"):
        if config is not None:
            download("Save", config.to_json, "recipe.json", "application/json")
        opened = st.session_state.get(OPENED, 0)
        upload = st.file_uploader("Open", "json", key=f"training.recipe_file.{opened}", max_upload_size=1)
        if upload is None:
            return
        try:
            fill_form(TrainConfig.from_json(upload.getvalue()))
        except SchemaError as error:
            st.error(f"{escape_markdown(upload.name)} holds no recipe: {escape_markdown(str(error))}.")
        else:
            st.session_state[OPENED] = opened + 1  # an empty uploader comes next
            st.rerun()


def fill_form(config: TrainConfig) -> None:
    """The next run of the page shows `config` in the form: that of a run, or of an uploaded file."""
    st.session_state[FILL] = config


def _take_over() -> TrainConfig | None:
    """Sets every widget to the config that `fill_form` left, or that a link brings whole, before any is drawn.

    Returns what the form begins with: that config, but for the fields whose widgets read the address themselves.
    None where there is no such config.
    """
    filled: TrainConfig | None = st.session_state.pop(FILL, None)
    recipe = nearest_recipe(filled) if filled else _linked_recipe()
    config = filled or _of_link(recipe)
    if config is None:
        return None
    usual = {name: getattr(RECIPES[recipe], name) for name in IN_LINK}
    if filled or any(getattr(config, name) != value for name, value in usual.items()):
        _fill(config, recipe)
    return config.replace(**usual)


def _fill(config: TrainConfig, recipe: str) -> None:
    spec = _own(config.spec)
    if spec.name not in VARIANTS:
        choose_spec(spec)
        st.query_params.pop("spec", None)
    dataset, _, path = config.dataset.partition(":")
    values = {"recipe": recipe, "model": spec.name, "dataset": dataset, "epochs": config.epochs}
    st.session_state.update(values | {"lr": config.lr} | ({"folder": path} if path else {}))
    _forget_more()
    st.query_params["changes"] = _changes(config, recipe)


def _linked_recipe() -> str:
    """The recipe that the address names before its box has read it."""
    asked = st.query_params.get("recipe") or st.session_state.get("recipe")
    return asked if asked in RECIPES else next(iter(RECIPES))


def _of_link(recipe: str) -> TrainConfig | None:
    """The recipe with the changes that the page's address names; None where there are none, or none that can be."""
    query = st.query_params
    if not query.get("changes"):
        return None
    try:
        changes = read_json(query["changes"], "what changes in a recipe")
        return TrainConfig.from_dict(RECIPES[recipe].to_dict() | changes)
    except SchemaError as error:
        st.error(f"The changes in this link cannot be read: {escape_markdown(str(error))}.")
        query.pop("changes", None)
        return None


def _net(place: Any, base: TrainConfig) -> str | ModelSpec:
    """A variant, the net that was built on the architecture page, or the one that a recipe brings."""
    own = [
        spec for spec in (_own(base.spec), _linked_net()) if spec is not None and spec.name not in VARIANTS
    ]
    nets: dict[str, str | ModelSpec] = {name: name for name in VARIANTS} | {spec.name: spec for spec in own}
    usual = list(nets).index(_own(base.spec).name)
    return nets[place.selectbox("Net", list(nets), usual, key="model", bind="query-params")]


def _own(spec: ModelSpec) -> ModelSpec:
    """Under a name that no variant has, unless it is that variant."""
    return spec.replace(name=f"my_{spec.name}") if VARIANTS.get(spec.name, spec) != spec else spec


def _linked_net() -> ModelSpec | None:
    """The net that was built on the architecture page: the link's, or this session's."""
    query = st.query_params
    if "spec" not in query:
        built = chosen_spec()
        return None if built is None else _own(built)
    try:
        spec = _own(spec_from_link(query["spec"]))
    except ValueError as error:
        st.error(f"The net in this link cannot be read: {escape_markdown(str(error))}.")
        query.pop("spec", None)
        return None
    if "model" not in query:  # the link came for this net
        st.session_state["model"] = spec.name
    return spec


def _dataset(place: Any, base: TrainConfig) -> str:
    kind, _, path = base.dataset.partition(":")
    sets = [*DATASETS, FOLDER]
    dataset: str = place.selectbox("Data", sets, sets.index(kind), key="dataset", bind="query-params")
    if dataset != FOLDER:
        st.caption(_about_data(dataset))
        return dataset
    help_text = "Holds train/<class>/* and test/<class>/*, or class folders alone."
    return f"folder:{st.text_input('Folder', path or USUAL_FOLDER, key='folder', bind='query-params', help=help_text)}"


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
    for key in [key for key in st.session_state if str(key).startswith(MORE)]:
        del st.session_state[key]
