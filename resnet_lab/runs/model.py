"""A trained net out of a run directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resnet_lab.data import normalize
from resnet_lab.models import ModelSpec, ResNet, WeightsError, create_model
from resnet_lab.models.weights import read_weights
from resnet_lab.runs.files import RunError
from resnet_lab.runs.run import Run


@dataclass(frozen=True)
class TrainedModel:
    """A net in eval mode with what it needs to look at a picture: classes, side in pixels, mean and std."""

    model: ResNet
    classes: tuple[str, ...]
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    dataset: str

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Probabilities (N, classes) of pictures uint8 (N, 3, H, W)."""
        return self.model(normalize(images, self.mean, self.std)).softmax(1)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The state of a `Checkpoint` event, on the CPU.

    Raises:
        RunError: the file is cut short, or no checkpoint of this lab.
    """
    try:
        state = read_weights(path)
    except WeightsError as error:
        raise RunError(f"{path.parent.name}: {error}") from None
    if not isinstance(state, dict) or "spec" not in state or "model" not in state:
        raise RunError(f"{path.parent.name}: {path.name} is no checkpoint of this lab.")
    return state


def read_first(paths: Sequence[Path]) -> tuple[dict[str, Any], str]:
    """The state of the first checkpoint that can be read, and what was wrong with those before it ("" for nothing).

    Raises:
        RunError: none can be read; the message is that of the first.
    """
    problems: list[RunError] = []
    for path in paths:
        try:
            return read_checkpoint(path), str(problems[0]) if problems else ""
        except RunError as error:
            problems.append(error)
    raise problems[0]


def load_run_model(run: Run) -> TrainedModel:
    """The best net of a run, on the CPU; where that file is damaged, the last one.

    Raises:
        RunError: it has no checkpoint yet, or one that cannot be read.
    """
    paths = run.checkpoints("best.pt", "last.pt", "previous.pt")
    if not paths:
        raise RunError(
            f"{run.name} has no checkpoint yet; let it train for an epoch, or stop it to write one."
        )
    state, _ = read_first(paths)
    with torch.device("meta"):  # no weights are drawn, so a run that starts now keeps its seed's weights
        model = create_model(ModelSpec.from_json(state["spec"]))
    model.load_state_dict(state["model"], assign=True)
    return TrainedModel(
        model=model.eval(),
        classes=tuple(state["classes"]),
        image_size=state["image_size"],
        mean=tuple(state["mean"]),
        std=tuple(state["std"]),
        dataset=run.config.dataset,
    )
