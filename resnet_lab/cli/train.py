"""`train`: a flag for each field of a recipe."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from resnet_lab.cli.resume import train_in_console
from resnet_lab.data import Augmentation
from resnet_lab.schema import fields_of
from resnet_lab.training import RECIPES, TrainConfig


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recipe", default="quick", help=f"where to begin: {', '.join(RECIPES)} (default: quick)"
    )
    parser.add_argument("--config", type=Path, help="a recipe as JSON, in place of --recipe")
    parser.add_argument("--name", default="", help="what the app calls the run")
    _add_fields(parser, TrainConfig, "augmentation")
    _add_fields(parser.add_argument_group("augmentation, of training images"), Augmentation)
    parser.set_defaults(command=_train)


def _add_fields(parser: Any, cls: type, *without: str) -> None:
    """A flag for each field of a record, read as its kind; whether it may be is for the record to check."""
    for name, field in fields_of(cls).items():
        if name in without:
            continue
        about = f"{field.help} {field.allowed[0].upper()}{field.allowed[1:]}.".strip().replace("%", "%%")
        flag: dict[str, Any] = {"type": field.kind if field.kind in (int, float) else str}
        if field.kind is bool:
            flag = {"action": argparse.BooleanOptionalAction}
        elif field.items is not None:
            flag = {
                "nargs": field.longest if field.longest == field.shortest else "*",
                "type": field.items.kind,
            }
        parser.add_argument(f"--{name.replace('_', '-')}", help=about, **flag)


def _train(options: argparse.Namespace) -> int:
    from resnet_lab.inspection.memory.step_memory import shortage
    from resnet_lab.runs import RunStore
    from resnet_lab.runs.group import run_of_group
    from resnet_lab.training.preflight import first_step

    if options.recipe not in RECIPES:
        raise ValueError(f"recipe is {options.recipe!r}; it may be {', '.join(RECIPES)}")
    base = RECIPES[options.recipe] if options.config is None else _read_recipe(options.config)
    changes = _given(options, TrainConfig) | {
        "augmentation": base.augmentation.to_dict() | _given(options, Augmentation)
    }
    config = TrainConfig.from_dict(base.to_dict() | changes)
    step = first_step(config)
    if step and (lack := shortage(*step)):
        print(f"resnet_lab: by the lab's estimate, {lack}; it goes on", file=sys.stderr)
    return train_in_console(lambda: run_of_group(RunStore(), config, options.name))


def _given(options: argparse.Namespace, cls: type) -> dict[str, Any]:
    """The fields of a record that flags were given for."""
    return {name: value for name in fields_of(cls) if (value := getattr(options, name, None)) is not None}


def _read_recipe(path: Path) -> TrainConfig:
    try:
        return TrainConfig.from_json(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({type(error).__name__})") from None
