"""The folder of runs; docs/architecture.md, "How a run flows", says what each file is for."""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from resnet_lab import __version__
from resnet_lab.runs.files import RunError, reason
from resnet_lab.runs.gallery import gallery
from resnet_lab.runs.mirrors.tensorboard import EVENT_FILE
from resnet_lab.runs.run import Run, config_file
from resnet_lab.runs.status import writer_identity
from resnet_lab.training.config import TrainConfig

FILES = {
    "config.json", "status.json", "events.jsonl", "name.txt", "notes.json", "stop", "last.pt", "previous.pt", "best.pt",
    "status.lock", "lock",
}  # fmt: skip
DRAFT = re.compile(r"\.(?P<name>.+)\.\w+\.tmp")  # of `files.replacing`
RUN_ID = re.compile(r"\d{8}-\d{6}-[\w-]*-[0-9a-f]{4}", re.ASCII)


class RunStore:
    """The folder of runs: $RESNET_LAB_RUNS, or runs/ here."""

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = Path(root or os.environ.get("RESNET_LAB_RUNS") or "runs")

    def create(self, config: TrainConfig, name: str = "", owner: str = "") -> Run:
        """A new run directory with the state queued; it appears whole or not at all.

        Whoever means to train it claims it; a run that nobody has claimed within a minute counts as interrupted.

        Raises:
            RunError: the folder cannot be written.
        """
        run_id = new_id(config.spec.name)
        draft = Run(self.root / f".{run_id}")
        try:
            draft.path.mkdir(parents=True)
            packages = {
                name: version(name) for name in ("torch", "torchvision")
            }  # without importing torchvision
            versions = {"resnet_lab": __version__, "python": platform.python_version(), **packages}
            (draft.path / "config.json").write_bytes(config_file(config, versions))
            draft.set_status(state="queued", created=time.time(), owner=owner, **writer_identity())
            if name:
                draft.rename(name)
            draft.path.rename(self.root / run_id)
        except (OSError, RunError) as error:
            shutil.rmtree(draft.path, ignore_errors=True)
            raise RunError(
                f"No run can be kept in {self.root} ({reason(error)}); free some space or set RESNET_LAB_RUNS."
            ) from None
        return Run(self.root / run_id)

    def get(self, run_id: str) -> Run:
        """The run of that id, of this folder or the lab's gallery.

        Raises:
            RunError: there is no such run, or its config cannot be read.
        """
        path = self.root / run_id
        if not run_id or run_id != path.name or run_id.startswith(".") or not os.path.isdir(path):
            for recorded in gallery():
                if recorded.id == run_id:
                    return recorded
            raise RunError(f"There is no run {run_id[:100]!r}; it may have been deleted.")
        run = Run(path)
        _ = run.config
        return run

    def list(self) -> Sequence[Run]:
        """Every readable run of this folder, newest first."""
        return [run for run in self._directories() if _problem(run) is None]

    def damaged(self) -> Sequence[tuple[Run, str]]:
        """Directories that are no readable run, each with its reason."""
        return [(run, problem) for run in self._directories() if (problem := _problem(run)) is not None]

    def delete(self, run: Run) -> Sequence[str]:
        """Removes a run's files, and its directory if that is all that was in it; returns the names of what is left.

        This is for good; `Trash.put` is not.

        Raises:
            RunError: as `require_deletable`, or a file cannot be removed.
        """
        self.require_deletable(run)
        try:
            # What tells that a directory is a run goes last: a removal that is cut short can be taken up.
            for path in sorted(run.path.iterdir(), key=lambda path: path.name == "status.json"):
                if is_own(path):
                    path.unlink()
            left = sorted(path.name for path in run.path.iterdir())
            if not left:
                run.path.rmdir()
        except OSError as error:
            raise RunError(f"{run.title} could not be deleted ({reason(error)}).") from None
        return left

    def require_deletable(self, run: Run) -> None:
        """
        Raises:
            RunError: it came with the lab, is no run, or is going on.
        """
        if run.is_recorded:
            raise RunError(f"{run.name} came with the lab and cannot be deleted; it can be hidden.")
        if not is_run(run):
            raise RunError(f"{run.title} is no run of this lab, which leaves it alone; remove it by hand.")
        if run.lock.is_held or (
            run.status.is_active and _problem(run) is None
        ):  # without a config nobody can train it
            raise RunError(f"{run.title} is still {run.status.state}; stop it first.")

    def _directories(self) -> Sequence[Run]:
        try:
            paths = [p for p in self.root.iterdir() if os.path.isdir(p) and not p.name.startswith(".")]
        except OSError:
            return []
        return [Run(path) for path in sorted(paths, reverse=True)]


def new_id(net: str) -> str:
    """The name of a run's directory: when, which net, and four random characters."""
    net = re.sub(r"[^A-Za-z0-9_]+", "-", net)[:40]  # a spec may have any name
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{net}-{secrets.token_hex(2)}"


def is_run(run: Run) -> bool:
    """Whether the lab made this directory: it has an id for a name, or a status. Others may have a config.json, too."""
    if os.path.islink(run.path):
        return False
    return RUN_ID.fullmatch(run.id) is not None or os.path.lexists(run.path / "status.json")


def is_own(path: Path) -> bool:
    """Whether the lab writes files of this name; a directory is none."""
    draft = DRAFT.fullmatch(path.name)
    name = draft["name"] if draft else path.name
    is_ours = name in FILES or EVENT_FILE.fullmatch(name) is not None
    return is_ours and (path.is_symlink() or not path.is_dir())


def _problem(run: Run) -> str | None:
    try:
        run.id.encode()
        _ = run.config
    except UnicodeEncodeError:
        return f"{run.title}: the name of this directory is not in UTF-8; rename it."
    except RunError as error:
        return str(error)
    return None
