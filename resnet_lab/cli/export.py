"""`export`: a net as a file for others, or the curves of a run."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_lab.cli.files import write_file
from resnet_lab.cli.nets import NETS, read_net
from resnet_lab.models import VARIANTS, default_input_size

if TYPE_CHECKING:
    from resnet_lab.models import ModelSpec
    from resnet_lab.models.classifier import Classifier


TENSORBOARD = "tensorboard"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("net", help=f"a trained run, or {NETS}")
    parser.add_argument(
        "--format",
        default="onnx",
        help=f"onnx (default), python, safetensors or json; {TENSORBOARD}: the curves of a run",
    )
    parser.add_argument("--size", type=int, help="side of the image in pixels")
    parser.add_argument("--seed", type=int, default=0, help="of freshly drawn weights (default: 0)")
    parser.add_argument(
        "--output", type=Path, help="default: the net's name, in this folder; tensorboard: the run's own"
    )


def command(options: argparse.Namespace) -> int:
    """A trained run comes with its weights; of a variant or a spec the weights are freshly drawn."""
    from resnet_lab.inspection.export.formats import EXPORTS
    from resnet_lab.runs import RunStore, load_run_model

    if options.format == TENSORBOARD:
        from resnet_lab.runs.mirrors.tensorboard import export_event_file

        print(export_event_file(RunStore().get(options.net), options.output))
        return 0
    if not 0 <= options.seed < 2**63:
        raise ValueError(f"seed is {options.seed}; it may be a whole number from 0 to 2^63 - 1")
    if options.format not in EXPORTS:
        raise ValueError(f"format is {options.format!r}; it may be {', '.join((*EXPORTS, TENSORBOARD))}")
    net: ModelSpec | Classifier
    if options.net in VARIANTS or "." in options.net:
        net = spec = read_net(options.net)
        side = default_input_size(spec)
    else:
        net = load_run_model(RunStore().get(options.net))
        spec, side = net.model.spec, net.side
    side = side if options.size is None else options.size
    name = re.sub(r"[^\w.-]+", "-", spec.name).strip(".-") or "net"
    path = options.output or Path(f"{name}{EXPORTS[options.format].suffix}")
    write_file(path, EXPORTS[options.format].write(net, (3, side, side), options.seed), f"{spec.name}, ")
    return 0
