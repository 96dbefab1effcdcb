"""Why: gradients at the start, responses, lesions and the loss surface of nets, as figures with their captions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import torch

from resnet_lab.analysis.gradients import BATCH, LINES, POINTS, initial_correlation, initial_gradients
from resnet_lab.analysis.lesions import Prepared, remove_each
from resnet_lab.analysis.loss_surface import Grid, agrees, random_direction, surface
from resnet_lab.analysis.responses import layer_responses
from resnet_lab.data import load_dataset
from resnet_lab.figures.curves import DASHES
from resnet_lab.figures.flow import LayerSeries, depth_lines, responses_figure
from resnet_lab.figures.lesions import Without, each_figure
from resnet_lab.figures.loss_surface import Sample, loss_range, surface_figure
from resnet_lab.figures.page import Chart, Heading, Part, Table
from resnet_lab.models.cifar import cifar_net
from resnet_lab.runs import Run, load_run_model
from resnet_lab.runs.names import distinct_names
from resnet_lab.training.execution.device import half_precision

STARTS = 8  # measurements of a `Start`


@dataclass(frozen=True)
class Start:
    """Both kinds, with and without BN, before the first step: norms by layer, correlations by block."""

    norms: tuple[LayerSeries, ...]
    correlations: tuple[LayerSeries, ...]

    def norm(self, name: str) -> LayerSeries:
        return next(line for line in self.norms if line.name == name)

    def correlation(self, name: str) -> LayerSeries:
        return next(line for line in self.correlations if line.name == name)


def measuring_start(depth: int, seed: int) -> Iterator[Start]:
    """After each of `STARTS` measurements on the first images of `shapes`: what is known by then, norms first."""
    data = load_dataset("shapes", limit=BATCH)
    found = Start((), ())
    nets = [
        (cifar_net(depth, kind).replace(norm=norm), name + suffix, dash)
        for norm, suffix, dash in (("batch", "", "solid"), ("none", " without BN", "dash"))
        for kind, name in (("A", f"resnet{depth}"), ("plain", f"plain{depth}"))
    ]
    for spec, name, dash in nets:
        layers = initial_gradients(spec, data, seed)
        line = LayerSeries(name, spec.is_plain, [g.norm for g in layers], [g.name for g in layers], dash)
        yield (found := replace(found, norms=(*found.norms, line)))
    for spec, name, dash in nets:
        blocks = initial_correlation(spec, data, seed)
        line = LayerSeries(
            name, spec.is_plain, [b.correlation for b in blocks], [b.name for b in blocks], dash
        )
        yield (found := replace(found, correlations=(*found.correlations, line)))


def measure_start(depth: int, seed: int) -> Start:
    """All that `measuring_start` finds."""
    *_, found = measuring_start(depth, seed)
    return found


def gradients_report(start: Start, dark: bool = False) -> list[Part]:
    """Norms and correlations at the start, each layer's place kept."""
    rows = [
        {
            "net": line.name,
            "first layer": f"{line.values[0]:.3g}",
            "middle": f"{line.values[len(line.values) // 2]:.3g}",
            "last": f"{line.values[-1]:.3g}",
        }
        for line in start.norms
    ]
    norms = depth_lines(start.norms, "layer", "gradient norm", dark, log=True)
    alike = depth_lines(start.correlations, "block", "correlation of neighbours", dark)
    return [
        Table(rows),
        Chart(
            norms,
            f"Norm of each convolution's gradient before the first step, {BATCH} images. Left is the input.",
        ),
        Chart(
            alike,
            f"Correlation of gradients at neighbouring points of {LINES} lines from image to image, "
            f"{POINTS} points each, at each block's input. 0: as white noise; 1: all alike.",
        ),
    ]


def responses_of(run: Run, pictures: int) -> tuple[list[float], list[str]]:
    """Standard deviations of a trained run's layers on test images, and the layers' names.

    Raises:
        RunError, ValueError: its checkpoint or data cannot be had.
    """
    net = load_run_model(run)
    data = load_dataset(net.dataset, split="test", limit=pictures, image_size=net.image_size)
    found = layer_responses(net.model, net.inputs(data.images))
    return [r.std for r in found], [r.name for r in found]


def responses_report(runs: Sequence[Run], pictures: int = 500) -> list[Part]:
    """In the order of the layers, and by size (He et al. 2015, Fig. 7)."""
    lines = [
        LayerSeries(name, run.config.spec.is_plain, *responses_of(run, pictures), DASHES[i % len(DASHES)])
        for i, (run, name) in enumerate(zip(runs, distinct_names(runs), strict=True))
    ]
    caption = (
        f"Standard deviation after each convolution's BN, before ReLU and addition, {pictures} test images."
    )
    return [Chart(responses_figure(lines), caption), Chart(responses_figure(lines, ordered=True), caption)]


@dataclass(frozen=True)
class Lesions:
    """A net without each of its blocks: accuracies in percent. `drop`: the median, of blocks that keep the shape."""

    name: str
    whole: float
    found: tuple[Without, ...]

    @property
    def drop(self) -> float:
        return median(self.whole - record.accuracy for record in self.found if not record.changes_shape)


def lesions_of(run: Run, pictures: int, name: str = "") -> Lesions:
    """Of a trained run, called `name` or after its net.

    Raises:
        RunError, ValueError: its checkpoint or data cannot be had.
    """
    net = load_run_model(run)
    data = load_dataset(net.dataset, split="test", limit=pictures, image_size=net.image_size)
    prepared = Prepared(net.model, net.inputs(data.images), data.labels)
    changes = {place.name for place in prepared.places if place.changes_shape}
    spec = run.config.spec
    found = [
        Without(name or spec.name, spec.is_plain, r.removed, 100 * r.accuracy, r.removed[0] in changes)
        for r in reversed(list(remove_each(prepared)))
    ]
    return Lesions(name or spec.name, 100 * prepared.whole, tuple(found))


def lesions_figure(nets: Sequence[Lesions], pictures: int, dark: bool = False) -> Chart:
    """All nets' blocks beside each other."""
    places = [record.removed[0] for record in max(nets, key=lambda n: len(n.found)).found]
    figure = each_figure([r for n in nets for r in n.found], places, {n.name: n.whole for n in nets}, dark)
    caption = (
        f"Accuracy on {pictures} test images without each block alone. Hatched: blocks that change the shape."
    )
    return Chart(figure, caption)


def lesions_report(runs: Sequence[Run], pictures: int = 1000) -> list[Part]:
    """Each block in turn, and what the median one costs."""
    nets = [lesions_of(run, pictures, name) for run, name in zip(runs, distinct_names(runs), strict=True)]
    rows = [
        {"net": n.name, "whole": f"{n.whole:.1f} %", "median block costs": f"{n.drop:.1f} points"}
        for n in nets
    ]
    return [Table(rows), lesions_figure(nets, pictures)]


def surface_report(runs: Sequence[Run], grid: Grid, pictures: int = 500, seed: int = 0) -> list[Part]:
    """From above, one scale for all; in bfloat16 where its loss agrees with float32's."""
    samples: list[Sample] = []
    for run, name in zip(runs, distinct_names(runs), strict=True):
        net, plain = load_run_model(run), run.config.spec.is_plain
        data = load_dataset(net.dataset, split="train", limit=pictures, image_size=net.image_size)
        images = net.inputs(data.images)
        both = random_direction(net.model, 2 * seed), random_direction(net.model, 2 * seed + 1)

        near = [(0.0, 0.0), (grid.radius / 4, grid.radius / 4)]
        sound = half_precision(images.device) == "bf16" and agrees(
            net.model, images[:100], data.labels[:100], both, near, torch.bfloat16
        )
        dtype = torch.bfloat16 if sound else torch.float32
        points = surface(net.model, images, data.labels, both, grid.places(), dtype)
        samples += [Sample(name, plain, p.a, p.b, p.loss, p.accuracy) for p in points]
    limits = loss_range(samples)
    caption = (
        f"Mean loss on {pictures} training images, logarithmic, one scale; the cross is the net itself. Two "
        f"random directions (seed {seed}), each filter as long as the net's own (Li et al. 2018, Sec. 4); BN's"
        " parameters and running statistics stay as trained."
    )
    parts: list[Part] = []
    for name in dict.fromkeys(s.name for s in samples):
        parts += [
            Heading(name),
            Chart(surface_figure([s for s in samples if s.name == name], limits), caption),
        ]
    if lost := sum(not math.isfinite(s.loss) for s in samples):
        parts.append(f"At {lost} of {len(samples)} places the loss is no finite number; they are left out.")
    return parts
