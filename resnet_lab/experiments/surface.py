"""What does the loss look like around trained nets (Li et al. 2018)?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

import torch

from resnet_lab.analysis.loss_surface import Grid, random_direction, surface
from resnet_lab.analysis.records import LossPoint, by_net
from resnet_lab.experiments.experiment import Experiment, in_turn
from resnet_lab.experiments.subjects import Subject, load_subject
from resnet_lab.figures.loss_surface import loss_range, slice_figure, surface_figure
from resnet_lab.figures.page import Alert, Chart, Part, Row
from resnet_lab.schema import Record, about, record
from resnet_lab.training.execution.device import half_precision

NEAR = 0.25  # of the radius: where half precision is checked, beside the net itself
CHECKED = 100  # images
TOLERANCE = 0.01  # relative, of a loss in half precision


@record
class SurfaceSettings(Record):
    what: ClassVar[str] = "a loss surface"
    show: Annotated[Literal["surface", "slice"], about("Both directions, or the first alone.")] = "surface"
    points: Annotated[int, about(title="Points per side", ge=2, le=201, examples=(5, 11, 17, 25))] = 11
    radius: Annotated[float, about("In lengths of the net's own filters.", gt=0)] = 1.0
    images: Annotated[int, about("The first ones of the training set.", ge=1, examples=(200, 500, 1000))] = (
        200
    )
    seed: Annotated[int, about("Of the two directions.", ge=0, le=2**31 - 1)] = 0
    seen_from: Annotated[Literal["above", "side"], about("A surface as contours, or in space.")] = "above"

    @property
    def grid(self) -> Grid:
        return Grid(self.points, self.radius, self.show == "slice")


def measure(subjects: Sequence[Subject], settings: SurfaceSettings) -> Iterator[LossPoint]:
    """A point of each net in turn, coarse to fine."""
    return in_turn(_around(subject, settings) for subject in subjects)


def _around(subject: Subject, settings: SurfaceSettings) -> Iterator[LossPoint]:
    """In half precision where the device has it and its loss is within 1 % of float32's near the net."""
    model, images, labels = subject.model, subject.images, subject.labels
    directions = random_direction(model, 2 * settings.seed), random_direction(model, 2 * settings.seed + 1)
    near = [(0.0, 0.0), (NEAR * settings.radius, NEAR * settings.radius)]

    def losses(dtype: torch.dtype) -> list[float]:
        points = surface(model, images[:CHECKED], labels[:CHECKED], directions, near, dtype)
        return [point.loss for point in points]

    dtype = torch.float32
    if half_precision(images.device) == "bf16":
        pairs = zip(losses(torch.float32), losses(torch.bfloat16), strict=True)
        if all(abs(exact - loss) <= TOLERANCE * abs(exact) for exact, loss in pairs):
            dtype = torch.bfloat16
    yield from surface(model, images, labels, directions, settings.grid.places(), dtype, subject.name)


def report(points: Sequence[LossPoint], settings: SurfaceSettings, dark: bool) -> list[Part]:
    """A slice of all nets, or a surface of each on one scale."""
    nets, limits = by_net(points), loss_range(points)
    figures = (
        [slice_figure(points, dark)]
        if settings.show == "slice"
        else [surface_figure(found, limits, dark, settings.seen_from == "above") for found in nets.values()]
    )
    precisions = ", ".join(f"{net} in {found[0].precision}" for net, found in nets.items())
    caption = (
        f"Mean loss on the first {settings.images:,} training images, logarithmic, one scale for all nets; the cross "
        f"is the net itself. Two random directions (seed {settings.seed}), each filter as long as the net's own (Li et "
        f"al. 2018, Sec. 4); BN's parameters and running statistics stay as trained. {precisions} (bfloat16 where its "
        "loss is within 1 % of float32's on 100 images, at the net and a quarter of the radius from it)."
    )
    parts: list[Part] = [Row([Chart(figure) for figure in figures], caption)]
    if lost := sum(not math.isfinite(point.loss) for point in points):
        parts.append(
            Alert(f"At {lost} of {len(points)} places the loss is no finite number; they are left out.")
        )
    return parts


SURFACE = Experiment(
    name="surface",
    question="the loss around trained runs",
    settings=SurfaceSettings,
    prepare=lambda run, name, settings: load_subject(run, name, "train", settings.images),
    measure=measure,
    report=report,
    total=lambda subjects, settings: len(subjects) * len(settings.grid.places()),
    view="Surface",
    note="11 × 11 points on 200 images take a pair of 32-layer nets some fifteen seconds on two CPU cores.",
    button="Compute",
    most=2,
    looks=frozenset({"seen_from"}),
)
