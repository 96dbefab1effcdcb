"""Files of a run: written so that nobody sees half of one, read without trust in what lies there."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class RunError(RuntimeError):
    """A run that cannot be kept, found or read; the message says so in one sentence."""


def reason(error: Exception) -> str:
    """What went wrong, without numbers and paths: "No space left on device"."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and is gone otherwise.

    Each has a name of its own, so that threads and processes may write one file at a time; the last one stays.
    """
    draft = path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}.tmp")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    with replacing(path) as draft:
        draft.write_bytes(data)


def open_regular(path: Path, mode: str = "rb") -> BinaryIO:
    """`path`, without waiting for anybody: a FIFO would keep whoever opens it.

    Raises:
        OSError: it is not there, or it is a FIFO, a socket or a directory.
    """
    file: BinaryIO = open(path, mode, buffering=0, opener=_without_waiting)  # type: ignore[assignment]  # noqa: SIM115
    kind = os.fstat(file.fileno()).st_mode
    if stat.S_ISFIFO(kind) or (mode == "rb" and not stat.S_ISREG(kind)):
        file.close()
        raise OSError(errno.EINVAL, "it is no regular file")
    return file


def read_start(path: Path, most: int) -> bytes:
    """The first `most` bytes of a file, which may be of any size.

    Raises:
        OSError: as `open_regular`.
    """
    with open_regular(path) as file:
        return file.read(most)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)  # which regular files do not mind
