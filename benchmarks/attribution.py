"""Grad-CAM of resnet50 beside the packages grad-cam and torchcam: in one process, in turn.

python -m benchmarks.attribution [rounds] [batch …]
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable
from statistics import median

import torch
from captum.attr import LayerGradCam
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor
from torchcam.methods import GradCAM as TorchcamGradCAM

from resnet_lab.attribution import attribute, class_maps, stage_names
from resnet_lab.models import ResNet, init_model
from resnet_lab.training.execution.device import device_name, pick_device, synchronize

SIDE = 224
CLASSES = (1, 2, 3, 4, 5)


def main(rounds: str = "9", *batches: str) -> None:
    device = pick_device("auto")
    print(
        f"{device_name(device)}, torch {torch.__version__}, {torch.get_num_threads()} threads, float32; resnet50 at "
        f"{SIDE}, random weights; {rounds} rounds in turn; median, fastest–slowest, and the median as a multiple of "
        "that of a forward pass without gradients\n"
    )
    model = init_model("resnet50").eval().to(device)
    for batch in map(int, batches or ("1", "16")):
        images = torch.randn(batch, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)).to(device)
        _compare(batch, _ways(model, images), int(rounds), device)


def _ways(model: ResNet, images: Tensor) -> dict[str, Callable[[], object]]:
    stages = stage_names(model)
    classes = torch.tensor(CLASSES)
    captum = LayerGradCam(model, model.layer4)
    other = copy.deepcopy(model)  # its hooks stay on
    theirs = GradCAM(other, [other.layer4])
    targets = [ClassifierOutputTarget(CLASSES[0])] * len(images)

    def torchcam() -> object:
        with TorchcamGradCAM(model, "layer4") as extractor:
            return extractor([CLASSES[0]] * len(images), model(images))

    ways: dict[str, Callable[[], object]] = {
        "forward pass": lambda: _forward(model, images),
        "the lab, one map": lambda: attribute(model, images, CLASSES[0]),
        "the lab, the predicted class": lambda: attribute(model, images),
        "Captum, one map": lambda: captum.attribute(images, CLASSES[0]),
        "torchcam, one map": torchcam,
        "grad-cam, one map": lambda: theirs(images, targets),
        "the lab, 5 classes, last stage": lambda: class_maps(model, images, classes, stages[-1:]),
        "the lab, 5 classes, 4 stages": lambda: class_maps(model, images, classes, stages),
    }
    return ways


@torch.no_grad()
def _forward(model: ResNet, images: Tensor) -> Tensor:
    return model(images)


def _compare(batch: int, ways: dict[str, Callable[[], object]], rounds: int, device: torch.device) -> None:
    times: dict[str, list[float]] = {name: [] for name in ways}
    for i in range(rounds + 1):
        for name, way in ways.items():
            synchronize(device)
            began = time.perf_counter()
            way()
            synchronize(device)
            if i:  # the first round warms up
                times[name].append(1000 * (time.perf_counter() - began))
    base = median(times["forward pass"])
    print(f"| batch {batch} | ms | fastest–slowest | forward passes |\n|---|---|---|---|")
    for name, values in times.items():
        middle = median(values)
        print(f"| {name} | {middle:.0f} | {min(values):.0f}–{max(values):.0f} | {middle / base:.2f} |")
    print(flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
