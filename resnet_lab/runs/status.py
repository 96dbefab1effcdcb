"""status.json: how far a run is."""

from __future__ import annotations

import os
import socket
from typing import Annotated, Any, ClassVar, Literal

from resnet_lab.schema import MAX_JSON, Record, about, fields_of, read_json, record

ACTIVE = ("queued", "running")
LATEST = 250e9  # seconds since 1970, in the year 9892; a calendar ends soon after
MANY = 2**53  # the whole numbers that JavaScript, which shows them, tells apart
State = Literal["queued", "running", "paused", "completed", "stopped", "failed", "interrupted"]
Count = Annotated[int, about(ge=0, le=MANY)]
Fraction = Annotated[float, about(ge=0, le=1)]
Moment = Annotated[float, about(unit="s since 1970", ge=0, le=LATEST)]


@record
class RunStatus(Record):
    """As the run's trainer left it. `pid` and `host` name the trainer; whether it lives, the lock tells."""

    what: ClassVar[str] = "a status"
    state: State = "queued"
    message: str = ""
    step: Count = 0
    total_steps: Count = 0
    val_accuracy: Fraction | None = None
    test_accuracy: Fraction | None = None
    device: str = ""
    created: Moment = 0.0
    updated: Moment = 0.0
    pid: int = 0
    host: str = ""
    owner: Annotated[str, about(max_length=100)] = (
        ""  # the id of the `classroom.people.Person` whose run it is
    )

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def trainer(self) -> str:
        """In words: "another process (4711 on hal)"."""
        if writer_identity() == {"pid": self.pid, "host": self.host}:
            return "another window of this app"
        return f"another process ({self.pid} on {self.host})" if self.host else "another process"


def read_status(text: bytes) -> RunStatus:
    """Fields that only earlier or later versions know are left out.

    Raises:
        SchemaError: it is no JSON object, or has a value that cannot be.
    """
    data = read_json(text[: MAX_JSON + 1], RunStatus.what)
    return RunStatus.from_dict({name: data[name] for name in fields_of(RunStatus) if name in data})


def writer_identity() -> dict[str, Any]:
    """The fields that say that this process writes."""
    return {"pid": os.getpid(), "host": socket.gethostname()}
