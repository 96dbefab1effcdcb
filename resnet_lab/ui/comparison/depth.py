"""The degradation figure, out of every finished run of one recipe."""

from __future__ import annotations

import json

import streamlit as st

from resnet_lab.experiments.curves import ending
from resnet_lab.figures.depth import Ending, depth_figure
from resnet_lab.inspection.table.reference import cifar_error
from resnet_lab.models.cifar import DEPTHS, cifar_net, family
from resnet_lab.runs import Run
from resnet_lab.training import TrainConfig
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.live_chart import live_chart
from resnet_lab.ui.common.runs import curve, is_dark


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
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        labels = _labels(recipes)
        label = st.selectbox("Recipe", list(labels), key="comparison.recipe", width=520)
        of = st.segmented_control(
            "Error on", ["Test", "Training"], default="Test", required=True, key="comparison.error"
        )
        paper = st.toggle("Paper", True, key="comparison.paper", persist_state="session")
    runs = recipes[labels[label]]
    endings = [e for run in runs if (e := ending(run, curve(run))) is not None]
    published = _published() if paper else []
    live_chart(depth_figure(endings, published, is_dark(), of == "Training"), key="comparison.depth")
    st.caption(
        f"{len(endings)} finished runs of one recipe; a mark is a run, a line the mean over seeds. Degradation: a "
        "deeper plain net has the higher training error, so that it is no overfitting (He et al. 2015, Fig. 1 and 6). "
        "Dashed: the paper's ends on CIFAR-10, those of plain nets read off its Fig. 6."
    )


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


def _published() -> list[Ending]:
    return [
        Ending(kind, depth, error)
        for kind in ("A", "plain")
        for depth in DEPTHS
        if (error := cifar_error(cifar_net(depth, kind).name)) is not None
    ]
