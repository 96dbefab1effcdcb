"""What a run tells the world, one record at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import AllowInfNan

from resnet_lab.schema import Record, SchemaError, fields_of, read_json, record

Measured = Annotated[float, AllowInfNan(True)]  # the loss of a net that diverges may be any


@record
class Event(Record):
    """A record of events.jsonl; `kind` says which."""

    what: ClassVar[str] = "an event"
    kind: ClassVar[str] = ""

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, **super().to_dict()}


def read_event(line: bytes) -> Event | None:
    """The event of a line of events.jsonl, of the class that it was written from.

    None for a line that a crash cut short, and for what no version up to this one writes. Fields that a later version
    added are left out.
    """
    try:
        data = read_json(line, Event.what)
        cls = KINDS[data["kind"]]
        return cls.from_dict({name: data[name] for name in fields_of(cls) if name in data})
    except (SchemaError, KeyError, TypeError):
        return None


@record
class Preparing(Event):
    """What happens before the first step, with the fraction done (0 to 1)."""

    kind: ClassVar[str] = "preparing"
    text: str
    fraction: float


@record
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


@record
class StepEvent(Event):
    """Mean loss (nats) and accuracy (0 to 1) of the training steps since the last one of these.

    `seconds` is training time since the start, pauses and evaluation left out; `memory_mb` is what the
    device holds for this process (on the CPU, the process's resident memory). `device_use` is the part of the
    device's time that it works, 0 to 1 (on the CPU, of all cores); None where nothing tells.
    """

    kind: ClassVar[str] = "step"
    step: int
    epoch: float
    loss: Measured
    accuracy: Measured
    lr: float
    grad_norm: float | None
    images_per_second: Measured
    seconds: float
    seconds_left: Measured
    memory_mb: float
    device_use: float | None = None


@record
class Gradients(Event):
    """Norms of the gradients of step `step` for the convolutions that `Started.layers` names.

    As the optimizer took them: after clipping, the mean over the batch.
    """

    kind: ClassVar[str] = "gradients"
    step: int
    epoch: float
    norms: tuple[Measured, ...]


@record
class Notice(Event):
    """The run goes on otherwise than it was asked to; `text` says how and why, in one sentence.

    `micro_batch` is the new size where memory did not hold as many images as before.
    """

    kind: ClassVar[str] = "adjusted"
    step: int
    text: str
    micro_batch: int | None = None


@record
class ModeChosen(Event):
    """How steps are computed from here on, and in one sentence why."""

    kind: ClassVar[str] = "chosen"
    step: int
    precision: str
    channels_last: bool
    compile: bool
    text: str


@record
class EpochEvent(Event):
    """One epoch done: means over its training steps (augmented images), and the validation set."""

    kind: ClassVar[str] = "epoch"
    epoch: int
    step: int
    train_loss: Measured
    train_accuracy: Measured
    val_loss: Measured
    val_accuracy: Measured
    seconds: float

    @property
    def loss(self) -> float:
        """Of the validation set: what a curve shows of an epoch."""
        return self.val_loss

    @property
    def accuracy(self) -> float:
        return self.val_accuracy


@record
class TestEvent(Event):
    """The test set, once, at the end: the best weights by validation accuracy, which are those of `step`."""

    __test__: ClassVar[bool] = False  # no test class, whatever pytest thinks of the name
    kind: ClassVar[str] = "test"
    step: int
    loss: Measured
    accuracy: Measured
    samples: int


@dataclass(frozen=True)
class Checkpoint(Event):
    """Everything needed to resume from `step`; goes to a file of its own, not into events.jsonl."""

    kind: ClassVar[str] = "checkpoint"
    step: int
    state: dict[str, Any]
    best: bool


KINDS = {
    cls.kind: cls
    for cls in (
        Preparing,
        Started,
        StepEvent,
        Gradients,
        ModeChosen,
        Notice,
        EpochEvent,
        TestEvent,
    )
}
