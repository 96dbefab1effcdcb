"""The degradation figure, out of every finished run of one recipe."""

from __future__ import annotations

import json

import streamlit as st

from resnet_lab.experiments.depth import DEPTH
from resnet_lab.models.cifar import family
from resnet_lab.runs import Run
from resnet_lab.training import TrainConfig
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.experiment import experiment_view


def depth_view(_: list[Run]) -> None:
    """All finished runs count, not only those that are chosen: the figure grows from run to run."""
    # Of the CIFAR family, the net and the seed left out; what came with the lab is not mixed with what ran here.
    recipes: dict[tuple[TrainConfig, bool], list[Run]] = {}
    for run in navigation.runs():
        config = run.config
        if run.status.test_accuracy is not None and family(config.spec) is not None:
            kind = config.replace(variant="resnet20", seed=0), run.is_recorded
            recipes.setdefault(kind, []).append(run)
    if not recipes:
        st.info(
            "No race has been finished yet. Press **Race** with two depths, such as 20 and 56, and this figure grows "
            "from the runs.",
            icon=":material/arrow_upward:",
        )
        return
    # The reader's own and most runs first; in words what tells each recipe from the first one.
    labelled: dict[str, list[Run]] = {}
    ordered = sorted(recipes, key=lambda kind: (kind[1], -len(recipes[kind])))
    for recipe, is_recorded in ordered:
        runs = recipes[recipe, is_recorded]
        label = (
            f"{recipe.dataset}, {recipe.epochs} epochs, lr {recipe.lr:g}, {recipe.precision}: "
            f"{len(runs)} {'recorded ' if is_recorded else ''}runs"
        )
        if label in labelled:
            label += f" · {json.dumps(recipe.changes_from(ordered[0][0]))[:80]}"
        labelled[label] = runs
    label = st.selectbox("Recipe", list(labelled), key="comparison.recipe", width=520)
    experiment_view(DEPTH, labelled[label])
