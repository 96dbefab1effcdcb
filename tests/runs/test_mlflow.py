"""A run on a real MLflow server, and what becomes of the run when that server dies.

MLflow with its server takes minutes to install, so that .ci/run goes without (docs/decisions/mirrors.md). To run this:
pip install mlflow-skinny, and mlflow there or in an environment of its own, whose command RESNET_LAB_TEST_MLFLOW names.
"""

import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from importlib.util import find_spec

import pytest

from resnet_lab.runs import execute
from resnet_lab.training.events import EpochEvent, Notice, StepEvent
from tests.runs.test_mirrors import notices, told

COMMAND = os.environ.get("RESNET_LAB_TEST_MLFLOW") or (find_spec("flask") and shutil.which("mlflow"))
pytestmark = pytest.mark.skipif(
    not (COMMAND and find_spec("mlflow")),
    reason="no MLflow with a server is installed (see this file's head)",
)


@pytest.fixture
def server(tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    where = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    keep = [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/mlflow.db",
        "--artifacts-destination",
        str(tmp_path),
    ]
    process = subprocess.Popen(
        [COMMAND, "server", *where, *keep], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}, start_new_session=True,
    )  # fmt: skip
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/health", timeout=1).close()
            break
        except OSError:
            assert process.poll() is None
            time.sleep(0.2)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    yield process
    stop(process)


def stop(process):
    """The server and its workers, which have a session of their own."""
    if process.poll() is None:
        os.killpg(process.pid, 9)
        process.wait()


def on_server(run):
    """The one MLflow run that is this run."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name("ResNet Lab").experiment_id
    (found,) = client.search_runs([experiment], f"tags.resnet_lab_run = '{run.id}'")
    return client, found


def curves(run):
    client, found = on_server(run)
    return {
        name: sorted((m.step, m.value) for m in client.get_metric_history(found.info.run_id, name))
        for name in found.data.metrics
    }


def test_the_server_has_what_the_run_has(store, tiny, server):
    run = store.create(tiny, "my run")
    execute(run, steps=12)
    _, found = on_server(run)
    assert found.info.status == "KILLED"
    first = found.info.run_id
    execute(run)
    assert run.status.state == "completed"
    assert notices(run) == []
    assert curves(run) == told(run)
    _, found = on_server(run)
    assert found.info.run_id == first
    assert found.info.run_name == "my run"
    assert found.info.status == "FINISHED"
    assert found.data.params["batch_size"] == str(tiny.batch_size)
    assert found.data.params["augmentation.flip"] == str(tiny.augmentation.flip)


def test_steps_that_are_taken_again_are_there_once(store, tiny, server):
    run = store.create(tiny)
    execute(run, steps=12)
    os.replace(run.path / "previous.pt", run.path / "last.pt")  # of step 8
    execute(run)
    found = curves(run)
    assert all(len(points) == len({step for step, _ in points}) for points in found.values())
    assert set(told(run)["training/loss"]) <= set(found["training/loss"])


def test_a_run_that_fails_has_failed_there(store, tiny, server):
    run = store.create(tiny.replace(lr=1e6))
    execute(run)
    assert run.status.state == "failed"
    assert on_server(run)[1].info.status == "FAILED"


def test_a_server_that_dies_costs_one_notice(store, tiny, server, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    run = store.create(tiny.replace(epochs=20))

    def kill(event):
        if isinstance(event, EpochEvent) and event.epoch == 2:
            stop(server)

    result = execute(run, on_event=kill)
    assert run.status.state == "completed"
    assert len(notices(run)) == 1
    assert notices(run)[0].startswith("MLflow gets nothing of this run from here on: ")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    undisturbed = store.create(tiny.replace(epochs=20))
    assert execute(undisturbed).test_accuracy == result.test_accuracy
    assert told(run)["validation/loss"] == told(undisturbed)["validation/loss"]


def test_a_server_that_never_answers_keeps_no_step_waiting(store, tiny, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        run = store.create(tiny)
        longest, last, lock = 0.0, None, threading.Lock()

        def watch(event):
            nonlocal longest, last
            with lock:
                if isinstance(event, StepEvent | EpochEvent):
                    now = time.monotonic()
                    longest, last = max(longest, now - (last or now)), now

        execute(run, on_event=watch)
    assert run.status.state == "completed"
    assert [isinstance(e, Notice) for e in run.events()[0]].count(True) == 1
    assert longest < 10  # the time limit of one request
