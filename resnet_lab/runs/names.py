"""What runs are called beside each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from resnet_lab.runs.run import Run
from resnet_lab.training.config import TrainConfig
from resnet_lab.training.races import differing

MOST_SETTINGS = 3  # in a name


def distinct_names(runs: Sequence[Run]) -> list[str]:
    """Net and seed of each run; where several have the same, the end of the id too."""
    names = [
        f"{run.config.spec.name}, seed {run.config.seed}" + (", recorded" if run.is_recorded else "")
        for run in runs
    ]
    times = Counter(names)
    return [
        name if times[name] == 1 else f"{name} ({run.mark})" for name, run in zip(names, runs, strict=True)
    ]


def told_apart(names: Sequence[str], configs: Sequence[TrainConfig], marks: Sequence[str]) -> list[str]:
    """The names of runs; behind those that several have, in which settings these differ, else their marks."""
    together: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        together.setdefault(name, []).append(at)
    found = list(names)
    for name, places in together.items():
        settings = list(differing([configs[at] for at in places]).items())[:MOST_SETTINGS]
        for i, at in enumerate(places):
            found[at] = ", ".join([name, *(f"{setting} {setting_text(of[i])}" for setting, of in settings)])
    times = Counter(found)
    return [name if times[name] == 1 else f"{name} ({mark})" for name, mark in zip(found, marks, strict=True)]


def setting_text(value: Any) -> str:
    """As tables and figures show it: 0.05; 30, 60; yes; – for none."""
    if isinstance(value, tuple):
        return ", ".join(map(setting_text, value)) or "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
