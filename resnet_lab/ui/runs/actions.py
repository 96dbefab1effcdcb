"""All that this page changes; whether this person may is asked here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from resnet_lab.runs import Run, RunError
from resnet_lab.runs.disk import keep_best_alone
from resnet_lab.runs.trash import Batch, Trash
from resnet_lab.ui.common import navigation


def edit(run: Run, name: str, tags: Iterable[str], note: str) -> None:
    """
    Raises:
        RunError, SchemaError: it came with the lab, cannot be written, or a tag or the note is too long.
    """
    navigation.desk().require_own(run)
    notes = run.notes.replace(tags=(), text=note.strip()).tagged(tags)
    if notes != run.notes:
        run.annotate(notes)
    if name != run.name:
        run.rename(name)


def tag(runs: Sequence[Run], add: Iterable[str], remove: Iterable[str]) -> None:
    """
    Raises:
        RunError, SchemaError: as `edit`; runs before that one have their tags.
    """
    _require_own(runs)
    for run in runs:
        run.annotate(run.notes.tagged(add, remove))


def delete(runs: Sequence[Run]) -> Batch:
    """
    Raises:
        RunError: as `Trash.put`.
    """
    _require_own(runs)
    return Trash(navigation.store()).put(runs)


def restore(batch: Batch) -> None:
    """
    Raises:
        RunError: as `Trash.restore`.
    """
    _require_own(batch.runs)
    Trash(navigation.store()).restore(batch)


def import_run(data: bytes, source: str) -> Run:
    """
    Raises:
        RunError: as `Desk.take_in`.
    """
    return navigation.desk().take_in(data, source)


def clean_up(runs: Sequence[Run], with_trash: bool) -> tuple[int, Sequence[str]]:
    """Removes for good what of `runs` only going on needs, and all that was deleted.

    Returns the bytes freed, and a sentence for each run and file that was left.
    """
    freed, problems = 0, []
    for run in runs:
        try:
            navigation.desk().require_own(run)
            freed += keep_best_alone(run)
        except RunError as error:
            problems.append(str(error))
    if with_trash and navigation.desk().person.is_teacher:
        trash = Trash(navigation.store())
        before = trash.bytes
        left = trash.empty()
        freed += before - trash.bytes
        problems += [f"{path} is not the lab's, or could not be removed." for path in left]
    return freed, problems


def _require_own(runs: Iterable[Run]) -> None:
    for run in runs:
        navigation.desk().require_own(run)
