"""The loss around trained nets, growing on the page from coarse to fine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import streamlit as st
import torch
from torch import Tensor

from resnet_lab.analysis.loss_surface import Direction, Grid, Point, agrees, random_direction, surface
from resnet_lab.data import load_dataset
from resnet_lab.figures.loss_surface import Sample, loss_range, slice_figure, surface_figure
from resnet_lab.models import ResNet
from resnet_lab.runs import Run, RunError, load_run_model
from resnet_lab.runs.names import distinct_names
from resnet_lab.training.execution.device import device_name, half_precision, pick_device
from resnet_lab.ui.common import jobs
from resnet_lab.ui.common.live_chart import live_chart
from resnet_lab.ui.common.markdown import duration, escape_markdown
from resnet_lab.ui.common.runs import is_dark
from resnet_lab.ui.comparison.lesion import first_pair

NEAR = 0.25  # of the radius: where half precision is checked, beside the net itself


@dataclass(frozen=True)
class Question:
    """What is asked of every net."""

    grid: Grid
    seed: int
    pictures: int


@dataclass(frozen=True)
class Asked:
    """A question, the runs that could not be asked and why, and once the work has begun, each net's precision."""

    question: Question
    problems: list[str]
    precisions: dict[str, str]


@dataclass(frozen=True)
class Subject:
    """A net with the training images of its surface, on its device."""

    name: str
    plain: bool
    model: ResNet
    images: Tensor
    labels: Tensor

    def sample(self, point: Point) -> Sample:
        return Sample(self.name, self.plain, point.a, point.b, point.loss, point.accuracy)


def surface_view(runs: list[Run]) -> None:
    """Asks for grid and images, and draws what has been computed of both nets."""
    if not runs:
        st.info("Press **Race**, or choose trained runs above.", icon=":material/arrow_upward:")
        return
    pair = first_pair(runs)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.segmented_control(
            "Show", ["Surface", "Slice"], default="Surface", required=True, key="comparison.surface"
        )
        count = st.selectbox("Points a side", [5, 11, 17, 25], index=1, key="comparison.points", width=130)
        radius = st.number_input("Radius", 0.05, 5.0, 1.0, 0.25, key="comparison.radius", width=120)
        pictures = st.selectbox("Images", [200, 500, 1000], index=0, key="comparison.pictures", width=120)
        seed = st.number_input("Seed", 0, 2**31 - 1, 0, key="comparison.seed", width=120)
        pressed = st.button("Compute", icon=":material/landscape:", type="primary")
    if pressed:
        _start(pair, Question(Grid(count, radius, kind == "Slice"), seed, pictures))
    job = jobs.current("comparison.landscape", [run.id for run in pair])
    if job is None:
        st.caption(
            "11 × 11 points on 200 images take a pair of 32-layer nets some fifteen seconds on two CPU cores."
        )
        return
    above = st.segmented_control(
        "Seen from", ["Above", "The side"], default="Above", required=True, key="comparison.seen_from"
    )
    for problem in st.session_state["comparison.asked"].problems:
        st.warning(escape_markdown(problem))
    jobs.follow(job, lambda j: _draw(j, above == "Above"))


def _start(runs: list[Run], question: Question) -> None:
    subjects, asked = [], Asked(question, [], {})
    for run, name in zip(runs, distinct_names(runs), strict=True):
        try:
            subjects.append(_subject(run, name, question.pictures))
        except (RunError, ValueError) as error:
            asked.problems.append(str(error))
    places = question.grid.places()

    def work(report: jobs.Report, should_stop: jobs.ShouldStop) -> None:
        directions = [_directions(subject, question) for subject in subjects]
        dtypes = [_dtype(s, d, question.grid.radius) for s, d in zip(subjects, directions, strict=True)]
        for subject, dtype in zip(subjects, dtypes, strict=True):
            asked.precisions[subject.name] = str(dtype).removeprefix("torch.")
        growing = [
            surface(s.model, s.images, s.labels, d, places, t)
            for s, d, t in zip(subjects, directions, dtypes, strict=True)
        ]
        for at_once in zip(*growing, strict=True):  # a point of each in turn, so that they grow together
            for subject, point in zip(subjects, at_once, strict=True):
                report(subject.sample(point))
            if should_stop():
                return

    jobs.start("comparison.landscape", work, len(subjects) * len(places), [run.id for run in runs])
    st.session_state["comparison.asked"] = asked


def _subject(run: Run, name: str, pictures: int) -> Subject:
    net, device = load_run_model(run), pick_device("auto")
    data = load_dataset(net.dataset, split="train", limit=pictures, image_size=net.image_size).to(device)
    return Subject(name, run.config.spec.is_plain, net.model.to(device), net.inputs(data.images), data.labels)


def _directions(subject: Subject, question: Question) -> tuple[Direction, Direction]:
    first, second = (random_direction(subject.model, 2 * question.seed + i) for i in range(2))
    return first, second


def _dtype(subject: Subject, directions: tuple[Direction, Direction], radius: float) -> torch.dtype:
    """Half precision where this device has it and its loss agrees with float32's."""
    if half_precision(subject.images.device) != "bf16":
        return torch.float32
    places = [(0.0, 0.0), (NEAR * radius, NEAR * radius)]
    images, labels = subject.images[:100], subject.labels[:100]
    sound = agrees(subject.model, images, labels, directions, places, torch.bfloat16)
    return torch.bfloat16 if sound else torch.float32


def _draw(job: jobs.Job, from_above: bool) -> None:
    records = cast("list[Sample]", list(job.records))
    asked: Asked = st.session_state["comparison.asked"]
    question = asked.question
    if question.grid.is_slice:
        live_chart(slice_figure(records, is_dark()), key="comparison.slice")
    else:
        limits = loss_range(records)
        names = list(dict.fromkeys(sample.name for sample in records))
        for i, (name, column) in enumerate(zip(names, st.columns(max(len(names), 2)), strict=False)):
            with column:
                mine = [sample for sample in records if sample.name == name]
                figure = surface_figure(mine, limits, is_dark(), from_above)
                live_chart(figure, key=f"comparison.surface.{i}.{from_above}")
    if lost := sum(not math.isfinite(sample.loss) for sample in records):
        st.warning(f"At {lost} of {len(records)} places the loss is no finite number; they are left out.")
    st.caption(
        f"Mean loss on the first {question.pictures} training images, logarithmic, one scale for both nets; the "
        f"cross is the net itself. Two random directions (seed {question.seed}), each filter as long as the net's "
        "own (Li et al. 2018, Sec. 4); BN's parameters and running statistics stay as trained. "
        f"{', '.join(f'{name} in {kind}' for name, kind in asked.precisions.items())} (bfloat16 where its loss is "
        "within 1 % of float32's on 100 images, at the net and a quarter of the radius from it); "
        f"{duration(job.seconds)} on {device_name(pick_device('auto'))}."
    )
