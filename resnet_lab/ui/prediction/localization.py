"""How well each method's maps hit the object, where its mask is known."""

from __future__ import annotations

import streamlit as st

from resnet_lab.attribution import METHODS
from resnet_lab.experiments import localization
from resnet_lab.ui.common import jobs
from resnet_lab.ui.common.live_chart import live_chart
from resnet_lab.ui.common.runs import is_dark
from resnet_lab.ui.prediction.images import ImageSet, TestImages
from resnet_lab.ui.prediction.net import Net

QUICK = [name for name, method in METHODS.items() if method.passes < 10]


def localization_view(net: Net, images: ImageSet) -> None:
    """Asks for methods and images; a chart and a table that grow."""
    if not isinstance(images, TestImages) or (masks := images.data.masks) is None:
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
        count = st.selectbox("Images", [50, 100, 200, 500], 1, key="prediction.count", width=120)
        pressed = st.button("Score", icon=":material/target:", type="primary", disabled=not methods)
    asked = localization.pairs(net, methods)
    about = (net.key, tuple(asked), count)
    if pressed:
        apart, some = net.apart(), images.data.images[:count]

        work = jobs.draw(lambda check: localization.measure(apart, some, masks[:count], asked, check))
        jobs.start("prediction.localization", work, len(asked) + len(localization.BASELINES), about)
    job = jobs.current("prediction.localization", about)
    if job is None:
        st.caption("Grad-CAM and its kin are read at every stage. Slow methods are asked for by name.")
        return
    measured = st.segmented_control(
        "Measure",
        list(localization.MEASURES),
        default="Pointing game",
        required=True,
        key="prediction.measure",
    )

    def draw(job: jobs.Job) -> None:
        scores = list(job.records)
        chart = localization.chart(scores, measured, job.total, is_dark())
        live_chart(chart.figure, key=f"prediction.localization.{job.total}")
        st.dataframe(localization.table(scores).rows, hide_index=True)
        st.caption(chart.caption)

    jobs.follow(job, draw)
