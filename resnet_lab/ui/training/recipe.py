"""The form over `TrainConfig` on the training page."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import streamlit as st

from resnet_lab.data import DATASETS, is_downloaded
from resnet_lab.models import VARIANTS, ModelSpec
from resnet_lab.models.links import spec_from_link
from resnet_lab.schema import SchemaError, read_json
from resnet_lab.training import RECIPES, TrainConfig
from resnet_lab.training.recipes import ABOUT, nearest_recipe
from resnet_lab.ui.common import fields
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.shared import shared
from resnet_lab.ui.common.widgets import download, from_link, keep_in_link
from resnet_lab.ui.training.recipe_fields import MORE, more_fields

FOLDER = "folder"
USUAL_FOLDER = "data/cifar10-jpeg"
IN_LINK = ("variant", "dataset", "epochs", "lr")  # fields with a place of their own in the page's address
FILL, OPENED = "training.fill", "training.opened"


def recipe_form() -> TrainConfig | str:
    """Draws the form; returns what it asks for, or one sentence that says what is wrong with it."""
    linked = _take_over()
    recipes = list(RECIPES)
    recipe = st.selectbox("Recipe", recipes, key="recipe", bind="query-params", on_change=_apply_recipe)
    base = linked or RECIPES[recipe]
    st.caption(ABOUT[recipe])
    left, right = st.columns(2)
    asked: dict[str, Any] = {"variant": _net(left, base), "dataset": _dataset(right, base)}
    left, right = st.columns(2)
    asked["epochs"] = fields.ask(left, TrainConfig, "epochs", base.epochs, "epochs", bind="query-params")
    asked["lr"] = fields.ask(right, TrainConfig, "lr", base.lr, "lr", step=0.01, bind="query-params")
    with st.expander("More settings"):
        asked |= more_fields(base)
    try:
        config = base.replace(**asked)
    except SchemaError as error:
        return f"{error}."
    keep_in_link("changes", _changes(config, recipe))
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
    if filled:
        recipe = nearest_recipe(filled)
    else:  # what the address names, before its box has read it
        recipe = st.query_params.get("recipe") or st.session_state.get("recipe", "")
        recipe = recipe if recipe in RECIPES else next(iter(RECIPES))
    config = filled
    if not config and st.query_params.get("changes"):
        config = from_link("changes", partial(_changed, recipe), "The changes in this link")
    if config is None:
        return None
    usual = {name: getattr(RECIPES[recipe], name) for name in IN_LINK}
    if filled or any(getattr(config, name) != value for name, value in usual.items()):
        _fill(config, recipe)
    return config.replace(**usual)


def _fill(config: TrainConfig, recipe: str) -> None:
    """Sets every widget to the values of `config`."""
    spec = _own(config.spec)
    if spec.name not in VARIANTS:
        shared().spec = spec
        st.query_params.pop("spec", None)
    dataset, _, path = config.dataset.partition(":")
    values = {"recipe": recipe, "model": spec.name, "dataset": dataset, "epochs": config.epochs}
    st.session_state.update(values | {"lr": config.lr} | ({"folder": path} if path else {}))
    for key in [key for key in st.session_state if str(key).startswith(MORE)]:
        del st.session_state[key]  # they begin with what the form begins with
    keep_in_link("changes", _changes(config, recipe))


def _changed(recipe: str, changes: str) -> TrainConfig:
    """What `_changes` told apart. Raises SchemaError."""
    return TrainConfig.from_dict(RECIPES[recipe].to_dict() | read_json(changes, "what changes in a recipe"))


def _net(place: Any, base: TrainConfig) -> str | ModelSpec:
    """A variant, the net that was built on the architecture page, or the one that a recipe brings."""
    nets: dict[str, str | ModelSpec] = {name: name for name in VARIANTS}
    for spec in (_own(base.spec), _linked_net()):
        if spec is not None and spec.name not in VARIANTS:
            nets[spec.name] = spec
    usual = list(nets).index(_own(base.spec).name)
    return nets[place.selectbox("Net", list(nets), usual, key="model", bind="query-params")]


def _own(spec: ModelSpec) -> ModelSpec:
    """Under a name that no variant has, unless it is that variant."""
    return spec.replace(name=f"my_{spec.name}") if VARIANTS.get(spec.name, spec) != spec else spec


def _linked_net() -> ModelSpec | None:
    """The net that was built on the architecture page: the link's, or this session's."""
    if "spec" not in st.query_params:
        built = shared().spec
        return built and _own(built)
    spec = from_link("spec", lambda text: _own(spec_from_link(text)), "The net in this link")
    if spec and "model" not in st.query_params:  # the link came for this net
        st.session_state["model"] = spec.name
    return spec


def _dataset(place: Any, base: TrainConfig) -> str:
    kind, _, path = base.dataset.partition(":")
    sets = [*DATASETS, FOLDER]
    dataset: str = place.selectbox("Data", sets, sets.index(kind), key="dataset", bind="query-params")
    if dataset != FOLDER:
        info = DATASETS[dataset]
        cost = "" if is_downloaded(dataset) else f" {info.download_mb:,} MB are downloaded first."
        st.caption(info.note + cost)
        return dataset
    help_text = "Holds train/<class>/* and test/<class>/*, or class folders alone."
    return f"folder:{st.text_input('Folder', path or USUAL_FOLDER, key='folder', bind='query-params', help=help_text)}"


def _changes(config: TrainConfig, recipe: str) -> str:
    """What the address says of them; "" where nothing else than it names itself is changed."""
    changed = {k: v for k, v in config.changes_from(RECIPES[recipe]).items() if k not in IN_LINK}
    return json.dumps(changed, separators=(",", ":")) if changed else ""


def _apply_recipe() -> None:
    recipe = st.session_state["recipe"]
    _fill(RECIPES[recipe], recipe)
