"""Which of two nets that differ in their shortcuts alone learns faster (docs/decisions/races.md)?"""

from __future__ import annotations

from typing import Annotated, ClassVar

from resnet_lab.data import DATASETS
from resnet_lab.experiments.curves import CURVES, CurveSettings
from resnet_lab.experiments.experiment import Experiment
from resnet_lab.experiments.subjects import Trace, read_trace
from resnet_lab.models.cifar import DEPTHS, KINDS
from resnet_lab.schema import Record, about, record
from resnet_lab.training import TrainConfig
from resnet_lab.training.races import MOST_NETS, race


@record
class RaceSettings(Record):
    what: ClassVar[str] = "a race"
    depths: Annotated[
        tuple[int, ...],
        about("6n + 2, as in the paper; others than these can be typed.", title="Layers", examples=DEPTHS),
    ] = (32,)
    shortcuts: Annotated[
        tuple[str, ...],
        about(
            "A: identity, zero-padded where channels grow. B: 1×1 convolutions there. C: everywhere. "
            "Pre-activation: norm and ReLU before each convolution.",
            examples=tuple(KINDS),
        ),
    ] = ("plain", "A")
    dataset: Annotated[str, about(title="Data", examples=tuple(DATASETS))] = "shapes"
    seeds: Annotated[int, about("How many.", ge=1, le=MOST_NETS)] = 1
    epochs: Annotated[int | None, about("Times through the training set.", ge=1)] = None
    train_limit: Annotated[int | None, about("Images for training.", ge=1)] = None


def groups(settings: RaceSettings) -> list[list[TrainConfig]]:
    """
    Raises:
        ValueError: a depth or a kind that cannot be, none of them, or too many nets.
    """
    given = {name: getattr(settings, name) for name in ("epochs", "train_limit")}
    changes = {name: value for name, value in given.items() if value is not None}
    nets = race(settings.depths, settings.shortcuts, settings.dataset, range(settings.seeds))
    return [[config.replace(**changes) for config in group] for group in nets]


RACE: Experiment[RaceSettings, Trace] = Experiment(
    name="race",
    question="train nets that differ in their shortcuts alone, in turns",
    settings=RaceSettings,
    trains=groups,
    prepare=read_trace,
    report=lambda traces, _, dark: CURVES.report(traces, CurveSettings(), dark),
    note="One recipe, one order of batches, and matched initial weights, in float32; only the shortcuts differ. Nets "
    "of one depth and seed take turns step by step, so that their curves grow together.",
    button="Race",
    links={"depths": "depths", "shortcuts": "kinds", "dataset": "data", "seeds": "seeds"},
)
