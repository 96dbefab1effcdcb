"""How well each method's maps hit the object, on a run that was trained on the shapes.

python -m benchmarks.pointing RUN [images]
"""

from __future__ import annotations

import sys

from resnet_lab.attribution import METHODS, Score, score, stage_names
from resnet_lab.data import load_dataset
from resnet_lab.runs import RunStore, load_run_model


def main(run: str, pictures: str = "200") -> None:
    net = load_run_model(RunStore().get(run))
    data = load_dataset("shapes", split="test", limit=int(pictures), image_size=net.image_size)
    assert data.masks is not None
    images, masks = net.inputs(data.images), net.transform.view(data.masks)
    stages = stage_names(net.model)
    asked = [(m, s) for m, about in METHODS.items() for s in (stages if about.has_layer else ("",))]
    accuracy = (net.model(images).argmax(1) == data.labels).float().mean().item()
    print(f"{run}: {accuracy:.1%} of these {len(images)} test images right; mean and 95 % interval\n")
    print(
        "| method | stage | pointing game | energy inside | IoU at the best threshold |\n|---|---|---|---|---|"
    )
    score(net.model, images, masks, asked, _print)


def _print(found: Score) -> None:
    title = METHODS[found.method].title if found.method in METHODS else found.method
    estimates = (found.pointing, found.energy, found.iou)
    cells = [f"{100 * e.mean:.1f} % ({100 * e.low:.1f}–{100 * e.high:.1f})" for e in estimates]
    print(f"| {title} | {found.layer.removeprefix('layer') or '–'} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
