"""How much room runs take, and what of it can be given back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from resnet_lab.runs.files import RunError, reason
from resnet_lab.runs.model import read_checkpoint
from resnet_lab.runs.run import Run


def bytes_of(folder: Path) -> int:
    """Of the files in a run's directory; links are not followed."""
    with suppress(OSError), os.scandir(folder) as files:
        return sum(file.stat(follow_symlinks=False).st_size for file in files)
    return 0


def bytes_free(root: Path) -> int | None:
    """On the disk of this folder, or of the one that it will be made in; None where nothing tells."""
    for folder in (root, *root.absolute().parents):
        with suppress(OSError):
            return shutil.disk_usage(folder).free
    return None


def superfluous(run: Run) -> Sequence[Path]:
    """Checkpoints that only going on needs, of a completed run that has its best weights beside them."""
    best = run.path / "best.pt"
    if run.is_recorded or run.status.state != "completed" or best.is_symlink() or not best.is_file():
        return []
    return [path for path in run.checkpoints("last") if not path.is_symlink()]


def keep_best_alone(run: Run) -> int:
    """Removes what is `superfluous`, once the best weights have been read; returns how many bytes that freed.

    Raises:
        RunError: the run goes on, its best weights cannot be read, or a file cannot be removed.
    """
    run.claim()
    try:
        freed = 0
        if paths := superfluous(run):
            read_checkpoint(run.path / "best.pt")
        for path in paths:
            size = path.stat().st_size
            path.unlink()
            freed += size
        return freed
    except OSError as error:
        raise RunError(f"{run.title} could not be cleaned up ({reason(error)}).") from None
    finally:
        run.release()
