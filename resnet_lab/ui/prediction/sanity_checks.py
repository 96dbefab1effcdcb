"""Whether a map can be trusted: does the score follow it, and does it depend on what the net has learned?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import streamlit as st
import torch
from torch import Tensor

from resnet_lab.attribution import METHODS
from resnet_lab.attribution.deletion_insertion import STEPS, fade
from resnet_lab.attribution.sanity_checks import TRUSTED, Similarity, check, parts_of, suspects
from resnet_lab.data import ImageError
from resnet_lab.figures.trust import Fade, Kept, fading_figure, kept_figure
from resnet_lab.ui.common import jobs
from resnet_lab.ui.common.live_chart import live_chart
from resnet_lab.ui.common.markdown import escape_markdown, percent
from resnet_lab.ui.common.runs import is_dark
from resnet_lab.ui.prediction.images import Gallery, Picture, as_batch
from resnet_lab.ui.prediction.maps import Question, heat_of
from resnet_lab.ui.prediction.net import Net
from resnet_lab.ui.prediction.prediction import answered, ask_how, likeliest

RANDOM_ORDERS = 3
PICTURES = 20  # for the check with random weights
QUICK = ["grad_cam", "guided_grad_cam", "saliency"]


@dataclass(frozen=True)
class Faded:
    """The two curves (0 to 1) and their areas, of the map or of a random order of the pixels."""

    is_random: bool
    deletion: tuple[float, ...]
    insertion: tuple[float, ...]
    areas: tuple[float, float]


def trust_view(net: Net, picture: Picture, gallery: Gallery) -> None:
    """Deletion and insertion of this image's map; then the check with random weights over several images."""
    st.markdown("**Does the score follow the map?**")
    found = answered(net, picture)
    if found is None:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        target = st.selectbox("Class", likeliest(found), format_func=net.classes.__getitem__)
        question = ask_how(net, target, may_sign=False)
    _fading(net, picture, question)
    st.markdown("**Does the map depend on what the net has learned?**")
    _sanity(net, gallery)


def _fading(net: Net, picture: Picture, question: Question) -> None:
    heat = heat_of(net, picture, question)
    if heat is None:
        return
    about = (net.key, picture.key, question.target, question.method, question.stage)
    before = jobs.current("prediction.fading", about)
    if before is None or (before.is_broken and st.button("Try again", icon=":material/refresh:")):
        x, place, apart = net.inputs(as_batch(picture.pixels)), torch.from_numpy(heat)[None], net.apart()

        def work(report: jobs.Report, should_stop: jobs.ShouldStop) -> None:
            generator = torch.Generator().manual_seed(0)
            for i in range(1 + RANDOM_ORDERS):
                order = torch.rand(place.shape, generator=generator) if i else place
                report(_faded(apart, x, order, question.target, jobs.ender(should_stop), bool(i)))

        jobs.start("prediction.fading", work, 1 + RANDOM_ORDERS, about)
    job = jobs.current("prediction.fading", about)
    assert job is not None
    jobs.follow(
        job, lambda j: _draw_fading(cast("list[Faded]", list(j.records)), METHODS[question.method].title)
    )


def _faded(
    net: Net, image: Tensor, order: Tensor, target: int, on_pass: jobs.Check, is_random: bool
) -> Faded:
    found = fade(net.model, image, order, torch.tensor([target]), on_pass=on_pass)
    areas = found.deletion_area.item(), found.insertion_area.item()
    return Faded(is_random, tuple(found.deletion[0].tolist()), tuple(found.insertion[0].tolist()), areas)


def _draw_fading(found: list[Faded], title: str) -> None:
    deletion, insertion = st.columns(2, gap="medium")
    for column, kind, axis, which in (
        (deletion, "deletion", "pixels taken away (%)", 0),
        (insertion, "insertion", "pixels brought in (%)", 1),
    ):
        fades = [
            Fade(
                "random order" if record.is_random else title,
                tuple(100 * value for value in (record.insertion if which else record.deletion)),
                record.is_random,
            )
            for record in found
        ]
        with column:
            live_chart(fading_figure(fades, axis, is_dark()), key=f"prediction.{kind}")
            mine = [record.areas[which] for record in found if not record.is_random]
            chance = [record.areas[which] for record in found if record.is_random]
            beside = f", random order {percent(sum(chance) / len(chance))}" if chance else ""
            better = "higher" if which else "lower"
            st.caption(
                f"Area under the {kind} curve: {percent(mine[0])}{beside}. The {better}, the better the map."
            )
    st.caption(
        f"The strongest places of the map are changed first, in {STEPS} steps (Petsiuk et al. 2018, Sec. 4): taken "
        "away, they become the data's mean colour; brought in, they replace a blurred image. Thin: "
        f"{RANDOM_ORDERS} random orders."
    )


def _sanity(net: Net, gallery: Gallery) -> None:
    methods = st.multiselect(
        "Methods",
        list(METHODS),
        QUICK,
        format_func=lambda name: METHODS[name].title,
        key="prediction.checked",
    )
    about = (net.key, gallery.key, tuple(methods))
    parts = parts_of(net.model)
    if st.button("Check with random weights", icon=":material/shuffle:", disabled=not methods):
        try:
            images = net.inputs(_some(gallery, net))
        except ImageError as error:
            st.error(escape_markdown(str(error)))
            return

        model = net.apart().model

        def work(report: jobs.Report, should_stop: jobs.ShouldStop) -> None:
            check(model, images, methods, report, jobs.ender(should_stop))

        jobs.start("prediction.sanity", work, len(methods) * len(parts), about)
    job = jobs.current("prediction.sanity", about)
    if job is None:
        st.caption(
            "Draws the net's parts anew, from the head down to the stem, and compares the maps (Adebayo et al. 2018)."
        )
        return
    count = min(PICTURES, len(gallery.names))
    jobs.follow(job, lambda j: _draw_sanity(cast("list[Similarity]", list(j.records)), parts, count))


def _some(gallery: Gallery, net: Net) -> Tensor:
    """Its first images, uint8 (N, 3, H, W)."""
    return torch.stack([gallery.pixels(i, net) for i in range(min(PICTURES, len(gallery.names)))])


def _draw_sanity(found: list[Similarity], parts: tuple[str, ...], count: int) -> None:
    names = {part: f"stage {part[5:]}" if part.startswith("layer") else part for part in parts}
    kept = [
        Kept(
            METHODS[s.method].title, names[s.part], s.correlation.mean, s.correlation.low, s.correlation.high
        )
        for s in found
    ]
    live_chart(kept_figure(kept, list(names.values()), TRUSTED, is_dark()), key="prediction.sanity")
    if doubtful := suspects(found):
        st.warning(
            f"Not to be trusted here: {', '.join(METHODS[name].title for name in doubtful)}. With all weights random "
            f"the maps still correlate by {TRUSTED} or more, so they show the image more than the net.",
            icon=":material/gpp_maybe:",
        )
    st.caption(
        f"Spearman's rank correlation of the maps' positive parts, mean over {count} images and 95 % "
        f"interval; methods with a layer read the last stage. Above the dashed line ({TRUSTED}) at the right end, a "
        "map says little of what was learned."
    )
