"""`evaluate`: loss and accuracy of a trained run."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run")
    parser.add_argument("--dataset", help="default: the one it was trained on")
    parser.add_argument("--split", default="test", choices=("train", "test"))
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--weights",
        default="best",
        choices=("best", "last"),
        help="best by validation, as in the run's own test, or last (default: best)",
    )


def command(options: argparse.Namespace) -> int:
    from resnet_lab.data import load_dataset
    from resnet_lab.runs import RunStore, load_run_model
    from resnet_lab.training import evaluate
    from resnet_lab.training.execution.device import pick_device

    net = load_run_model(RunStore().get(options.run), options.weights)
    data = load_dataset(options.dataset or net.dataset, split=options.split, image_size=net.image_size)
    if data.classes != net.classes:
        raise ValueError(f"The net knows {net.classes}, the data have {data.classes}.")
    device = pick_device(options.device)
    net.model.to(device)
    result = evaluate(net, data.to(device))
    print(
        f"loss {result.loss:.4f} nats, accuracy {result.accuracy:.2%} on {result.samples:,} images ({net.weights})"
    )
    return 0
