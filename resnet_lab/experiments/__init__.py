"""One file an experiment: question, measurement, figures, captions; used by page, lesson, report and command line."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from resnet_lab.experiments.experiment import Experiment


@cache
def experiments() -> dict[str, Experiment[Any, Any]]:
    """All, by name: whatever file of this folder has one is found by itself."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    found = (value for module in modules for value in vars(module).values())
    return {value.name: value for value in found if isinstance(value, Experiment)}
