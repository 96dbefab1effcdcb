"""Several gloo processes under torchrun against one process; a process that dies; two machines (on one)."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from resnet_lab.data import Augmentation, load_dataset
from resnet_lab.figures.curves import Curve
from resnet_lab.models import ModelSpec
from resnet_lab.runs import execute, load_run_model
from resnet_lab.training import evaluate
from resnet_lab.training.events import Started
from resnet_lab.training.execution.distributed import ALONE, World

ROOT = Path(__file__).parents[3]
GROUP_NORM = ModelSpec("small", (3, 3), (1, 1), width=8, stem="cifar", shortcut="pad", norm="group")


@pytest.fixture(autouse=True)
def _few_test_images():
    """None: the processes of torchrun test all images, and so does the one that they are compared with."""


@pytest.fixture
def config(tiny):
    return tiny.replace(variant=GROUP_NORM, epochs=2, train_limit=100, deterministic=True, clip_norm=1.0)


def torchrun(tmp_path, config, *options, epochs=None, **variables):
    recipe = tmp_path / "recipe.json"
    recipe.write_text((config if epochs is None else config.replace(epochs=epochs)).to_json())
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        *options,
        "-m",
        "resnet_lab",
        "train",
        "--config",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.Popen(
        [*command, str(recipe)], cwd=ROOT, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(process):
    try:
        return process.communicate(timeout=120)[0]
    finally:
        process.kill()


def curve(run):
    records = Curve("")
    records.extend(run.events()[0])
    return records


def numbers(run):
    """What must not depend on the number of processes, up to the order of sums."""
    records = curve(run)
    epochs = [(e.train_loss, e.val_loss) for e in records.epochs]
    return [*sum(epochs, ()), records.test.loss]


def workers(process):
    return [c for c in psutil.Process(process.pid).children() if "resnet_lab" in c.cmdline()]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("changes", [{}, {"micro_batch": 3}], ids=["whole", "in micro-batches"])
def test_two_processes_train_as_one_does(store, tmp_path, config, changes):
    config = config.replace(**changes)
    alone = store.create(config, "alone")
    execute(alone)
    output = finish(torchrun(tmp_path, config, "--standalone", "--nproc-per-node", "2"))
    together = next(run for run in store.list() if run.id != alone.id)
    assert together.status.state == "completed", output
    assert curve(together).started.device.startswith("2 × ")
    assert numbers(together) == pytest.approx(numbers(alone), rel=1e-4)
    assert output.count("completed at step") == 1  # the first process alone speaks


def test_with_bn_two_processes_are_one_with_two_micro_batches(store, tmp_path, config):
    """BN sees what lies on a process; running statistics are the first one's, so only training is compared."""
    config = config.replace(variant=GROUP_NORM.replace(norm="batch"), epochs=1)
    alone = store.create(config.replace(micro_batch=8), "alone")
    execute(alone)
    output = finish(torchrun(tmp_path, config, "--standalone", "--nproc-per-node", "2"))
    together = next(run for run in store.list() if run.id != alone.id)
    assert together.status.state == "completed", output
    losses = [curve(run).epochs[0].train_loss for run in (alone, together)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_two_processes_test_the_best_weights_as_one_does_later(store, tmp_path, config):
    """With BN, whose statistics each process gathers for itself, and a crop."""
    config = config.replace(
        variant=GROUP_NORM.replace(norm="batch"), augmentation=Augmentation(0, False, crop_size=20)
    )
    output = finish(torchrun(tmp_path, config, "--standalone", "--nproc-per-node", "2"))
    (run,) = store.list()
    assert run.status.state == "completed", output
    net = load_run_model(run)
    found = evaluate(net, load_dataset("shapes", split="test"))
    assert (found.accuracy, curve(run).test.accuracy) == (run.status.test_accuracy,) * 2
    assert net.weights == f"best weights, of step {curve(run).test.step:,}"
    assert net.weights in output
    best = max(curve(run).epochs, key=lambda epoch: epoch.val_accuracy)
    assert best.step == curve(run).test.step


def test_two_machines(store, tmp_path, config):
    options = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-id", "pair"]
    options += ["--rdzv-endpoint", f"127.0.0.1:{free_port()}"]
    own_store = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    machines = [torchrun(tmp_path, config.replace(epochs=1), *options, **own_store) for _ in range(2)]
    outputs = [finish(machine) for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], outputs
    (run,) = store.list()
    assert run.status.state == "completed"


def test_a_process_that_dies_ends_the_run_cleanly(store, tmp_path, config):
    process = torchrun(tmp_path, config, "--standalone", "--nproc-per-node", "2", epochs=9999)
    kill_one(store, process)
    output = finish(process)
    assert process.returncode != 0, output
    assert store.list()[0].status.state == "interrupted"
    assert store.list()[0].last_checkpoint is not None


def test_torchrun_starts_it_again_from_the_checkpoint(store, tmp_path, config):
    options = ["--standalone", "--nproc-per-node", "2", "--max-restarts", "2"]
    process = torchrun(tmp_path, config, *options, epochs=60)
    kill_one(store, process)
    output = finish(process)
    (run,) = store.list()  # the same run went on
    assert (process.returncode, run.status.state) == (0, "completed"), output
    events = run.events()[0]
    starts = [e.step for e in events if isinstance(e, Started)]
    assert len(starts) == 2
    assert starts[1] > 0
    undisturbed = store.create(config.replace(epochs=60), "alone")
    execute(undisturbed)
    assert numbers(run)[:20] == pytest.approx(numbers(undisturbed)[:20], rel=1e-3)


def kill_one(store, process):
    deadline = time.time() + 60
    while not (store.list() and store.list()[0].last_checkpoint):
        assert time.time() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    os.kill(workers(process)[1].pid, signal.SIGKILL)


def test_a_batch_that_cannot_be_shared_evenly_is_refused(store, tmp_path, config):
    output = finish(
        torchrun(tmp_path, config.replace(batch_size=15), "--standalone", "--nproc-per-node", "2")
    )
    assert store.list()[0].status.state == "failed"
    assert "batch size is 15 and there are 2 processes; choose a multiple" in output


def test_rows_of_a_batch_are_dealt_out_once():
    for size in (1, 2, 3, 8):
        rows = [World(rank, size).rows(24) for rank in range(size)]
        assert [i for first, end in rows for i in range(first, end)] == list(range(24))


def test_a_world_of_one_changes_nothing():
    model, values = torch.nn.Linear(2, 2), torch.ones(2)
    assert ALONE.wrap(model) is model
    assert ALONE.sum(values) is values
    assert ALONE.any_rank(True, False) == (True, False)
    assert ALONE.broadcast("x") == "x"
    assert ALONE.device("auto") == "auto"
    assert ALONE.device("cuda:1") == "cuda:1"
