"""Background runs: queue, stop, pause, resume, and runs of other processes."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from resnet_lab.runs import RunError, RunManager, execute, load_run_model
from resnet_lab.training.events import StepEvent

LONG = 10_000  # epochs: such a run ends by being stopped


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@pytest.fixture
def manager(store):
    manager = RunManager(store)
    yield manager
    manager.close(timeout=20)


def steps(run):
    return [e.step for e in run.events()[0] if isinstance(e, StepEvent)]


def test_submit_returns_at_once_and_the_run_completes(manager, tiny):
    run = manager.store.get(manager.submit(tiny))
    assert run.status.is_active
    wait_for(lambda: not run.status.is_active)
    assert run.status.state == "completed"
    assert run.status.step == run.status.total_steps == 16
    assert run.status.test_accuracy is not None
    assert (run.path / "best.pt").is_file()
    trained = load_run_model(run)
    assert not trained.model.training
    probabilities = trained.predict(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    torch.testing.assert_close(probabilities.sum(1), torch.ones(2))


def test_stop_keeps_a_checkpoint_and_resume_goes_on(manager, tiny):
    run = manager.store.get(manager.submit(tiny.replace(epochs=LONG)))
    wait_for(lambda: steps(run))
    manager.stop(run.id)
    wait_for(lambda: not run.status.is_active, 20)
    assert run.status.state == "stopped"
    at = torch.load(run.last_checkpoint, weights_only=True)["step"]
    assert at == run.status.step > 0
    manager.resume(run.id)
    wait_for(lambda: max(steps(run)) > at + 2)
    manager.stop(run.id, pause=True)
    wait_for(lambda: not run.status.is_active, 20)
    assert run.status.state == "paused"
    assert sorted(set(steps(run))) == steps(run)


def test_runs_wait_for_their_turn_and_can_be_withdrawn(manager, tiny):
    first = manager.store.get(manager.submit(tiny.replace(epochs=LONG)))
    second, third = (manager.store.get(manager.submit(tiny)) for _ in range(2))
    wait_for(lambda: steps(first))
    assert (second.status.state, third.status.state) == ("queued", "queued")
    manager.stop(second.id)
    assert second.status.state == "stopped"
    manager.stop(first.id)
    wait_for(lambda: third.status.state == "completed")
    assert second.status.state == "stopped"
    with pytest.raises(RunError, match="nothing to resume"):
        manager.resume(third.id)


def test_a_failing_run_says_why_and_the_next_one_goes_on(manager, tiny):
    bad = manager.store.get(manager.submit(tiny.replace(batch_size=512)))
    good = manager.store.get(manager.submit(tiny.replace(epochs=1)))
    wait_for(lambda: good.status.state == "completed")
    assert bad.status.state == "failed"
    assert "batch size is 512" in bad.status.message


def test_a_surprise_fails_the_run_and_not_the_worker(manager, tiny, monkeypatch, capsys):
    def surprise(*_args):
        raise KeyError("surprise")

    monkeypatch.setattr("resnet_lab.runs.manager.loop.step_by_step", surprise)
    run = manager.store.get(manager.submit(tiny))
    wait_for(lambda: not run.status.is_active)
    assert (run.status.state, run.status.message) == ("failed", "KeyError: 'surprise'")
    assert "Traceback" in capsys.readouterr().err


def test_a_folder_deleted_while_training_does_not_stop_the_worker(manager, tiny):
    run = manager.store.get(manager.submit(tiny.replace(epochs=LONG)))
    wait_for(lambda: steps(run))
    run.path.rename(manager.store.root / ".gone")  # at once; rmtree would meet the writer's drafts
    good = manager.store.get(manager.submit(tiny.replace(epochs=1)))
    wait_for(lambda: good.status.state == "completed")
    assert not run.path.exists()


def test_close_stops_the_run_and_keeps_it(store, tiny):
    manager = RunManager(store)
    run = store.get(manager.submit(tiny.replace(epochs=LONG)))
    wait_for(lambda: steps(run))
    manager.close(timeout=20)
    assert run.status.state == "stopped"
    assert run.last_checkpoint is not None


@pytest.mark.timeout(60)
def test_close_at_whatever_moment_ends_the_worker(store, tiny):
    """A worker that had just seen that it is to go on would wait for a word that had been said."""
    chance = random.Random(0)
    for _ in range(100):
        manager = RunManager(store)
        manager.submit(tiny.replace(dataset="folder:nowhere"))
        time.sleep(chance.uniform(0, 0.002))
        manager.close(timeout=5)
        assert not any(thread.is_alive() for thread in manager._threads)


def test_a_large_net_stops_inside_its_first_step(manager, tiny):
    """A step of this net takes many seconds on two cores; the stop does not wait for it."""
    config = tiny.replace(variant="resnet50", image_size=96, batch_size=100, epochs=LONG)
    run = manager.store.get(manager.submit(config))
    wait_for(lambda: run.status.total_steps)
    time.sleep(0.5)
    manager.stop(run.id)
    wait_for(lambda: not run.status.is_active)
    assert (run.status.state, run.status.step) == ("stopped", 0)


def train_elsewhere(tmp_path, config):
    """A process that trains for ever, with one thread: on a busy machine two would wait for each other."""
    recipe = tmp_path / "recipe.json"
    recipe.write_text(config.replace(epochs=LONG).to_json())
    command = [sys.executable, "-m", "resnet_lab", "train", "--config", str(recipe)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_the_app_stops_a_run_of_another_process(store, tiny, tmp_path):
    child = train_elsewhere(tmp_path, tiny)
    try:
        wait_for(lambda: store.list() and steps(store.list()[0]))
        run = store.list()[0]
        assert run.status.state == "running"
        RunManager(store).stop(run.id)
        output = child.communicate(timeout=30)[0]
    finally:
        child.kill()
    assert run.status.state == "stopped"
    assert "stopped at step" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals_keep_or_mark_the_run(store, tiny, tmp_path, number):
    child = train_elsewhere(tmp_path, tiny)
    wait_for(lambda: store.list() and store.list()[0].last_checkpoint)
    os.kill(child.pid, number)
    child.communicate(timeout=30)
    run = store.list()[0]
    if number == signal.SIGKILL:
        assert run.status.state == "interrupted"
    else:
        assert (run.status.state, child.returncode) == ("stopped", 0)
    at = torch.load(run.last_checkpoint, weights_only=True)["step"]
    done = threading.Event()
    execute(
        run,
        should_stop=done.is_set,
        on_event=lambda e: done.set() if getattr(e, "step", 0) > at + 1 else None,
    )
    assert run.status.state == "stopped"
    assert run.status.step > at


def test_a_race_advances_together_and_each_run_can_be_stopped(manager, tiny):
    specs = [tiny.spec.replace(shortcut=shortcut) for shortcut in ("pad", "none")]
    ids = manager.race([tiny.replace(variant=spec, epochs=LONG) for spec in specs])
    first, second = map(manager.store.get, ids)
    wait_for(lambda: steps(first) and steps(second))
    manager.stop(first.id)
    wait_for(lambda: first.status.state == "stopped")
    assert second.status.state == "running"
    at = second.status.step
    assert abs(first.status.step - at) < 0.5 * at + 16
    wait_for(lambda: max(steps(second)) > at)
    manager.stop(second.id)
    wait_for(lambda: second.status.state == "stopped")


def test_one_of_a_race_that_fails_leaves_the_others(manager, tiny):
    ids = manager.race([tiny.replace(batch_size=1000), tiny])
    failed, fine = map(manager.store.get, ids)
    wait_for(lambda: not fine.status.is_active)
    assert (failed.status.state, fine.status.state) == ("failed", "completed")
    assert "batch size is 1,000" in failed.status.message


def test_a_run_taken_out_of_a_waiting_race_does_not_start(manager, tiny):
    running = manager.store.get(manager.submit(tiny.replace(epochs=LONG)))
    wait_for(lambda: running.status.state == "running")
    out, stays = map(manager.store.get, manager.race([tiny, tiny]))
    manager.stop(out.id)
    assert out.status.state == "stopped"
    manager.stop(running.id)
    wait_for(lambda: stays.status.state == "completed")
    assert (out.status.state, out.status.step) == ("stopped", 0)
