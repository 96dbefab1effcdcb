"""What a class shares besides its runs: names, the view that the teacher shows, votes, pinned runs."""

from __future__ import annotations

import os
import secrets
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, ClassVar

from resnet_lab.classroom.people import TEACHER, Person
from resnet_lab.runs.files import RunError, read_start, reason, write_atomically
from resnet_lab.schema import MAX_JSON, Record, SchemaError, about, record

FOLDER = ".class"  # in the folder of runs, which takes it for none
LONGEST_NAME = 40
Text = Annotated[str, about(max_length=4000)]


@record
class Shown(Record):
    """What everyone sees, as it is kept on disk. Votes are (lesson, person, choice)."""

    what: ClassVar[str] = "what a class shares"
    view: Text = ""  # a page and its query, such as "comparison?runs=…"; "" where nothing is presented
    pinned: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    votes: tuple[tuple[str, str, int], ...] = ()


class Room:
    """One of a lab, for all its sessions; what it is told is kept in the folder of runs.

    Each change gives it a new `version`, by which pages see that there is something new.
    """

    def __init__(self, runs: Path) -> None:
        self._path = runs / FOLDER / "shown.json"
        self._lock = threading.RLock()
        self.version = 0
        self._shown = Shown()
        with suppress(OSError, SchemaError):
            self._shown = Shown.from_json(read_start(self._path, MAX_JSON + 1))

    def _change(self, **changes: object) -> None:
        """Keeps the change for this process even where the disk does not take it."""
        with self._lock:
            shown = self._shown.replace(**changes)
            if shown == self._shown:
                return
            self._shown = shown
            self.version += 1
            with suppress(OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(self._path, shown.to_json().encode())

    @property
    def view(self) -> str:
        """The page and query that the teacher presents; "" for none."""
        return self._shown.view

    def present(self, view: str) -> None:
        self._change(view=view[:4000])

    @property
    def pinned(self) -> Sequence[str]:
        """The ids of the runs on everyone's home page."""
        return self._shown.pinned

    def pin(self, run_id: str, is_pinned: bool) -> None:
        with self._lock:
            others = tuple(each for each in self._shown.pinned if each != run_id)
            self._change(pinned=(*others, run_id) if is_pinned else others)

    def name(self, person_id: str) -> str:
        """What somebody wants to be called; plain text, of whatever characters."""
        if person_id == TEACHER:
            return "the teacher"
        return dict(self._shown.names).get(person_id, f"guest {person_id[:4]}" if person_id else "")

    def rename(self, person: Person, name: str) -> None:
        """Takes the name over, on one line and shortened; an empty one changes nothing."""
        name = " ".join(name.encode(errors="replace").decode().split())[:LONGEST_NAME]
        if name and not person.is_teacher:
            with self._lock:
                self._change(names=tuple((dict(self._shown.names) | {person.id: name}).items()))

    def vote(self, lesson: str, person: Person, choice: int) -> None:
        """What somebody expects of a lesson; a later word takes the place of an earlier one."""
        with self._lock:
            others = [each for each in self._shown.votes if each[:2] != (lesson, person.id)]
            self._change(votes=(*others, (lesson, person.id, choice)))

    def votes(self, lesson: str) -> Counter[int]:
        """How many expect each choice, without names."""
        return Counter(choice for about_, _, choice in self._shown.votes if about_ == lesson)

    def forget_votes(self, lesson: str) -> None:
        with self._lock:
            self._change(votes=tuple(each for each in self._shown.votes if each[0] != lesson))


def key_of(runs: Path) -> bytes:
    """The secret of this lab, made when it is first asked for; only its owner may read the file.

    Raises:
        RunError: the folder of runs cannot be written.
    """
    path = runs / FOLDER / "key"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            draft = path.with_name(f".key.{secrets.token_hex(4)}.tmp")
            with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(secrets.token_bytes(32))
            try:
                os.link(draft, path)  # whole, and only if there is none: two servers must not have two keys
            finally:
                draft.unlink()
        return read_start(path, 32)
    except OSError as error:
        raise RunError(f"The key of the class cannot be kept in {runs} ({reason(error)}).") from None
