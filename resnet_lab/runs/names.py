"""What runs are called beside each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from resnet_lab.runs.run import Run


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
