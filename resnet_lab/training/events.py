"""What a run tells the world, one record at a time."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Event:
    """A record of events.jsonl; `kind` says which."""

    kind: ClassVar[str] = ""

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, **dataclasses.asdict(self)}


@dataclass(frozen=True)
class Preparing(Event):
    """What happens before the first step, with the fraction done (0 to 1)."""

    kind: ClassVar[str] = "preparing"
    text: str
    fraction: float


@dataclass(frozen=True)
class Started(Event):
    """The first step is about to be taken (or, after a resume, step `step` + 1)."""

    kind: ClassVar[str] = "started"
    step: int
    total_steps: int
    steps_per_epoch: int
    train_size: int
    val_size: int
    params: int
    device: str
    precision: str
    notes: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()  # the convolutions whose gradients are told of


@dataclass(frozen=True)
class StepEvent(Event):
    """Mean loss (nats) and accuracy (0 to 1) of the training steps since the last one of these.

    `seconds` is training time since the start, pauses and evaluation left out; `memory_mb` is what the
    device holds for this process (on the CPU, the process's resident memory). `device_use` is the part of the
    device's time that it works, 0 to 1 (on the CPU, of all cores); None where nothing tells.
    """

    kind: ClassVar[str] = "step"
    step: int
    epoch: float
    loss: float
    accuracy: float
    lr: float
    grad_norm: float | None
    images_per_second: float
    seconds: float
    seconds_left: float
    memory_mb: float
    device_use: float | None


@dataclass(frozen=True)
class Gradients(Event):
    """Norms of the gradients of step `step` for the convolutions that `Started.layers` names.

    As the optimizer took them: after clipping, the mean over the batch.
    """

    kind: ClassVar[str] = "gradients"
    step: int
    epoch: float
    norms: tuple[float, ...]


@dataclass(frozen=True)
class Adjusted(Event):
    """The run goes on otherwise than it was asked to; `text` says how and why, in one sentence."""

    kind: ClassVar[str] = "adjusted"
    step: int
    text: str
    micro_batch: int | None = None


@dataclass(frozen=True)
class Chosen(Event):
    """How steps are computed from here on, and in one sentence why."""

    kind: ClassVar[str] = "chosen"
    step: int
    precision: str
    channels_last: bool
    compile: bool
    text: str


@dataclass(frozen=True)
class EpochEvent(Event):
    """One epoch done: means over its training steps (augmented pictures), and the validation set."""

    kind: ClassVar[str] = "epoch"
    epoch: int
    step: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float


@dataclass(frozen=True)
class TestEvent(Event):
    """The test set, once, at the end."""

    __test__: ClassVar[bool] = False  # no test class, whatever pytest thinks of the name
    kind: ClassVar[str] = "test"
    step: int
    loss: float
    accuracy: float
    samples: int


@dataclass(frozen=True)
class Checkpoint(Event):
    """Everything needed to go on from `step`; goes to a file of its own, not into events.jsonl."""

    kind: ClassVar[str] = "checkpoint"
    step: int
    state: dict[str, Any]
    best: bool
