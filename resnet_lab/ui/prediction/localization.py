"""How well each method's maps hit the object, where its mask is known."""

from __future__ import annotations

from functools import partial

import streamlit as st

from resnet_lab.attribution import METHODS
from resnet_lab.experiments import localization
from resnet_lab.ui.common import jobs
from resnet_lab.ui.common.parts import show_parts
from resnet_lab.ui.common.runs import is_dark
from resnet_lab.ui.prediction.images import ImageSet, TestImages
from resnet_lab.ui.prediction.net import Net
from resnet_lab.ui.prediction.prediction import ask_methods

QUICK = [name for name, method in METHODS.items() if method.passes < 10]


def localization_view(net: Net, images: ImageSet) -> None:
    if not isinstance(images, TestImages) or (masks := images.data.masks) is None:
        st.info("Scores need images whose object is known: a net trained on the shapes, and its test images.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        methods = ask_methods(QUICK, key="prediction.scored")
        count = st.selectbox("Images", [50, 100, 200, 500], 1, key="prediction.count", width=120)
        pressed = st.button("Score", icon=":material/target:", type="primary", disabled=not methods)
    asked = localization.pairs(net, methods)
    about = (net.key, tuple(asked), count)
    if pressed:
        apart, some = net.apart(), images.data.images[:count]
        work = partial(localization.measure, apart, some, masks[:count], asked)
        jobs.start("prediction.localization", work, len(asked) + len(localization.BASELINES), about)
    job = jobs.current("prediction.localization", about)
    if job is None:
        st.caption("Grad-CAM and its kin are read at every stage. Slow methods are asked for by name.")
        return
    options = list(localization.MEASURES)
    measured = st.segmented_control(
        "Measure", options, default="Pointing game", required=True, key="prediction.measure"
    )

    def draw() -> None:
        scores = list(job.records)
        chart = localization.chart(scores, measured, job.total, is_dark())
        show_parts([chart, localization.table(scores)], key=f"prediction.localization.{job.total}")

    jobs.follow(job, draw)
