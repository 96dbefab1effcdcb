"""What the table knows of a run: every setting, how it ended, and what people say of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from resnet_lab.classroom.classroom import classroom
from resnet_lab.data import Augmentation
from resnet_lab.figures.curves import Curve, thin
from resnet_lab.models import ModelSpec
from resnet_lab.runs import Run
from resnet_lab.schema import FieldInfo, fields_of
from resnet_lab.training import TrainConfig
from resnet_lab.training.events import Gradients, StepEvent
from resnet_lab.ui.common.runs import BADGES, RECORDED

SETTINGS: dict[str, FieldInfo] = {  # as `TrainConfig.flat` names them
    name: field
    for cls in (TrainConfig, Augmentation, ModelSpec)
    for name, field in fields_of(cls).items()
    if name not in ("variant", "augmentation", "name")
}
OF_NET = fields_of(ModelSpec).keys()
FIGURES: dict[str, tuple[type, str]] = {  # besides the settings: kind, and what it is
    "name": (str, ""),
    "state": (str, ""),
    "net": (str, ""),
    "owner": (str, "Whose it is, in a class."),
    "tags": (tuple, ""),
    "note": (str, ""),
    "message": (str, "What the run said last."),
    "started": (datetime, ""),
    "step": (int, "Steps taken."),
    "validation": (float, "Best validation accuracy, %."),
    "test": (float, "Test accuracy of the best weights by validation, %."),
    "test_loss": (float, "Of the best weights by validation, nats."),
    "val_loss": (float, "Validation loss of the last epoch, nats."),
    "train": (float, "Training accuracy of the last epoch, %."),
    "train_loss": (float, "Training loss of the last epoch, nats."),
    "minutes": (float, "Training time, pauses and evaluation left out."),
    "params": (int, "Parameters of the net."),
    "hardware": (str, "The device that it was trained on."),
}
KINDS = {name: kind for name, (kind, _) in FIGURES.items()} | {
    name: field.kind for name, field in SETTINGS.items()
}
SEARCHED = ("name", "tags", "note", "net", "dataset")
MOST_POINTS = 60  # of a small curve


@dataclass(frozen=True)
class Overview:
    """One moment of a run. `values` has all of `KINDS`; `accuracies` are those of validation, %, epoch by epoch."""

    run: Run
    values: Mapping[str, Any]
    accuracies: list[float]
    progress: float  # 0 to 1


def overview(run: Run) -> Overview:
    """Each file of the run is read once at most, and its log only if it has grown."""
    status, notes, told = run.status, run.notes, _told(run)
    last, test, started = told.epochs[-1] if told.epochs else None, told.test, told.started
    figures = {
        "name": run.name,
        "state": (RECORDED if run.is_recorded else BADGES[status.state])[0],
        "owner": classroom().room.name(status.owner),
        "tags": notes.tags,
        "note": notes.text,
        "message": status.message,
        "started": datetime.fromtimestamp(status.created) if status.created else None,
        "step": status.step,
        "validation": _percent(status.val_accuracy),
        "test": _percent(status.test_accuracy),
        "test_loss": test.loss if test else None,
        "val_loss": last.val_loss if last else None,
        "train": _percent(last.train_accuracy if last else None),
        "train_loss": last.train_loss if last else None,
        "minutes": last.seconds / 60 if last else None,
        "params": started.params if started else None,
        "hardware": started.device if started else None,
    }
    accuracies = [round(100 * epoch.val_accuracy, 1) for epoch in told.epochs]
    progress = status.step / status.total_steps if status.total_steps else 0.0
    return Overview(
        run, run.config.flat() | figures, [y for _, y in thin(accuracies, MOST_POINTS)], min(progress, 1.0)
    )


def _told(run: Run) -> Curve:
    with suppress(OSError):
        file = os.stat(run.path / "events.jsonl")
        return _read(run.path, (file.st_ino, file.st_mtime_ns, file.st_size))
    return Curve("")


@lru_cache(maxsize=5_000)
def _read(folder: Path, identity: tuple[int, int, int]) -> Curve:
    """A curve without its steps, which would be most of it: those of all runs stay in memory."""
    told = Curve("")
    told.extend(Run(folder).events(without=(StepEvent, Gradients))[0])
    return told


def _percent(accuracy: float | None) -> float | None:
    return None if accuracy is None else 100 * accuracy
