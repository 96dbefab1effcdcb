"""A run as one zip file, to be taken to another lab."""

from __future__ import annotations

import io
import shutil
import zipfile

from resnet_lab.runs.files import RunError, reason
from resnet_lab.runs.run import Run
from resnet_lab.runs.store import RunStore, new_id

TEXTS = ("config.json", "status.json", "events.jsonl", "name.txt", "notes.json")
WEIGHTS = ("last.pt", "best.pt")  # which another lab reads without running anything in them
LARGEST = 2 * 10**9  # bytes of all files, unpacked


def pack(run: Run) -> bytes:
    """The files of a run that is not going on.

    Raises:
        RunError: it is going on, or cannot be read.
    """
    if run.status.is_active:
        raise RunError(f"{run.name} is still {run.status.state}; stop it first.")
    data = io.BytesIO()
    try:
        with zipfile.ZipFile(data, "w") as packed:
            for name in (*TEXTS, *WEIGHTS):
                if (run.path / name).is_file():
                    kind = zipfile.ZIP_DEFLATED if name in TEXTS else zipfile.ZIP_STORED
                    packed.write(run.path / name, name, kind)
    except OSError as error:
        raise RunError(f"{run.name} cannot be read ({reason(error)}).") from None
    return data.getvalue()


def unpack(store: RunStore, data: bytes, source: str) -> Run:
    """A new run in `store` out of what `pack` made of one; `source` is what the file is called.

    Raises:
        RunError: it is no such file, or the folder cannot be written.
    """
    draft = Run(store.root / f".{new_id('import')}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            entries = packed.infolist()
            _check([entry.filename for entry in entries], sum(entry.file_size for entry in entries))
            draft.path.mkdir(parents=True)
            for entry in entries:
                with packed.open(entry) as file, (draft.path / entry.filename).open("wb") as copy:
                    shutil.copyfileobj(file, copy)
        run = Run(store.root / new_id(draft.config.spec.name))
        draft.path.rename(run.path)
    except OSError as error:
        shutil.rmtree(draft.path, ignore_errors=True)
        raise RunError(f"{source} cannot be kept in {store.root} ({reason(error)}).") from None
    except Exception as error:  # zipfile raises all kinds for files that are damaged, or made to do harm
        shutil.rmtree(draft.path, ignore_errors=True)
        why = str(error).rstrip(".") or type(error).__name__
        raise RunError(f"{source} is no run of this lab as a zip file ({why}).") from None
    return run


def _check(names: list[str], size: int) -> None:
    foreign = set(names) - {*TEXTS, *WEIGHTS}
    if foreign:
        raise ValueError(f"it holds {min(foreign)[:100]!r}")
    if "config.json" not in names or len(set(names)) < len(names):
        raise ValueError("it holds no config.json, or a file twice")
    if size > LARGEST:
        raise ValueError(f"it unpacks to {size / 1e9:,.1f} GB; {LARGEST / 1e9:g} are taken")
