"""Do gradients reach the first layers before the first step, and what do they say there?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar

from resnet_lab.analysis.gradients import BATCH, LINES, POINTS, initial_correlation, initial_gradients
from resnet_lab.analysis.records import LayerSeries
from resnet_lab.data import load_dataset
from resnet_lab.experiments.experiment import Experiment
from resnet_lab.figures.flow import depth_lines
from resnet_lab.figures.page import Chart, Part, Row, Table
from resnet_lab.models.cifar import DEPTHS, cifar_net
from resnet_lab.schema import Record, about, record

NORM, CORRELATION = "gradient norm", "correlation of neighbours"


@record
class GradientSettings(Record):
    what: ClassVar[str] = "a measurement of gradients"
    depth: Annotated[int, about("6n + 2 layers.", title="Layers at the start", examples=DEPTHS)] = 56
    seed: Annotated[int, about("Of the initial weights.", ge=0, le=2**31 - 1)] = 0


def measure(_: Sequence[None], settings: GradientSettings) -> Iterator[LayerSeries]:
    """Both kinds, with and without BN, on the first images of `shapes`: norms by layer, then correlations by block."""
    data = load_dataset("shapes", limit=BATCH)
    nets = [
        (cifar_net(settings.depth, kind).replace(norm=norm), f"{name}{settings.depth}{suffix}")
        for norm, suffix in (("batch", ""), ("none", " without BN"))
        for kind, name in (("A", "resnet"), ("plain", "plain"))
    ]
    for quantity, of in ((NORM, initial_gradients), (CORRELATION, initial_correlation)):
        for spec, name in nets:
            yield LayerSeries(name, spec.is_plain, quantity, of(spec, data, settings.seed))


def report(records: Sequence[LayerSeries], _: GradientSettings, dark: bool) -> list[Part]:
    norms = [series for series in records if series.quantity == NORM]
    alike = [series for series in records if series.quantity == CORRELATION]
    caption = (
        f"Before the first step: norm of the loss's gradient for each convolution's weights, {BATCH} images of the "
        "shapes, Kaiming initialisation (fan out), float32. Left is the input."
    )
    charts = [Chart(depth_lines(norms, "layer", NORM, dark, log=True), caption)]
    if alike:
        figure = depth_lines(alike, "block", CORRELATION, dark).update_yaxes(range=[-0.1, 1.02])
        caption = (
            f"Between gradients at neighbouring points of {LINES} lines from image to image, {POINTS} points each, at "
            "the input of each block. 0: as white noise; 1: all alike. Closer points would raise all of them."
        )
        charts.append(Chart(figure, caption))
    return [Table([_row(series) for series in norms]), Row(charts)]


def _row(series: LayerSeries) -> dict[str, str]:
    norms = [number(norm) for norm in series.values.values()]
    return {"net": series.net, "first layer": norms[0], "middle": norms[len(norms) // 2], "last": norms[-1]}


def number(value: float) -> str:
    """2,014 or 0.00083: two digits that count, and no powers of ten where a reader would have to think."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


GRADIENTS = Experiment(
    name="gradients",
    question="gradients before the first step, with and without BN",
    settings=GradientSettings,
    measure=measure,
    report=report,
    total=lambda *_: 8,
    view="Gradients",
    links={"depth": "start_depth", "seed": "start_seed"},
)
