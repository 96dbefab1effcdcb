"""`sweep`: depths × shortcuts × seeds in the Ray cluster, one run each."""

from __future__ import annotations

import argparse
import os
import sys

from resnet_lab.cli.flags import add_fields, given
from resnet_lab.training.races import RaceSettings, groups


def configure(parser: argparse.ArgumentParser) -> None:
    add_fields(parser, RaceSettings)
    parser.add_argument("--name", default="", help="what the app calls the runs")


def command(options: argparse.Namespace) -> int:
    """Hands all of them over, or none; prints their ids."""
    from resnet_lab.runs import RunStore, manager_from_environment

    if not os.environ.get("RESNET_LAB_RAY_ADDRESS"):
        raise ValueError("set RESNET_LAB_RAY_ADDRESS to a Ray cluster; `compare race` trains on this machine")
    settings = RaceSettings.from_dict(given(options, RaceSettings))
    configs = [config for group in groups(settings) for config in group]
    manager = manager_from_environment(RunStore())
    try:
        ids = manager.race(configs, options.name)
    finally:
        manager.close()
    print("\n".join(ids))
    print(f"{len(ids)} runs are in the cluster; the app shows them live.", file=sys.stderr)
    return 0
