"""Whether a map can be trusted: does the score follow it, and does it depend on what the net has learned?"""

from __future__ import annotations

import streamlit as st
import torch

from resnet_lab.attribution import METHODS
from resnet_lab.data import ImageError
from resnet_lab.experiments import deletion_insertion, sanity_checks
from resnet_lab.ui.common import jobs
from resnet_lab.ui.common.live_chart import live_chart
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.runs import is_dark
from resnet_lab.ui.prediction.images import ImageSet, InputImage
from resnet_lab.ui.prediction.maps import MapRequest, map_of
from resnet_lab.ui.prediction.net import Net
from resnet_lab.ui.prediction.prediction import ask_map, likeliest, predicted

IMAGES = 20  # for the check with random weights
QUICK = ["grad_cam", "guided_grad_cam", "saliency"]


def sanity_checks_view(net: Net, image: InputImage) -> None:
    """Deletion and insertion of this image's map; then the check with random weights over several images."""
    st.markdown("**Does the score follow the map?**")
    found = predicted(net, image)
    if found is None:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        target = st.selectbox("Explain class", likeliest(found), format_func=net.classes.__getitem__)
        request = ask_map(net, target, may_sign=False)
    _deletion_insertion(net, image, request)
    st.markdown("**Does the map depend on what the net has learned?**")
    _random_weights(net, image.images)


def _deletion_insertion(net: Net, image: InputImage, request: MapRequest) -> None:
    heat = map_of(net, image, request)
    if heat is None:
        return
    about = (net.key, image.key, request)
    job = jobs.current("prediction.deletion_insertion", about)
    if job is None or (job.is_broken and st.button("Try again", icon=":material/refresh:")):
        apart, order, title = net.apart(), torch.from_numpy(heat), METHODS[request.method].title

        work = jobs.draw(
            lambda check: deletion_insertion.measure(apart, image.pixels, order, request.target, title, check)
        )
        jobs.start("prediction.deletion_insertion", work, deletion_insertion.CURVES, about)
        job = jobs.current("prediction.deletion_insertion", about)
        assert job is not None

    def draw(job: jobs.Job) -> None:
        columns = st.columns(2, gap="medium")
        for column, kind in zip(columns, deletion_insertion.KINDS, strict=True):
            if (chart := deletion_insertion.chart(list(job.records), kind, is_dark())) is not None:
                with column:
                    live_chart(chart.figure, key=f"prediction.{kind}")
                    st.caption(chart.caption)
        st.caption(deletion_insertion.CAPTION)

    jobs.follow(job, draw)


def _random_weights(net: Net, images: ImageSet) -> None:
    methods = st.multiselect(
        "Methods",
        list(METHODS),
        QUICK,
        format_func=lambda name: METHODS[name].title,
        key="prediction.checked",
    )
    about = (net.key, images.key, tuple(methods))
    parts = sanity_checks.parts_of(net.model)
    if st.button("Check with random weights", icon=":material/shuffle:", disabled=not methods):
        try:
            some = torch.stack([images.pixels(i, net) for i in range(min(IMAGES, len(images)))])
        except ImageError as error:
            st.error(escape_markdown(str(error)))
            return
        apart = net.apart()

        work = jobs.draw(lambda check: sanity_checks.measure(apart, some, methods, check))
        jobs.start("prediction.sanity_checks", work, len(methods) * len(parts), about)
    job = jobs.current("prediction.sanity_checks", about)
    if job is None:
        st.caption(
            "Draws the net's parts anew, from the head down to the stem, and compares the maps (Adebayo et al. 2018)."
        )
        return

    def draw(job: jobs.Job) -> None:
        found = list(job.records)
        chart = sanity_checks.chart(found, parts, is_dark())
        live_chart(chart.figure, key="prediction.sanity_checks")
        if warning := sanity_checks.warning(found):
            st.warning(warning, icon=":material/gpp_maybe:")
        st.caption(chart.caption)

    jobs.follow(job, draw)
