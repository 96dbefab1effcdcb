"""Who trains a run holds its lock, and a run is alive while its lock is held; docs/decisions/run-lock.md."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from resnet_lab.runs.files import reason

PATIENCE = 1.0  # seconds; whoever asks for the holder has the lock himself for an instant
SHORT = 10.0  # seconds; for work of milliseconds
NO_LOCKS = {
    errno.ENOSYS,
    errno.ENOLCK,
    errno.EOPNOTSUPP,
}  # some network folders: Lustre, NFS without its lock daemon
_asking = threading.Lock()  # two threads that ask at once would take each other for the holder


class RunLock:
    """The right to train one run. The system takes it back when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_acquired = False
        self.problem = ""  # why nobody is kept out, on a file system without locks
        self._lock: FileLock | None = None

    def acquire(self) -> bool:
        """Takes the lock; False where someone else has it, be it in this process.

        Raises:
            OSError: the file cannot be written.
        """
        if self.is_acquired:
            return True
        lock = _native(self.path)
        try:
            lock.acquire(timeout=PATIENCE, poll_interval=0.02)
        except Timeout:
            return False
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            self.problem = f"{self.path.parent} lies on a file system without locks ({reason(error)})"
        self._lock, self.is_acquired = lock, True
        return True

    def release(self) -> None:
        """Gives it back, if this object has it."""
        if self._lock is not None:
            self._lock.release()
        self._lock, self.is_acquired = None, False

    @property
    def is_held(self) -> bool | None:
        """Whether anyone has it; None where that cannot be told, for want of locks or of the right to ask."""
        if self.is_acquired:
            return True
        if not self.was_taken:
            return False
        try:
            with _asking, _native(self.path).acquire(blocking=False):
                return False
        except Timeout:
            return True
        except OSError:
            return None

    @property
    def was_taken(self) -> bool:
        """Whether anyone has ever had it."""
        return os.path.lexists(self.path)


@contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Threads and processes that name the same `path` pass one after the other; where there are no locks, at once."""
    lock = _native(path)
    with suppress(OSError):  # a reader's draft or an old state is better than none at all
        lock.acquire(timeout=SHORT, poll_interval=0.005)
    try:
        yield
    finally:
        lock.release()


def _native(path: Path) -> FileLock:
    """The system's own lock, which ends with its process; filelock's substitute for file systems without would not.

    It belongs to the object, not to the thread: a run is queued by one and trained by another.
    """
    return FileLock(path, thread_local=False, preserve_lock_file=True, fallback_to_soft=False)
