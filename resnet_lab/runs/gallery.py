"""Runs that came with the lab, as benchmarks/gallery.py recorded them: read like any other, never written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NoReturn

from resnet_lab.runs.files import RunError, read_start
from resnet_lab.runs.notes import Notes
from resnet_lab.runs.run import Run
from resnet_lab.runs.status import RunStatus
from resnet_lab.schema import MAX_JSON, Field, Record, SchemaError, read_json, record

FOLDER = Path(__file__).parents[1] / "gallery"
CARD, WEIGHTS = "card.json", "best.safetensors"


@record
class Card(Record):
    """What is to be known of a recorded run: the command that makes it anew, and its place among the others."""

    what: ClassVar[str] = "a card"
    command: Annotated[str, Field(max_length=1000)]
    note: Annotated[str, Field(max_length=1000)] = ""
    place: int = 0


class RecordedRun(Run):
    """One of the gallery, which does not change; whatever would change it is a RunError."""

    is_recorded = True

    @cached_property
    def card(self) -> Card:
        """
        Raises:
            OSError, SchemaError: it cannot be read.
        """
        return Card.from_dict(read_json(read_start(self.path / CARD, MAX_JSON + 1), Card.what))

    @cached_property
    def name(self) -> str:
        return f"{super().name} (recorded)"

    @property
    def mark(self) -> str:
        return self.id

    @cached_property
    def notes(self) -> Notes:
        return Notes(text=self.card.note)

    @cached_property
    def status(self) -> RunStatus:
        return super().status

    def checkpoints(self, weights: Literal["best", "last"]) -> list[Path]:
        path = self.path / WEIGHTS
        return [path] if weights == "best" and os.path.isfile(path) else []

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise RunError(
            f"{self.name} came with the lab and stays as it is; train its recipe for a run of your own."
        )

    claim = set_status = ask = rename = annotate = _refuse


def gallery() -> Sequence[RecordedRun]:
    """All recorded runs in the order of their cards; of another folder where $RESNET_LAB_GALLERY names one."""
    return _runs_in(os.environ.get("RESNET_LAB_GALLERY") or str(FOLDER))


@lru_cache(maxsize=4)
def _runs_in(folder: str) -> Sequence[RecordedRun]:
    found = []
    for path in Path(folder).glob(f"*/{CARD}"):
        run = RecordedRun(path.parent)
        with suppress(OSError, SchemaError, RunError):  # half copied, it is of no use
            _ = run.card, run.config
            found.append(run)
    return sorted(found, key=lambda run: (run.card.place, run.id))
