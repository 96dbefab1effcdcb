"""A run survives SIGKILL at any moment, damaged files and a full disk."""

import multiprocessing
import random
import resource
import signal
import time

import pytest
import torch

from resnet_lab.figures.curves import Curve
from resnet_lab.models import ModelSpec
from resnet_lab.runs import RunStore, execute, load_run_model
from resnet_lab.training.events import EpochEvent, Notice

SMALL = ModelSpec("small", (3, 3), (1, 1), width=8, stem="cifar", shortcut="pad")
KILLS = 20
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["resnet_lab.runs", "resnet_lab.data", "torch._dynamo"])


def _train(root, run_id):
    from resnet_lab.training import meter

    torch.set_num_threads(1)
    meter.READ_EVERY = 0.0
    execute(RunStore(root).get(run_id))


def train(run):
    child = PROCESSES.Process(target=_train, args=(run.path.parent, run.id))
    child.start()
    return child


def whole_curve(run):
    """Every number of the run that does not depend on the clock."""
    curve = Curve("")
    curve.extend(run.events()[0])
    timed = {"seconds", "seconds_left", "images_per_second", "memory_mb", "device_use"}
    records = [*curve.points, *curve.epochs, curve.test]
    return [{k: v for k, v in record.to_dict().items() if k not in timed} for record in records]


def wait_for_random_moment(run, child, chance, at_start):
    """Until `child` has taken a random number of steps, few enough to leave some for every kill; or while it starts."""
    if at_start:
        time.sleep(chance.uniform(0.0, 0.6))
        return
    goal = run.status.step + chance.randrange(1, 20)
    while run.status.step < goal:
        assert child.is_alive(), run.status.message
        time.sleep(chance.uniform(0.0, 0.02))


def test_twenty_kills_leave_the_curve_of_an_undisturbed_run(store, tiny):
    config = tiny.replace(
        variant=SMALL, deterministic=True, epochs=120, train_limit=60, checkpoint_minutes=0.05
    )
    undisturbed, killed = store.create(config), store.create(config)
    first = train(undisturbed)
    first.join()
    assert undisturbed.status.state == "completed", undisturbed.status.message

    chance, steps = random.Random(0), []
    for kill in range(KILLS):
        child = train(killed)
        wait_for_random_moment(killed, child, chance, at_start=kill % 4 == 3)
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        assert killed.status.state in ("interrupted", "queued")  # queued: it was killed before it had begun
        steps.append(killed.status.step)
    assert steps[-1] > steps[0]  # it got on between the kills
    last = train(killed)
    last.join()
    assert killed.status.state == "completed", killed.status.message
    assert whole_curve(killed) == whole_curve(undisturbed)
    states = [torch.load(run.path / "last.pt", weights_only=True)["model"] for run in (undisturbed, killed)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.fixture
def trained(store, tiny):
    """A run of three epochs that was stopped after two."""
    run = store.create(tiny.replace(variant=SMALL, epochs=3, train_limit=60))
    seen = []
    execute(run, lambda: len(seen) >= 2, lambda e: seen.append(e) if isinstance(e, EpochEvent) else None)
    assert (run.status.state, len(seen)) == ("stopped", 2)
    return run


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_checkpoint_that_the_disk_cut_short_costs_an_epoch_at_most(trained):
    cut(trained.path / "last.pt")
    cut(trained.path / "best.pt")
    assert load_run_model(trained).classes[0] == "circle"
    trained.reopen()
    events = []
    assert execute(trained, on_event=events.append).outcome == "completed"
    told = [e.text for e in events if isinstance(e, Notice)]
    assert len(told) == 1
    assert "last.pt is cut short" in told[0]
    assert "The one before it is used" in told[0]


def test_with_every_checkpoint_cut_the_run_says_so_and_keeps_its_files(trained):
    for path in trained.path.glob("*.pt"):
        cut(path)
    trained.reopen()
    assert execute(trained) is None
    assert trained.status.state == "failed"
    assert "last.pt is cut short" in trained.status.message
    assert (trained.path / "previous.pt").is_file()


def test_a_disk_that_fills_up_stops_the_run_and_the_last_checkpoint_loads(store, tiny):
    """A limit on the size of files stands in for the disk: writing fails half-way, as there."""
    run = store.create(tiny.replace(variant=SMALL, epochs=3, train_limit=60))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill(event):
        if isinstance(event, EpochEvent) and event.epoch == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))

    try:
        assert execute(run, on_event=fill) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    status = run.status
    assert status.state == "failed"
    assert "could not be written" in status.message
    assert "the previous checkpoint is kept" in status.message
    assert not list(run.path.glob(".*"))
    assert load_run_model(run).classes[0] == "circle"
    run.reopen()
    assert execute(run).outcome == "completed"


def test_a_longer_run_goes_on_where_it_ended(store, tiny):
    run = store.create(tiny.replace(variant=SMALL, epochs=2, train_limit=60))
    execute(run)
    at = run.status.step
    run.lengthen(3)
    execute(run)
    assert run.config.epochs == 5
    assert (run.status.state, run.status.step) == ("completed", at * 5 // 2)
    curve = Curve("")
    curve.extend(run.events()[0])
    assert [e.epoch for e in curve.epochs] == [1, 2, 3, 4, 5]


def test_one_step_and_paused_again(store, tiny):
    run = store.create(tiny.replace(variant=SMALL, train_limit=60))
    for step in (1, 2, 3):
        execute(run, steps=1)
        assert (run.status.state, run.status.step) == ("paused", step)
