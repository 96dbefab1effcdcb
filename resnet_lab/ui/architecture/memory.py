"""The memory of a training step on the page: the estimate, and a real step beside it."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from resnet_lab.inspection import LayerTable
from resnet_lab.inspection.memory.step_memory import MAX_BATCH, MeasuredStep, estimate_step, measure_step
from resnet_lab.models import ModelSpec
from resnet_lab.ui.common.markdown import duration, escape_markdown, facts
from resnet_lab.ui.common.widgets import options_of

PRECISIONS = {"float32": "float32", "bf16": "bfloat16 (autocast)", "fp16": "float16 (autocast)"}
OPTIMIZERS = {"sgd": "SGD with momentum", "adam": "Adam"}


def memory_view(spec: ModelSpec, table: LayerTable) -> None:
    """What a step of so many images needs, part by part; a button runs one and compares."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        batch = st.number_input("Batch size", 1, MAX_BATCH, 32, key="batch", bind="query-params", width=140)
        precision = st.selectbox(
            "Precision", **options_of(PRECISIONS), key="architecture.precision", width=210
        )
        optimizer = st.selectbox(
            "Optimizer", **options_of(OPTIMIZERS), key="architecture.optimizer", width=210
        )
        run = st.button("Check with a real step", icon=":material/speed:")
    need = estimate_step(table, batch, precision, optimizer)
    parts = {
        "Weights": need.weights,
        "Gradients": need.gradients,
        "Optimizer": need.optimizer,
        "Weights for autocast": need.low_precision_weights,
        "Images": need.images,
        "Activations": need.activations,
        "Estimate": need.total,
    }
    if not need.low_precision_weights:
        del parts["Weights for autocast"]
    facts({name: megabytes(count) for name, count in parts.items()})
    st.caption(
        "At the end of the forward pass, when a step needs most. Activations are what autograd keeps for the "
        "backward pass: they grow with the batch, the rest does not."
    )
    asked = (spec, table.input_size, batch, precision, optimizer)
    if run:
        _measure(batch, asked)
    asked_before, step = st.session_state.get("architecture.measured", (None, None))
    if asked_before == asked:
        _beside(need.kept, need.total, step)


def _measure(batch: int, asked: tuple[Any, ...]) -> None:
    """Runs the step in a process of its own; any click on the page, Cancel too, ends it."""
    place = st.empty()
    with place.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(0.0, "Starting a process of its own")
        st.button("Cancel", width="content")
    began = None
    try:
        for news in measure_step(*asked):
            if isinstance(news, MeasuredStep):
                st.session_state["architecture.measured"] = asked, news
                continue
            began = began or time.monotonic()
            left = (time.monotonic() - began) * (1 - news) / max(news, 1e-3)
            bar.progress(news, f"One step of {batch} images: {news:.0%}, about {duration(left)} left")
    except ValueError as error:
        place.empty()
        st.error(f"{escape_markdown(str(error))}.")
        return
    st.rerun()


def _beside(kept: int, total: int, step: MeasuredStep) -> None:
    facts(
        {
            "Kept for the backward pass, estimate": megabytes(kept),
            "measured": megabytes(step.kept),
            "off by": f"{kept / step.kept - 1:+.1%}",
            "Peak, measured": megabytes(step.peak),
            "above the estimate": f"{step.peak / total - 1:+.0%}",
            "Time of the step": f"{step.seconds:.2f} s",
        }
    )
    st.caption(
        f"Measured once on {step.device}. The peak also holds the workspaces of the convolutions and the gradients "
        "in flight, which the estimate leaves out."
    )


def megabytes(count: int) -> str:
    return f"{count / 1e9:,.2f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
