"""How well each method's maps hit the object, where its mask is known."""

from __future__ import annotations

from typing import cast

import streamlit as st

from resnet_lab.attribution import METHODS, Score, score, stage_names
from resnet_lab.attribution.localization import BASELINES, Estimate
from resnet_lab.figures.trust import Level, levels_figure
from resnet_lab.ui.common import jobs
from resnet_lab.ui.common.live_chart import live_chart
from resnet_lab.ui.common.runs import is_dark
from resnet_lab.ui.prediction.images import Gallery, TestSplit
from resnet_lab.ui.prediction.net import Net

QUICK = [name for name, method in METHODS.items() if method.passes < 10]
MEASURES = {
    "Pointing game": ("the strongest place is on the object (% of images)", "Zhang et al. 2018, Sec. 5.1"),
    "Energy inside": ("part of the map that lies on the object (%)", "Wang et al. 2020, Sec. 4.3"),
    "IoU": ("overlap of map and object at the best threshold (%)", "one threshold for all images"),
}


def score_view(net: Net, gallery: Gallery) -> None:
    """Asks for methods and images; a chart and a table that grow."""
    if not isinstance(gallery, TestSplit) or gallery.data.masks is None:
        st.info("Scores need images whose object is known: a net trained on the shapes, and its test images.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        methods = st.multiselect(
            "Methods",
            list(METHODS),
            QUICK,
            format_func=lambda name: METHODS[name].title,
            key="prediction.scored",
        )
        count = st.selectbox("Images", [50, 100, 200, 500], 1, key="prediction.pictures", width=120)
        pressed = st.button("Score", icon=":material/target:", type="primary", disabled=not methods)
    asked = [
        (method, stage)
        for method in methods
        for stage in (stage_names(net.model) if METHODS[method].has_layer else ("",))
    ]
    about = (net.key, tuple(asked), count)
    if pressed:
        _start(net, gallery, asked, count, about)
    job = jobs.current("prediction.scores", about)
    if job is None:
        st.caption("Grad-CAM and its kin are read at every stage. Slow methods are asked for by name.")
        return
    measure = st.segmented_control(
        "Measure", list(MEASURES), default="Pointing game", required=True, key="prediction.measure"
    )
    jobs.follow(job, lambda j: _draw(cast("list[Score]", list(j.records)), measure, j.total))


def _start(net: Net, gallery: TestSplit, asked: list[tuple[str, str]], count: int, about: object) -> None:
    data = gallery.data
    assert data.masks is not None
    images, masks = net.inputs(data.images[:count]), net.transform.view(data.masks[:count])
    model = net.apart().model

    def work(report: jobs.Report, should_stop: jobs.ShouldStop) -> None:
        score(model, images, masks, asked, report, jobs.ender(should_stop))

    jobs.start("prediction.scores", work, len(asked) + len(BASELINES), about)


def _draw(found: list[Score], measure: str, total: int) -> None:
    axis, source = MEASURES[measure]
    levels = [_level(record, measure) for record in found]
    live_chart(levels_figure(levels, axis, is_dark(), total), key=f"prediction.scores.{total}")
    table = [
        {
            "method": _title(record),
            "stage": record.layer.removeprefix("layer"),
            "pointing game": _cell(record.pointing),
            "energy inside": _cell(record.energy),
            "IoU": _cell(record.iou),
        }
        for record in found
    ]
    st.dataframe(table, hide_index=True)
    st.caption(
        f"{measure}: {axis.split(' (')[0]} ({source}). {found[0].count} test images, maps of the class that the net "
        "predicts, mean and 95 % interval. Hollow: what random noise and a bump in the middle of each image score."
    )


def _level(record: Score, measure: str) -> Level:
    estimate = {"Pointing game": record.pointing, "Energy inside": record.energy, "IoU": record.iou}[measure]
    stage = f", stage {record.layer.removeprefix('layer')}" if record.layer else ""
    mean, low, high = (100 * value for value in (estimate.mean, estimate.low, estimate.high))
    return Level(f"{_title(record)}{stage}", mean, low, high, record.method in BASELINES)


def _title(record: Score) -> str:
    return METHODS[record.method].title if record.method in METHODS else record.method.capitalize()


def _cell(estimate: Estimate) -> str:
    return f"{100 * estimate.mean:.1f} % ({100 * estimate.low:.1f}–{100 * estimate.high:.1f})"
