"""Prepared tensors kept on disk, so that the second start is quick. Losing the cache loses only time."""

import errno
import hashlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

Record = dict[str, Any]  # tensors, and plain lists, tuples, numbers and strings


def cache_path(root: Path, label: str, *key: object) -> Path:
    """A readable file name in the cache folder, made unique by everything in `key`."""
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
    return root / "cache" / f"{label}-{digest}.pt"


def load_or_build(path: Path, keys: set[str], build: Callable[[], Record]) -> tuple[Record, tuple[str, ...]]:
    """The record cached at `path`, or the one that `build` makes, which is then cached.

    Returns the record and notes. A missing or damaged file is built anew; a record without exactly `keys`
    counts as damaged. If the record cannot be written, a note says so and nothing else happens.
    """
    record = _read(path)
    if record is not None and record.keys() == keys:
        return record, ()
    record = build()
    try:
        _write(path, record)
    except OSError as error:
        reason = error.strerror or str(error)
        return record, (f"The prepared images could not be kept in {path.parent} ({reason}).",)
    return record, ()


def _read(path: Path) -> Record | None:
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a damaged file fails in many ways; all of them mean "build it again"
        return None
    return record if isinstance(record, dict) else None


def _write(path: Path, record: Record) -> None:
    """Write beside the target, then rename: a reader sees all of the file or none. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.stem}.{uuid.uuid4().hex}.tmp")  # two writers do not meet
    try:
        with temporary.open("wb") as file:
            try:
                torch.save(record, file)
            except RuntimeError as error:  # how torch's writer reports a write that failed under it
                raise OSError(errno.ENOSPC, "the disk is full") from error
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
