"""What do trained nets lose without one of their blocks, or without many (Veit et al. 2016, Sec. 4)?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from statistics import median
from typing import Annotated, ClassVar

from resnet_lab.analysis.lesions import Prepared, coarse_first, remove_each, remove_random
from resnet_lab.analysis.records import Lesion, by_net
from resnet_lab.experiments.experiment import Experiment, in_turn
from resnet_lab.experiments.subjects import load_subject
from resnet_lab.figures.lesions import each_figure, random_figure
from resnet_lab.figures.page import Cell, Chart, Part, Table
from resnet_lab.runs import Run
from resnet_lab.schema import Record, about, record

DRAWS = 3  # of each number of blocks


@record
class LesionSettings(Record):
    what: ClassVar[str] = "a lesion"
    images: Annotated[int, about("The first ones of the test set.", ge=1, examples=(200, 500, 1000))] = 1000


def prepare(run: Run, name: str, settings: LesionSettings) -> Prepared:
    """
    Raises:
        RunError, ValueError: the run's checkpoint or data cannot be had.
    """
    subject = load_subject(run, name, "test", settings.images)
    return Prepared(subject.model, subject.images, subject.labels, name=name)


def measure_each(nets: Sequence[Prepared], _: LesionSettings) -> Iterator[Lesion]:
    """The whole net, then without each block in turn, from the last to the first."""
    return in_turn(chain([net.whole], remove_each(net)) for net in nets)


def measure_random(nets: Sequence[Prepared], _: LesionSettings) -> Iterator[Lesion]:
    """The whole net, then without 1 to all of its blocks, coarse to fine; nets of one depth lose the same ones."""
    found = ((net, remove_random(net, coarse_first(len(net.places)), DRAWS)) for net in nets)
    return in_turn(chain([net.whole], lesions) for net, lesions in found)


def median_cost(records: Sequence[Lesion]) -> float | None:
    """Points of accuracy (percent) that the median block of one net costs, of those that keep the shape."""
    whole = next(r.accuracy for r in records if not r.removed)
    costs = [100 * (whole - r.accuracy) for r in records if r.removed and not r.changes_shape]
    return median(costs) if costs else None


def report_each(records: Sequence[Lesion], _: LesionSettings, dark: bool) -> list[Part]:
    rows: list[dict[str, Cell]] = []
    for net, found in by_net(records).items():
        whole, cost = round(100 * found[0].accuracy, 1), median_cost(found)
        costs = None if cost is None else round(cost, 1)
        rows.append({"net": net, "whole net (%)": whole, "median block costs (points)": costs})
    caption = (
        f"Each bar: accuracy on {records[0].samples:,} test images without that block alone. Hatched: blocks that "
        "change the shape, whose shortcut subsamples and widens; the median is of the others. Dashed: the whole net."
    )
    return [Table(rows), Chart(each_figure(records, dark), caption)]


def report_random(records: Sequence[Lesion], _: LesionSettings, dark: bool) -> list[Part]:
    caption = (
        f"{DRAWS} random choices of each number of blocks, a mark each, and their mean, on {records[0].samples:,} test "
        "images; nets of one depth lose the same blocks. Veit et al. 2016 (Sec. 4.2) find that a residual net's error "
        "grows smoothly."
    )
    return [Chart(random_figure(records, dark), caption)]


LESION = Experiment(
    name="lesion",
    question="trained runs without each of their blocks",
    settings=LesionSettings,
    prepare=prepare,
    measure=measure_each,
    report=report_each,
    total=lambda nets, _: sum(1 + len(net.places) for net in nets),
    view="Lesion",
    button="Remove each in turn",
    most=2,
)
RANDOM_LESION = replace(
    LESION,
    name="random-lesion",
    question="trained runs without many blocks at random",
    measure=measure_random,
    report=report_random,
    total=lambda nets, _: sum(1 + DRAWS * len(net.places) for net in nets),
    button="Remove k at random",
)
