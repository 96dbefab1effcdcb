"""The degradation figure, out of every finished run of one recipe."""

from __future__ import annotations

import json

import streamlit as st

from resnet_lab.experiments.depth import DEPTH
from resnet_lab.models.cifar import family
from resnet_lab.runs import Run
from resnet_lab.training import TrainConfig
from resnet_lab.ui.common import navigation
from resnet_lab.ui.comparison.view import experiment_view


def depth_view(_: list[Run]) -> None:
    """All finished runs count, not only those that are chosen: the figure grows from run to run."""
    recipes = _finished()
    if not recipes:
        st.info(
            "No race has been finished yet. Press **Race** with two depths, such as 20 and 56, and this figure grows "
            "from the runs.",
            icon=":material/arrow_upward:",
        )
        return
    labels = _labels(recipes)
    label = st.selectbox("Recipe", list(labels), key="comparison.recipe", width=520)
    experiment_view(DEPTH, recipes[labels[label]])


def _finished() -> dict[TrainConfig, list[Run]]:
    """Completed runs of the CIFAR family by recipe (the net and the seed left out), most runs first."""
    recipes: dict[TrainConfig, list[Run]] = {}
    for run in navigation.store().list():
        config = run.config
        if run.status.test_accuracy is not None and family(config.spec) is not None:
            recipes.setdefault(config.replace(variant="resnet20", seed=0), []).append(run)
    return dict(sorted(recipes.items(), key=lambda item: -len(item[1])))


def _labels(recipes: dict[TrainConfig, list[Run]]) -> dict[str, TrainConfig]:
    """What tells each recipe from the first one, in words."""
    labels: dict[str, TrainConfig] = {}
    first = next(iter(recipes))
    for recipe, runs in recipes.items():
        text = f"{recipe.dataset}, {recipe.epochs} epochs, lr {recipe.lr:g}, {recipe.precision}: {len(runs)} runs"
        if text in labels:
            text += f" · {json.dumps(recipe.changes_from(first))[:80]}"
        labels[text] = recipe
    return labels
