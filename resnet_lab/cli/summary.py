"""`summary`: the layer table of a net."""

from __future__ import annotations

import argparse
from typing import get_args

from resnet_lab.cli.nets import NETS, read_net
from resnet_lab.inspection.table.formats import FORMATS, as_csv, as_json, as_text
from resnet_lab.inspection.table.rollup import Depth
from resnet_lab.models import default_input_size


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("net", metavar="variant", help=NETS)
    parser.add_argument("--size", type=int, help="side of the image in pixels")
    parser.add_argument("--depth", default="layers", choices=get_args(Depth))
    parser.add_argument("--format", default="table", choices=FORMATS)


def command(options: argparse.Namespace) -> int:
    from resnet_lab.inspection import layer_table

    spec = read_net(options.net)
    side = default_input_size(spec) if options.size is None else options.size
    write = {"table": as_text, "csv": as_csv, "json": as_json}[options.format]
    print(write(layer_table(spec, (3, side, side)), options.depth).rstrip("\n"))
    return 0
