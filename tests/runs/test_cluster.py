"""Runs on a real Ray cluster of two CPUs, on 127.0.0.1; and what is said where there is none."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import Future
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from resnet_lab.cli import main
from resnet_lab.figures.curves import Curve
from resnet_lab.runs import RunError, RunManager, RunStore, manager_from_environment
from resnet_lab.runs.cluster.manager import RayManager
from tests.runs.test_manager import LONG, wait_for

with_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray is not installed: pip install -r requirements-ray.txt"
)


@pytest.fixture(scope="module")
def cluster(shapes_cache):
    """Its address. Without telemetry and dashboard, in a session of its own, whose processes end with it."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # a short path: there are sockets below it
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--port=0",
               "--node-ip-address=127.0.0.1", "--num-cpus=2", "--num-gpus=0", "--include-dashboard=false",
               "--disable-usage-stats", f"--object-store-memory={80 * 2**20}", f"--temp-dir={folder}"]  # fmt: skip
    only_here = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # or Ray takes this machine's outer address
    environment = {**os.environ, **only_here, "RESNET_LAB_DATA": str(shapes_cache)}
    log = (folder / "log").open("w")
    head = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        address = folder / "ray_current_cluster"
        wait_for(lambda: address.exists() and "Ray runtime started" in (folder / "log").read_text())
        with pytest.MonkeyPatch.context() as patch:
            for name, value in only_here.items():
                patch.setenv(name, value)
            yield address.read_text().strip()
    finally:
        os.killpg(head.pid, signal.SIGKILL)
        head.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def manager(store, cluster):
    manager = RayManager(store, cluster)
    yield manager
    for run in store.list():
        manager.stop(run.id)
    wait_for(lambda: not any(run.lock.is_held for run in store.list()))
    manager.close()


def curve(run):
    """The epochs and the test; points between them are where the clock says."""
    curve = Curve("")
    curve.extend(run.events()[0])
    return [replace(epoch, seconds=0) for epoch in curve.epochs], curve.test


@with_ray
def test_a_killed_worker_costs_nothing(manager, tiny):
    config = tiny.replace(deterministic=True, epochs=20, checkpoint_minutes=0.05)
    undisturbed, killed = map(manager.store.get, manager.race([config, config]))
    wait_for(lambda: killed.status.state == "running" and killed.status.step > 20 and killed.last_checkpoint)
    first = killed.status.pid
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: killed.status.state == "queued")
    assert "it waits to go on from its last checkpoint" in killed.status.message
    wait_for(lambda: killed.status.state == "completed" == undisturbed.status.state, 120)
    assert killed.status.pid != first
    assert len(curve(killed)[0]) == 20
    assert curve(killed) == curve(undisturbed)
    states = [torch.load(run.path / "last.pt", weights_only=True)["model"] for run in (undisturbed, killed)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@with_ray
def test_runs_wait_in_the_cluster_and_outlive_the_app(manager, store, cluster, tiny):
    ids = [manager.submit(tiny.replace(epochs=epochs)) for epochs in (LONG, LONG, 1, 1)]
    first, second, third, fourth = map(store.get, ids)
    wait_for(lambda: first.status.state == second.status.state == "running" and first.status.step)
    assert first.status.pid != second.status.pid
    wait_for(lambda: [manager.place(run_id) for run_id in ids] == [None, None, 0, 1])
    manager.close()  # as when the app ends
    at = first.status.step
    wait_for(lambda: first.status.step > at)
    assert (third.status.state, fourth.status.state) == ("queued", "queued")
    with pytest.raises(RunError, match="is waiting to be trained by another process"):
        RunManager(store).resume(third.id)

    again = RayManager(store, cluster)
    try:
        wait_for(lambda: again.place(fourth.id) == 1)
        again.stop(third.id)
        assert third.status.state == "stopped"
        wait_for(lambda: again.place(fourth.id) == 0)
        again.stop(fourth.id, pause=True)
        assert fourth.status.state == "paused"
        again.stop(first.id)
        wait_for(lambda: first.status.state == "stopped")
        assert torch.load(first.last_checkpoint, weights_only=True)["step"] == first.status.step
        again.resume(third.id)
        wait_for(lambda: third.status.state == "completed")
    finally:
        again.close()
    assert (fourth.status.state, fourth.status.step, second.status.state) == ("paused", 0, "running")


@with_ray
def test_a_sweep_is_one_call(manager, store, cluster, monkeypatch, capsys):
    monkeypatch.setenv("RESNET_LAB_RAY_ADDRESS", cluster)
    monkeypatch.setenv("RESNET_LAB_RAY_CPUS", "0.25")
    size = ["--epochs", "1", "--train-limit", "160"]
    assert main(["sweep", "--depths", "8", "14", "--shortcuts", "plain", "A", "--seeds", "2", *size]) == 0
    runs = [store.get(run_id) for run_id in capsys.readouterr().out.split()]
    assert {(run.config.spec.name, run.config.seed) for run in runs} == {
        (name, seed) for name in ("plain8", "plain14", "resnet8", "resnet14") for seed in (0, 1)
    }
    assert len(runs) == 8
    wait_for(lambda: all(run.status.state == "completed" for run in runs), 240)


class Task:
    """A task of Ray that ends as the test says."""

    def __init__(self):
        self.ended = Future()

    def future(self):
        return self.ended

    def task_id(self):
        return b"task"


@pytest.fixture
def keeper(monkeypatch):
    """One without a cluster; each `hand_in` is noted as a task."""
    module = pytest.importorskip("resnet_lab.runs.cluster.keeper")
    keeper, keeper.tasks = module.Keeper(), []
    monkeypatch.setattr(keeper, "_hand_in", lambda order: keeper.tasks.append(Task()) or keeper.tasks[-1])
    monkeypatch.setattr(module.ray, "cancel", lambda task: task.ended.cancel())
    return keeper


async def die(keeper, run, checkpoint=False):
    """The process begins, and dies."""
    from ray.exceptions import WorkerCrashedError

    count = len(keeper.tasks)
    assert await keeper.begin(str(run.path), b"task".hex())
    assert not run.lock.is_held
    run.set_status(state="running")
    if checkpoint:
        (run.path / "last.pt").write_bytes(b"")
        os.utime(run.path / "last.pt", (count, count))
    keeper.tasks[-1].ended.set_exception(WorkerCrashedError())
    while len(keeper.tasks) == count and run.status.state != "failed":
        await asyncio.sleep(0.01)


@with_ray
def test_a_run_that_dies_without_getting_on_has_failed(keeper, store, tiny):
    run = store.create(tiny)

    async def story():
        assert await keeper.take([{"path": str(run.path)}]) == ""
        assert run.lock.is_held
        for checkpoint in (False, False, True, False):  # a checkpoint, and the count begins anew
            await die(keeper, run, checkpoint)
            assert (run.status.state, run.lock.is_held) == ("queued", True)
        await die(keeper, run)
        assert await keeper.waiting() == []

    asyncio.run(asyncio.wait_for(story(), 30))
    assert run.status.state == "failed"
    assert "ended 3 times without a new checkpoint" in run.status.message
    assert not run.lock.is_held


@with_ray
def test_the_keeper_takes_all_or_none_and_a_withdrawn_run_does_not_begin(keeper, store, tiny):
    free, taken = store.create(tiny), store.create(tiny)
    taken.claim()

    async def story():
        orders = [{"path": str(run.path)} for run in (free, taken)]
        assert "is waiting to be trained by" in await keeper.take(orders)
        assert not free.lock.is_held
        assert await keeper.take(orders[:1]) == ""
        assert await keeper.waiting() == [str(free.path)]
        assert await keeper.withdraw(str(free.path))
        assert not free.lock.is_held
        assert not await keeper.begin(str(free.path), b"task".hex())
        assert not await keeper.withdraw(str(free.path))

    asyncio.run(asyncio.wait_for(story(), 30))


@with_ray
def test_a_node_without_the_lab_is_said():
    from ray.exceptions import RayTaskError

    from resnet_lab.runs.cluster.keeper import explain

    cause = RuntimeError(
        "The remote function failed to import on the worker.\n\nNo module named 'resnet_lab'"
    )
    assert explain(RayTaskError("train", "Traceback …", cause)) == (
        "A node of the cluster has no resnet_lab; install this version of the lab on every node."
    )


@with_ray
def test_a_run_folder_that_the_cluster_does_not_see_is_said(cluster, tiny, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where no process of the cluster is
    manager = RayManager(RunStore("/proc/self/cwd/runs"), cluster)
    try:
        with pytest.raises(
            RunError, match=r"does not see /proc/self/cwd/runs/.* must lie on a disk that all"
        ):
            manager.submit(tiny)
    finally:
        manager.close()
    assert not manager.store.list()


@with_ray
def test_a_cluster_that_is_not_there_is_said_and_a_run_keeps_its_checkpoint(store, tiny, trained):
    manager = RayManager(store, "127.0.0.1:1")
    try:
        with pytest.raises(RunError, match=r"No Ray cluster answers at 127\.0\.0\.1:1"):
            manager.submit(tiny)
        assert not store.list()
        shutil.copytree(trained.path, store.root / trained.id)
        run = store.get(trained.id)
        with pytest.raises(RunError, match="No Ray cluster answers"):
            manager.extend(run.id, 1)
    finally:
        manager.close()
    assert run.status.state == "interrupted"
    assert run.status.message.startswith("No Ray cluster answers at 127.0.0.1:1")
    assert run.last_checkpoint is not None
    run.reopen()  # nobody holds it


def test_without_ray_it_is_said_what_to_install(store, tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("RESNET_LAB_RAY_ADDRESS", "auto")
    manager = manager_from_environment(store)
    with pytest.raises(RunError, match=r"Ray is not installed here: pip install 'resnet-lab\[ray\]'"):
        manager.submit(tiny)
    assert not store.list()


@pytest.mark.parametrize("gpus", ["1.5", "-1", "many", "nan"])
def test_a_fraction_of_gpus_that_ray_does_not_take_is_said(store, tiny, monkeypatch, gpus):
    monkeypatch.setenv("RESNET_LAB_RAY_GPUS", gpus)
    with pytest.raises(RunError, match=f"RESNET_LAB_RAY_GPUS is '{gpus}'; it may be a fraction below 1"):
        RayManager(store, "auto").submit(tiny.replace(device="auto"))
    assert not store.list()


def test_without_an_address_runs_stay_on_this_machine(store, monkeypatch):
    monkeypatch.delenv("RESNET_LAB_RAY_ADDRESS", raising=False)
    assert type(manager_from_environment(store)) is RunManager
