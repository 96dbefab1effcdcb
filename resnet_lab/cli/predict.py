"""`predict`: what a trained run says of images."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run")
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--top", type=int, default=5)


def command(options: argparse.Namespace) -> int:
    from resnet_lab.data import read_image
    from resnet_lab.runs import RunStore, load_run_model

    net = load_run_model(RunStore().get(options.run))
    print(f"{net.weights}, trained on {net.scope}", file=sys.stderr)
    failed = 0
    for path in options.images:
        try:
            image = net.prepare(read_image(path, path.name))
            best = net.predict(image[None])[0].topk(min(options.top, len(net.classes)))
        except Exception as error:  # whatever one image does, the others are answered
            words = str(error).splitlines() or [type(error).__name__]
            print(f"{path}: {words[0]}", file=sys.stderr)
            failed = 1
            continue
        answers = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        print(f"{path}: " + ", ".join(f"{net.classes[i]} {p:.1%}" for p, i in answers))
    return failed
