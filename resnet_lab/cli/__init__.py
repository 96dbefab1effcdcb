"""The command line: `python -m resnet_lab <command>`, a file of this folder each, imported when it is asked for.

A command imports torch where it works, not at its head, so that its help is there at once.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

COMMANDS = {
    "summary": "print the layer table of a net",
    "export": "write a net as ONNX, PyTorch source, safetensors or JSON",
    "train": "train a net; the app shows the run live",
    "resume": "go on with a stopped run from its last checkpoint",
    "sweep": "train depths × shortcuts × seeds in a Ray cluster",
    "evaluate": "loss and accuracy of a trained run",
    "predict": "ask a trained run about images",
    "compare": "residual against plain: race nets, and ask why",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the process's exit code: 0, or 1 with a sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a console of any encoding, and file names of any bytes
            stream.reconfigure(errors="backslashreplace")
    try:
        options = _parse(sys.argv[1:] if arguments is None else arguments)
        return options.command(options)
    except KeyboardInterrupt:  # training answers to Ctrl-C by itself
        return 130
    except BrokenPipeError:  # "| head" has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError as error:  # a machine for training may lack what figures need
        if not error.name or error.name.startswith("resnet_lab"):
            raise
        print(f"resnet_lab: this needs {error.name}, which is not installed here", file=sys.stderr)
        return 1
    except Exception as error:
        from resnet_lab.runs import RunError  # here, as it brings torch

        if not isinstance(error, ValueError | RunError):
            raise
        print(f"resnet_lab: {error}", file=sys.stderr)  # one sentence for the reader, no trace
        return 1


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    is_script = Path(sys.argv[0]).stem == "resnet-lab"
    parser = argparse.ArgumentParser(
        "resnet-lab" if is_script else "python -m resnet_lab",
        description="Residual networks, without the browser.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, help in COMMANDS.items():
        command = commands.add_parser(name, help=help)
        if name in arguments[:1]:
            module = import_module(f"resnet_lab.cli.{name}")
            module.configure(command)
            command.set_defaults(command=module.command)
    return parser.parse_args(arguments)
