"""Errors of a trained net: the confusion matrix, and the images behind its cells."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import streamlit as st

from resnet_lab.data import DATASETS, DatasetError, is_downloaded
from resnet_lab.experiments import errors
from resnet_lab.experiments.errors import Predictions
from resnet_lab.figures.confusion import NARROW
from resnet_lab.figures.overlay import enlarge
from resnet_lab.runs import Run, RunError
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.markdown import duration, escape_markdown, percent
from resnet_lab.ui.common.runs import BY_VERSION, is_dark, run_version
from resnet_lab.ui.common.widgets import problems_said

SHOWN = 24  # images
SIDE = 96  # pixels on the page; they are sent twice as large, for dense screens


@st.fragment
def errors_view(run: Run) -> None:
    """The test images by true and predicted class, once asked for; a click on a cell shows what is in it."""
    label = "Errors (confusion matrix, worst mistakes)"
    with st.expander(label), problems_said(RunError, DatasetError, OSError):
        if not run.best_checkpoint:
            return
        navigation.desk().require_open(run.config.dataset)
        shelf, place = _shelf(run), st.empty()
        if not shelf:
            with place.container():
                _ask(run, shelf)
        if shelf:
            place.empty()  # the button has done its work
            _show(shelf[0], run)


@st.cache_resource(max_entries=3, show_spinner=False, hash_funcs=BY_VERSION)
def _shelf(run: Run) -> list[Predictions]:
    """Where the predictions of a net are put once they are there.

    Computed in here they could show no progress, and a reader who goes away could not cancel them.
    """
    return []


def _ask(run: Run, shelf: list[Predictions]) -> None:
    """A button that fills the shelf."""
    words = "Show the confusion matrix"
    info = DATASETS.get(run.config.dataset)
    if info and not is_downloaded(info.name):
        words += f" (downloads {info.title}, {info.download_mb} MB)"
    if not st.button(words, icon=":material/grid_on:"):
        st.caption("Runs the best net on every test image. Any click on the page ends it.")
        return
    bar = st.progress(0.0, "Reading the test images")
    began = time.monotonic()

    def show(done: float, text: str) -> None:
        nonlocal began
        if done == 0:  # first the images may have to be drawn or decoded, then the net is run
            began = time.monotonic()
        spent = time.monotonic() - began
        left = f" · {duration(spent * (1 - done) / done)} left" if done and spent > 2 else ""
        bar.progress(done, text + left)

    shelf.append(errors.measure(run, show))


def _show(found: Predictions, run: Run) -> None:
    if not np.isfinite(found.confidences).all():
        st.error("The model outputs NaN: its training diverged.")
        return
    right, count = found.right, len(found)
    st.markdown(f"**{right:,} of {count:,} correct** ({percent(right / count)}), with the {found.weights}")
    is_wide = len(found.classes) > NARROW
    matrix, images = (st.container(), st.container()) if is_wide else st.columns([1.7, 1], gap="small")
    chart = errors.chart(found, is_dark())
    run_id, changed = run_version(run)
    key = f"training.confusion.{run_id}.{changed}"
    with matrix:
        event: Any = st.plotly_chart(
            chart.figure,
            key=key,
            on_select="rerun",
            selection_mode="points",
            config={"displayModeBar": False},
        )
    height = None if is_wide else chart.figure.layout.height
    with images:
        _images(found, run_id, event["selection"]["points"], height)
    st.caption(f"{chart.caption} Click a cell for its images, double-click for the worst again.")


def _images(found: Predictions, run_id: str, points: list[dict[str, Any]], height: int | None) -> None:
    """The images of the cell that was clicked, else the worst mistakes, most confident first.

    They scroll beyond `height`.
    """
    if points:
        truth, predicted = (int(points[-1][axis]) for axis in "yx")
        indices = errors.cell(found, truth, predicted, SHOWN)
        total = int(found.confusion[truth, predicted])
        title, other = (escape_markdown(found.classes[i]) for i in (truth, predicted))
        title += ", correct" if truth == predicted else f" taken for {other}"
    else:
        indices, total = errors.worst(found, SHOWN), len(found) - found.right
        title = "The worst mistakes" if total else "No mistakes"
    some = f", {len(indices)} of {total:,}" if len(indices) < total else ""
    st.markdown(f"**{title}**{some}")
    with st.container(
        horizontal=True, gap="small", height=height - 40 if height else "content", border=False
    ):
        for i in map(int, indices):
            names = " → ".join(found.classes[k] for k in (found.labels[i], found.predicted[i]))
            sure = percent(float(found.confidences[i]))
            image = enlarge(found.images[i].transpose(1, 2, 0), 2 * SIDE)
            there = {"run": run_id, "source": "Test", "index": str(i)}
            with st.container(width=SIDE, gap=None):
                caption = f"{escape_markdown(names)} {sure}"
                st.image(image, caption, width=SIDE, output_format="PNG", alt=f"{names} {sure}")
                page = navigation.page_path("prediction")
                st.page_link(page, label="Explain", icon=":material/search:", query_params=there)
