"""`train`: a flag for each field of a recipe."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from resnet_lab.cli.files import read_file
from resnet_lab.cli.flags import add_fields, given
from resnet_lab.cli.resume import train_in_console
from resnet_lab.data import Augmentation
from resnet_lab.training import RECIPES, TrainConfig


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recipe", default="quick", help=f"where to begin: {', '.join(RECIPES)} (default: quick)"
    )
    parser.add_argument("--config", type=Path, help="a recipe as JSON, in place of --recipe")
    parser.add_argument("--name", default="", help="what the app calls the run")
    add_fields(parser, TrainConfig, "augmentation")
    add_fields(parser.add_argument_group("augmentation, of training images"), Augmentation)


def command(options: argparse.Namespace) -> int:
    from resnet_lab.inspection.memory.step_memory import shortage
    from resnet_lab.runs import RunStore
    from resnet_lab.runs.group import run_of_group
    from resnet_lab.training.preflight import first_step

    if options.recipe not in RECIPES:
        raise ValueError(f"recipe is {options.recipe!r}; it may be {', '.join(RECIPES)}")
    base = RECIPES[options.recipe]
    if options.config is not None:
        base = TrainConfig.from_json(read_file(options.config))
    augmentation = base.augmentation.to_dict() | given(options, Augmentation)
    changes = {**given(options, TrainConfig), "augmentation": augmentation}
    config = TrainConfig.from_dict(base.to_dict() | changes)
    step = first_step(config)
    if step and (lack := shortage(*step)):
        print(f"resnet_lab: by the lab's estimate, {lack}; it goes on", file=sys.stderr)
    return train_in_console(lambda: run_of_group(RunStore(), config, options.name), config.device)
