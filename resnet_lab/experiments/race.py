"""Which of two nets that differ in their shortcuts alone learns faster (docs/decisions/races.md)?"""

from __future__ import annotations

from resnet_lab.experiments.curves import CURVES, CurveSettings
from resnet_lab.experiments.experiment import Experiment
from resnet_lab.experiments.subjects import Trace, read_trace
from resnet_lab.training.races import RaceSettings, groups

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
