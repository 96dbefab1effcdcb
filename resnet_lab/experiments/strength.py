"""How much shortcut does a net of this depth need: y = F(x) + α s(x), α swept from 0 to 1?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar

from resnet_lab.data import DATASETS
from resnet_lab.experiments.experiment import Experiment
from resnet_lab.experiments.subjects import Trace, read_trace
from resnet_lab.figures.curves import Curve
from resnet_lab.figures.page import Cell, Chart, Part, Row, Table
from resnet_lab.figures.strength import Strength, path_figure, strength_figure
from resnet_lab.models.cifar import DEPTHS, family
from resnet_lab.models.spec import ModelSpec
from resnet_lab.schema import Record, about, record
from resnet_lab.training import TrainConfig
from resnet_lab.training.races import MOST_NETS, cut_short, sweep


@record
class StrengthSettings(Record):
    what: ClassVar[str] = "a sweep"
    depths: Annotated[
        tuple[int, ...], about("6n + 2; others than these can be typed.", title="Layers", examples=DEPTHS)
    ] = (32,)
    scales: Annotated[
        tuple[float, ...],
        about(
            "In y = F(x) + α s(x): 1 for a residual net, 0 for a plain one. Others up to 2 can be typed.",
            title="Shortcut scales α",
            examples=(0.0, 0.25, 0.5, 0.75, 1.0),
        ),
    ] = (1.0, 0.75, 0.5, 0.25, 0.0)
    dataset: Annotated[str, about(title="Data", examples=tuple(DATASETS))] = "shapes"
    seeds: Annotated[int, about("How many.", ge=1, le=MOST_NETS)] = 1
    epochs: Annotated[int | None, about("Times through the training set.", ge=1)] = None
    train_limit: Annotated[int | None, about("Images for training.", ge=1)] = None


def groups(settings: StrengthSettings) -> list[list[TrainConfig]]:
    """
    Raises:
        ValueError: a depth or an α that cannot be, none of them, or too many nets.
    """
    return cut_short(
        sweep(settings.depths, settings.scales, settings.dataset, range(settings.seeds)), settings
    )


def strength_of(spec: ModelSpec) -> tuple[int, float] | None:
    """Depth and α of a net of option A whose shortcuts are all weighed alike, or of a plain one, whose α is 0; None for
    any other.
    """
    net = family(spec.replace(shortcut_scale=(1.0,)))
    if net is None or net[1] not in ("A", "plain") or len(spec.shortcut_scale) > 1:
        return None
    return net[0], 0.0 if net[1] == "plain" else spec.shortcut_scale[0]


def measure(traces: Sequence[Trace], _: object = None) -> Iterator[Strength]:
    """What the runs of the family have come to by now; other nets are left out."""
    for trace in traces:
        spec = trace.run.config.spec
        if (net := strength_of(spec)) is None:
            continue
        depth, alpha = net
        tested, epochs = trace.status.test_accuracy, trace.curve.epochs
        accuracy = tested if tested is not None else epochs[-1].val_accuracy if epochs else None
        percent = None if accuracy is None else 100 * accuracy
        ratios = _first_over_last(trace.curve)
        recipe = f"{trace.run.config.dataset}, {trace.run.config.epochs} epochs"
        yield Strength(alpha, depth, sum(spec.blocks), percent, tested is not None, ratios, recipe)


def _first_over_last(curve: Curve) -> tuple[float, float] | None:
    """Of the gradients for the first convolution of the first block and of the last one, first told and last told."""
    layers = curve.started.layers if curve.started else ()
    in_blocks = [
        i for i, layer in enumerate(layers) if layer.startswith("layer") and layer.endswith(".conv1")
    ]
    if not in_blocks:
        return None
    first, last = in_blocks[0], in_blocks[-1]
    told = [
        g.norms[first] / g.norms[last]
        for g in curve.gradients
        if g.norms and g.norms[last] and g.norms[first]
    ]
    return (told[0], told[-1]) if told else None


def report(records: Sequence[Strength], _: StrengthSettings, dark: bool) -> list[Part]:
    if not records:
        return [
            "None of these runs is of a net of this family; press **Sweep**, or choose runs of resnet32 and plain32."
        ]
    untested = sum(not r.is_tested for r in records)
    caption = (
        "Left: each run a mark, a line the mean over seeds; test accuracy"
        + (f", of {untested} runs that go on the latest validation accuracy" if untested else "")
        + ". Right: through n blocks the shortcuts alone carry αⁿ (He et al. 2016, Eq. 7–8); circles are the norm "
        "of the gradient for the first block's first convolution over the last block's, as the run told it. The two "
        "need not agree, as the gradient also comes through every F."
    )
    charts = Row([Chart(strength_figure(records, dark)), Chart(path_figure(records, dark))], caption)
    return [charts, Table([_row(r) for r in sorted(records, key=lambda r: (r.depth, r.recipe, -r.alpha))])]


def _row(r: Strength) -> dict[str, Cell]:
    first, latest = r.first_over_last or (None, None)
    return {
        "layers": r.depth,
        "α": r.alpha,
        "data": r.recipe,
        "accuracy (%)": None if r.accuracy is None else round(r.accuracy, 2),
        "on": "test" if r.is_tested else "validation",
        "αⁿ": f"{r.identity_path:.3g}",
        "gradient, first over last block, first steps": None if first is None else f"{first:.3g}",
        "latest steps": None if latest is None else f"{latest:.3g}",
    }


STRENGTH: Experiment[StrengthSettings, Strength] = Experiment(
    name="strength",
    question="how much shortcut a net needs: α swept from 0 to 1",
    settings=StrengthSettings,
    trains=groups,
    prepare=read_trace,
    measure=measure,
    report=report,
    view="Strength",
    note="y = F(x) + α s(x). Nets of one depth and seed take turns on the same batches, from the same weights, in "
    "float32; nothing but α differs.",
    button="Sweep",
    links={"depths": "strength_depths", "scales": "scales"},
)
