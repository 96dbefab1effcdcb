"""A run's points as an event file of TensorBoard, live in the run's folder or made of a run of the past."""

from __future__ import annotations

import io
import re
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from resnet_lab.runs.files import RunError, reason
from resnet_lab.runs.mirrors.points import TEST, Point, PointReader, flat
from resnet_lab.runs.run import Run

EVENT_FILE = re.compile(r"events\.out\.tfevents\.\d+\.resnet-lab")
FLUSH = 5.0  # seconds; TensorBoard looks every 30


class TensorBoardMirror:
    """One event file in `folder`, which takes the place of those that were made of the run before.

    Raises:
        OSError: it cannot be written.
        ModuleNotFoundError: tensorboardX is not installed.
    """

    def __init__(self, run: Run, points: Sequence[Point], folder: Path | None = None) -> None:
        from tensorboardX import (
            RecordWriter,
        )  # its SummaryWriter would wait for a thread that a full disk ends
        from tensorboardX.proto.event_pb2 import SessionLog
        from tensorboardX.summary import hparams

        folder = folder or run.path
        for path in folder.glob("events.out.tfevents.*"):
            if EVENT_FILE.fullmatch(path.name):
                path.unlink()
        self.path = folder / f"events.out.tfevents.{time.time_ns()}.resnet-lab"
        self._file = RecordWriter(str(self.path.absolute()))
        begun = run.status.created
        self._write(begun, file_version="brain.Event:2")
        # A TensorBoard that is open forgets what it read from the file before this one.
        self._write(begun, session_log=SessionLog(status=SessionLog.START))
        metrics = dict.fromkeys(("validation/accuracy", TEST), 0.0)
        for summary in hparams(flat(run.config.to_dict()), metrics):
            self._write(begun, summary=summary)
        for point in points:
            self._add(point)
        self._flush()

    def add(self, point: Point) -> None:
        """
        Raises:
            OSError: it cannot be written.
        """
        self._add(point)
        if time.monotonic() - self._flushed > FLUSH:
            self._flush()

    def close(self, state: str) -> None:
        """
        Raises:
            OSError: it cannot be written.
        """
        self._file.close()

    def _add(self, point: Point) -> None:
        from tensorboardX.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in point.values.items()]
        self._write(point.time, step=point.step, summary=Summary(value=values))

    def _write(self, wall_time: float, **fields: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._file.write(Event(wall_time=wall_time, **fields).SerializeToString())

    def _flush(self) -> None:
        self._file.flush()
        self._flushed = time.monotonic()


def export_event_file(run: Run, folder: Path | None = None) -> Path:
    """The event file of all points so far, in the run's folder, where `tensorboard --logdir runs` finds it.

    With `folder` it lies there, in a folder of the run's id.

    Raises:
        RunError: the run's own folder is not to be written, or `folder` cannot be.
        ModuleNotFoundError: tensorboardX is not installed.
    """
    if folder is None and run.is_recorded:
        raise RunError(f"{run.name} came with the lab and stays as it is; name another folder for the file.")
    if folder is None and run.status.is_active:
        raise RunError(f"{run.name} is still {run.status.state}; stop it first, or name another folder.")
    target = run.path if folder is None else folder / run.id
    try:
        target.mkdir(parents=True, exist_ok=True)
        mirror = TensorBoardMirror(run, PointReader(run).history(run), target)
        mirror.close(run.status.state)
    except OSError as error:
        raise RunError(f"{target} cannot be written ({reason(error)}).") from None
    return mirror.path


def event_file_zip(run: Run) -> bytes:
    """A zip archive of a folder with the run's event file, for `tensorboard --logdir`.

    Raises:
        RunError, ModuleNotFoundError: as `export_event_file`.
    """
    data = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as packed:
        path = export_event_file(run, Path(folder))
        packed.write(path, path.relative_to(folder))
    return data.getvalue()
