"""Do gradients reach the first layers? At the start, as training goes on, and what others say of it."""

from __future__ import annotations

import streamlit as st

from resnet_lab.analysis.gradients import BATCH, LINES, POINTS
from resnet_lab.experiments.why import STARTS, Start, measure_start, measuring_start
from resnet_lab.figures.curves import Curve
from resnet_lab.figures.flow import depth_lines, gradient_map, gradient_range
from resnet_lab.models.cifar import DEPTHS
from resnet_lab.runs import Run
from resnet_lab.ui.common import jobs
from resnet_lab.ui.common.live_chart import live_chart
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.runs import curve, is_dark

REFRESH = 2.0  # seconds
MOST_MAPS = 4
CLAIMS = """
| what is said | by whom | measured here just now |
|---|---|---|
| Plain nets with BN have healthy gradient norms, so vanishing gradients do not explain the degradation. \
| He et al. 2015, Sec. 4.1 | plain{depth} with BN, first / middle / last layer: **{plain_bn}** |
| At the start BN makes gradients of a deep plain net grow towards the input. | Yang et al. 2019 (mean field of BN) \
| first layer over last: plain{depth} **{plain_ratio}**, resnet{depth} **{residual_ratio}** |
| Without BN they shrink. | what is often repeated of all plain nets | plain{depth} without BN: **{plain_none}** |
| Without shortcuts gradients of neighbouring inputs are like white noise, with them they stay alike. \
| Balduzzi et al. 2017 (shattered gradients), Sec. 2 and 3 \
| correlation at the first block: plain{depth} **{plain_corr:.2f}**, resnet{depth} **{residual_corr:.2f}** |
"""


@st.cache_data(max_entries=20, show_spinner="Measuring gradients …")
def start_of(depth: int, seed: int) -> Start:
    return measure_start(depth, seed)


def gradients_view(runs: list[Run]) -> None:
    """The start needs no run; the heat maps are those of the chosen ones."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        depth = st.selectbox(
            "Layers at the start", DEPTHS, index=3, key="start_depth", bind="query-params", width=150
        )
        seed = st.number_input("Seed", 0, 2**31 - 1, 0, key="start_seed", bind="query-params", width=130)
    about = depth, seed
    if jobs.current("comparison.start", about) is None:

        def work(report: jobs.Report, should_stop: jobs.ShouldStop) -> None:
            for start in measuring_start(depth, seed):
                report(start)
                if should_stop():
                    return

        jobs.start("comparison.start", work, STARTS, about)
    job = jobs.current("comparison.start", about)
    assert job is not None
    jobs.follow(job, lambda j: _start(depth, j.records[-1]), every=0.3)
    _maps(runs)


def _start(depth: int, start: Start) -> None:
    left, right = st.columns(2)
    with left:
        live_chart(
            depth_lines(start.norms, "layer", "gradient norm", is_dark(), log=True), key="comparison.norms"
        )
        st.caption(
            f"Before the first step: norm of the loss's gradient for each convolution's weights, {BATCH} images of "
            "the shapes, Kaiming initialisation (fan out), float32. Left is the input."
        )
    if not start.correlations:
        return
    with right:
        figure = depth_lines(start.correlations, "block", "correlation of neighbours", is_dark())
        live_chart(figure.update_yaxes(range=[-0.1, 1.02]), key="comparison.correlation")
        st.caption(
            f"Between gradients at neighbouring points of {LINES} lines from image to image, {POINTS} points each, "
            "at the input of each block. 0: as white noise; 1: all alike. Closer points would raise all of them."
        )
    if len(start.norms) + len(start.correlations) == STARTS:
        st.markdown(_claims(depth, start))


def _claims(depth: int, start: Start) -> str:
    def three(name: str) -> str:
        values = start.norm(name).values
        return " / ".join(map(_number, (values[0], values[len(values) // 2], values[-1])))

    def ratio(name: str) -> str:
        values = start.norm(name).values
        return f"{_number(values[0] / values[-1])} ×" if values[-1] else "no gradient in the last"

    names = f"plain{depth}", f"resnet{depth}"
    return CLAIMS.format(
        depth=depth,
        plain_bn=three(names[0]),
        plain_none=three(f"{names[0]} without BN"),
        plain_ratio=ratio(names[0]),
        residual_ratio=ratio(names[1]),
        plain_corr=start.correlation(names[0]).values[0],
        residual_corr=start.correlation(names[1]).values[0],
    )


def _number(value: float) -> str:
    """2,014 or 0.00083: two digits that count, and no powers of ten where a reader would have to think."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _maps(runs: list[Run]) -> None:
    st.subheader("As training goes on", anchor=False)
    if not runs:
        st.info(
            "Press **Race**, or choose runs above, and their gradients appear here.",
            icon=":material/arrow_upward:",
        )
        return
    active = any(run.status.is_active for run in runs[:MOST_MAPS])
    st.fragment(_live_maps, run_every=REFRESH if active else None)(runs[:MOST_MAPS], active)


def _live_maps(runs: list[Run], was_active: bool) -> None:
    if any(run.status.is_active for run in runs) != was_active:
        st.rerun()
    curves = [curve(run) for run in runs]
    known = [c for c in curves if c.gradients]
    for run, records in zip(runs, curves, strict=True):
        if not records.gradients:
            st.caption(
                f"{escape_markdown(run.name)} has told of no gradients yet; runs of older versions never do."
            )
    limits = gradient_range([c.gradients for c in known])
    for row in (known[:2], known[2:]):
        for column, records in zip(st.columns(2), row, strict=False):
            with column:
                layers = records.started.layers if records.started else ()
                figure = gradient_map(
                    escape_markdown(records.name), records.gradients, layers, limits, is_dark()
                )
                live_chart(figure, key=f"comparison.map.{known.index(records)}")
    if known:
        st.caption(
            "Norm of each convolution's gradient in the steps of the run, one colour scale for all. "
            + " ".join(_first_and_last(records) for records in known)
        )


def _first_and_last(records: Curve) -> str:
    """How the ratio between first and last layer changes from the first to the last record."""
    ratios = [
        r.norms[0] / r.norms[-1]
        for r in (records.gradients[0], records.gradients[-1])
        if r.norms and r.norms[-1]
    ]
    if len(ratios) < 2:
        return ""
    steps = records.gradients[0].step, records.gradients[-1].step
    return (
        f"{escape_markdown(records.name)}: first layer over last {_number(ratios[0])} × at step {steps[0]:,}, "
        f"{_number(ratios[1])} × at step {steps[1]:,}."
    )
