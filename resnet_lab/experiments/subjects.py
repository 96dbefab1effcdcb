"""What experiments measure of a run: its net with images, or what it told while it trained."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from resnet_lab.data import load_dataset
from resnet_lab.figures.curves import Curve
from resnet_lab.models import ResNet
from resnet_lab.runs import Run, RunStatus, load_run_model
from resnet_lab.schema import Record
from resnet_lab.training.execution.device import pick_page_device


@dataclass(frozen=True)
class Subject:
    """A trained net called `name`, with images float (N, 3, H, W), normalised, and labels (N,), on its device."""

    name: str
    model: ResNet
    images: Tensor
    labels: Tensor


def load_subject(run: Run, name: str, split: str, images: int) -> Subject:
    """The net of a run with its best weights, and the first `images` of a split of its data.

    Raises:
        RunError, ValueError: its checkpoint or data cannot be had.
    """
    net, device = load_run_model(run), pick_page_device()
    data = load_dataset(net.dataset, split=split, limit=images, image_size=net.image_size).to(device)
    return Subject(name, net.model.to(device), net.inputs(data.images), data.labels)


@dataclass(frozen=True)
class Trace:
    """A run with its status and its curve of this moment."""

    run: Run
    status: RunStatus
    curve: Curve


def read_trace(run: Run, _name: str, _settings: Record) -> Trace:
    """All that a run has told. Experiments of traces are shown live: the page draws them anew as runs go on."""
    curve = Curve(run.name, run.config.spec.is_plain)
    curve.extend(run.events()[0])
    return Trace(run, run.status, curve)
