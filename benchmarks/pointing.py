"""How well each method's maps hit the object, on a run that was trained on the shapes.

python -m benchmarks.pointing RUN [images]
"""

from __future__ import annotations

import sys

from resnet_lab.attribution import METHODS
from resnet_lab.data import load_dataset
from resnet_lab.experiments import localization
from resnet_lab.runs import RunStore, load_run_model


def main(run: str, count: str = "200") -> None:
    net = load_run_model(RunStore().get(run))
    data = load_dataset("shapes", split="test", limit=int(count), image_size=net.image_size)
    assert data.masks is not None
    accuracy = (net.predict(data.images).argmax(1) == data.labels).float().mean().item()
    print(f"{run}: {accuracy:.1%} of these {len(data)} test images right; mean and 95 % interval\n")
    print(
        "| method | stage | pointing game | energy inside | IoU at the best threshold |\n|---|---|---|---|---|"
    )
    asked = localization.pairs(net, list(METHODS))
    for score in localization.measure(net, data.images, data.masks, asked):
        (row,) = localization.table([score]).rows
        print(f"| {' | '.join(str(cell or '–') for cell in row.values())} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
