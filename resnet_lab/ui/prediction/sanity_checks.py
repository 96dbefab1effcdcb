"""Whether a map can be trusted: does the score follow it, and does it depend on what the net has learned?"""

from __future__ import annotations

from functools import partial

import streamlit as st
import torch

from resnet_lab.attribution import METHODS
from resnet_lab.data import ImageError
from resnet_lab.experiments import deletion_insertion, sanity_checks
from resnet_lab.figures.page import Row
from resnet_lab.ui.common import jobs
from resnet_lab.ui.common.parts import show_parts
from resnet_lab.ui.common.runs import is_dark
from resnet_lab.ui.common.widgets import problems_said
from resnet_lab.ui.prediction.images import ImageSet, InputImage
from resnet_lab.ui.prediction.maps import MapRequest, map_of, probabilities
from resnet_lab.ui.prediction.net import Net
from resnet_lab.ui.prediction.prediction import ask_map, ask_methods, likeliest

IMAGES = 20  # for the check with random weights
QUICK = ["grad_cam", "guided_grad_cam", "saliency"]


def sanity_checks_view(net: Net, image: InputImage) -> None:
    """Deletion and insertion of this image's map; then the check with random weights over several images."""
    st.markdown("**Does the score follow the map?**")
    top = likeliest(probabilities(net, image))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        request = ask_map(net, top, may_sign=False)
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
        work = partial(deletion_insertion.measure, apart, image.pixels, order, request.target, title)
        job = jobs.start("prediction.deletion_insertion", work, deletion_insertion.CURVES, about)

    def draw() -> None:
        curves, kinds = list(job.records), deletion_insertion.KINDS
        charts = [deletion_insertion.chart(curves, kind, is_dark()) for kind in kinds]
        row = Row([chart for chart in charts if chart], deletion_insertion.CAPTION)
        show_parts([row], key="prediction.deletion_insertion")

    jobs.follow(job, draw)


def _random_weights(net: Net, images: ImageSet) -> None:
    methods = ask_methods(QUICK, key="prediction.checked")
    about = (net.key, images.key, tuple(methods))
    parts = sanity_checks.parts_of(net.model)
    pressed = st.button("Check with random weights", icon=":material/shuffle:", disabled=not methods)
    with problems_said(ImageError):
        if pressed:
            some = torch.stack([images.pixels(i, net) for i in range(min(IMAGES, len(images)))])
            work = partial(sanity_checks.measure, net.apart(), some, methods)
            jobs.start("prediction.sanity_checks", work, len(methods) * len(parts), about)
    job = jobs.current("prediction.sanity_checks", about)
    if job is None:
        st.caption(
            "Draws the net's parts anew, from the head down to the stem, and compares the maps (Adebayo et al. 2018)."
        )
        return

    def draw() -> None:
        found = list(job.records)
        show_parts([sanity_checks.chart(found, parts, is_dark())], key="prediction.sanity_checks")
        if warning := sanity_checks.warning(found):
            st.warning(warning, icon=":material/gpp_maybe:")

    jobs.follow(job, draw)
