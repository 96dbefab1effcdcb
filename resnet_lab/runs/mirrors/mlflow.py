"""A run's config, points and end for the MLflow server that $MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Container, Sequence
from contextlib import suppress

from resnet_lab.runs.mirrors.points import Point, flat
from resnet_lab.runs.run import Run

RUN_TAG = "resnet_lab_run"  # by which a resumed run finds itself
EXPERIMENT = "ResNet Lab"
STATUS = {"completed": "FINISHED", "failed": "FAILED", "interrupted": "FAILED"}  # whoever stops it, kills it
PAUSE = 1.0  # seconds between requests
WAITING = 10_000  # points; a server that is so far behind misses some
MOST_METRICS = 1000  # that a request may hold
PATIENCE = {"completed": 5.0, "failed": 5.0}  # seconds for the last request; an app that closes has less
DEFAULTS = {  # of MLflow's own variables: four minutes of retries would tell nobody, and no one asked for statistics
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_opening = threading.Lock()  # the nets of a race begin together, and one experiment is to be made


class MLflowMirror:
    """Sends from a thread of its own; `add` and `close` raise what ended that thread, if anything did."""

    def __init__(self, run: Run, points: Sequence[Point]) -> None:
        self.run = run
        self._points: queue.Queue[Point] = queue.Queue(WAITING)
        self._ended = threading.Event()
        self._status = "KILLED"
        self._problem: Exception | None = None
        self._thread = threading.Thread(target=self._work, args=[points], name="mlflow", daemon=True)
        self._thread.start()

    def add(self, point: Point) -> None:
        self._raise_problem()
        with suppress(queue.Full):  # training does not wait; a resume of the run sends what is missing
            self._points.put_nowait(point)

    def close(self, state: str) -> None:
        """
        Raises:
            TimeoutError: the server takes long; it may get the rest while this process lives.
        """
        self._status = STATUS.get(state, "KILLED")
        self._ended.set()
        patience = PATIENCE.get(state, 2.0)
        self._thread.join(patience)
        self._raise_problem()
        if self._thread.is_alive():
            raise TimeoutError(f"the server did not take the end of it within {patience:g} s")

    def _raise_problem(self) -> None:
        if self._problem is not None:
            raise self._problem

    def _work(self, points: Sequence[Point]) -> None:
        try:
            with _opening:
                self._open()
            self._send(points, self._known(points))
            while not self._ended.wait(PAUSE):
                self._send(self._waiting())
            self._send(self._waiting())
            self._client.set_terminated(self._id, self._status)
        except Exception as error:
            self._problem = error

    def _open(self) -> None:
        """Finds this run on the server, or makes it there."""
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        from mlflow.entities import Param, RunTag
        from mlflow.tracking import MlflowClient

        self._client = client = MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        found = client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else client.create_experiment(name)
        runs = client.search_runs([experiment], f"tags.{RUN_TAG} = '{self.run.id}'", max_results=1)
        if runs:
            self._id, known = runs[0].info.run_id, runs[0].data.params
            client.update_run(self._id, "RUNNING", self.run.name)
        else:
            start = int(1000 * self.run.status.created)
            made = client.create_run(experiment, start, {RUN_TAG: self.run.id}, self.run.name)
            self._id, known = made.info.run_id, {}
        # MLflow keeps the first value of a param for good; the tag has today's config.
        config = flat(self.run.config.to_dict())
        params = [Param(key, str(value)[:6000]) for key, value in config.items() if key not in known]
        tags = {"resnet_lab_config": self.run.config.to_json()[:5000], **self.run.versions}
        client.log_batch(self._id, params=params, tags=[RunTag(key, value) for key, value in tags.items()])

    def _known(self, points: Sequence[Point]) -> set[tuple[str, int]]:
        """Name and step of what the server has: of two values at a step it would keep both."""
        names = {name for point in points for name in point.values}
        return {
            (name, metric.step)
            for name in names
            for metric in self._client.get_metric_history(self._id, name)
        }

    def _waiting(self) -> list[Point]:
        return [self._points.get_nowait() for _ in range(self._points.qsize())]

    def _send(self, points: Sequence[Point], known: Container[tuple[str, int]] = ()) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(name, value, int(1000 * point.time), point.step)
            for point in points
            for name, value in point.values.items()
            if (name, point.step) not in known
        ]
        for start in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(self._id, metrics=metrics[start : start + MOST_METRICS])
