"""One owner a run: between objects, threads and processes; it ends with its process, however that ends."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import filelock
import pytest

from resnet_lab.models import ModelSpec
from resnet_lab.runs import RunError, RunManager, RunStore, execute
from resnet_lab.runs import run as run_module
from resnet_lab.training.events import Notice, StepEvent

SMALL = ModelSpec("small", (3, 3), (1, 1), width=8, stem="cifar", shortcut="pad")
LONG = 10_000  # epochs: such a run ends by being stopped


@pytest.fixture
def small(tiny):
    return tiny.replace(variant=SMALL, train_limit=60)


@pytest.fixture
def python():
    """python(code, *arguments) → a process of its own that runs it, with a line on its output once it is ready."""
    started = []

    def python(code, *arguments):
        command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield python
    for process in started:
        process.kill()
        process.communicate()


CLAIM = """
    import sys
    from pathlib import Path
    from resnet_lab.runs.run import Run
    run = Run(Path(sys.argv[1]))
    run.claim()
    run.set_status(state=sys.argv[2], **__import__("resnet_lab.runs.status", fromlist=["_"]).writer_identity())
    print("ready", flush=True)
    input()
"""


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("state", "does"), [("running", "is being trained"), ("queued", "is waiting to be trained")]
)
def test_a_run_of_another_process_is_refused_until_that_process_is_gone(store, small, python, state, does):
    run = store.create(small)
    other = python(CLAIM, run.path, state)
    assert other.stdout.readline() == "ready\n"
    assert run.status.state == state
    said = f"{does} by another process ({other.pid} on "
    for attempt in (run.claim, run.reopen, lambda: run.lengthen(1), lambda: execute(run)):
        with pytest.raises(RunError) as refused:
            attempt()
        assert said in str(refused.value)
    with pytest.raises(RunError, match="still"):
        store.delete(run)
    os.kill(other.pid, signal.SIGKILL)
    other.communicate()
    assert run.status.state == "interrupted"
    run.reopen()  # at once
    run.release()
    store.delete(run)
    assert not run.path.exists()


def test_two_terminals_that_resume_one_run_give_one_training_and_one_sentence(store, small):
    run = store.create(small.replace(epochs=LONG))
    execute(run, steps=1)
    command = [sys.executable, "-m", "resnet_lab", "resume", run.id]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]
    try:
        wait_for(lambda: any(process.poll() is not None for process in both))
        refused, training = sorted(both, key=lambda process: process.poll() is None)
        out, err = refused.communicate()
        assert (refused.returncode, out) == (1, "")
        assert err.count("\n") == 1
        assert "is being trained by another process" in err
        assert run.status.pid == training.pid
        wait_for(lambda: run.status.step > 1)
        RunManager(store).stop(run.id, pause=True)
        assert "paused at step" in training.communicate(timeout=60)[0]
    finally:
        for process in both:
            process.kill()
    taken = [e.step for e in run.events()[0] if isinstance(e, StepEvent)]
    assert taken == sorted(set(taken))  # no step was taken twice


def test_two_windows_that_resume_one_run_give_one_training_and_one_sentence(store, small):
    run = store.create(small.replace(epochs=LONG))
    execute(run, steps=1)
    manager = RunManager(store)
    try:
        manager.resume(run.id)
        with pytest.raises(RunError, match="by another window of this app; stop it there first"):
            manager.resume(run.id)
        with pytest.raises(RunError, match="by another window of this app"):
            manager.extend(run.id, 1)
    finally:
        manager.close(timeout=60)
    assert run.status.state == "stopped"
    assert run.config.epochs == LONG


def test_a_queued_run_is_interrupted_when_its_app_is_killed_and_another_terminal_may_take_it(
    store, small, python
):
    app = python(
        """
        import sys
        from resnet_lab.runs import RunManager, RunStore
        manager = RunManager(RunStore(sys.argv[1]))
        config = RunStore(sys.argv[1]).get(sys.argv[2]).config
        print(manager.submit(config), manager.submit(config.replace(epochs=1)), flush=True)
        input()
        """,
        store.root,
        store.create(small.replace(epochs=LONG)).id,
    )
    first, second = map(store.get, app.stdout.readline().split())
    wait_for(lambda: first.status.state == "running")
    assert second.status.state == "queued"
    with pytest.raises(RunError, match="is waiting to be trained by another process"):
        RunManager(store).resume(second.id)
    os.kill(app.pid, signal.SIGKILL)
    app.communicate()
    assert (first.status.state, second.status.state) == ("interrupted", "interrupted")
    second.reopen()
    execute(second, steps=1)
    assert (second.status.state, second.status.step) == ("paused", 1)


def test_a_run_that_nobody_claims_is_queued_for_a_minute(store, small, monkeypatch):
    run = store.create(small)
    assert store.get(run.id).status.state == "queued"
    later = run.status.created + run_module.UNCLAIMED + 1
    monkeypatch.setattr(run_module.time, "time", lambda: later)
    assert store.get(run.id).status.state == "interrupted"


def test_a_manager_that_is_closed_lets_its_queue_go(store, small):
    manager = RunManager(store)
    first = store.get(manager.submit(small.replace(epochs=LONG)))
    second = store.get(manager.submit(small))
    wait_for(lambda: first.status.state == "running")
    manager.close(timeout=60)
    assert (first.status.state, second.status.state) == ("stopped", "interrupted")
    second.reopen()
    second.release()


def test_a_full_disk_leaves_no_queued_run_behind(store, small, monkeypatch):
    create, made = RunStore.create, []

    def full(self, *asked):
        if len(made) == 2:
            raise RunError("No run can be kept in runs (No space left on device); free some space.")
        made.append(create(self, *asked))
        return made[-1]

    monkeypatch.setattr(RunStore, "create", full)
    with pytest.raises(RunError, match="No space left"):
        RunManager(store).race([small, small, small])
    assert store.list() == []


WRITE = """
    import sys
    from pathlib import Path
    from resnet_lab.runs.run import Run
    run, field = Run(Path(sys.argv[1])), sys.argv[2]
    print("ready", flush=True)
    input()
    for number in range(1, 101):
        run.set_status(**{field: number})
        run.rename(f"{field} {number}")
"""


def test_no_change_of_a_status_is_lost_between_processes(store, small, python):
    run = store.create(small)
    writers = [python(WRITE, run.path, field) for field in ("step", "total_steps")]
    assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * 2
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    assert (run.status.step, run.status.total_steps) == (100, 100)
    assert run.name in ("step 100", "total_steps 100")
    assert not list(run.path.glob(".*"))


def test_no_change_of_a_status_is_lost_between_threads(store, small):
    run = store.create(small)

    def write(field):
        for number in range(1, 51):
            run.set_status(**{field: number})
            run.rename(f"{field} {number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, ["step", "total_steps", "pid", "step"]))
    status = run.status
    assert (status.step, status.total_steps, status.pid) == (50, 50, 50)


def test_readers_that_ask_all_the_time_do_not_keep_a_trainer_out(store, small):
    run, done = store.create(small), threading.Event()
    run.claim()
    run.set_status(state="running")
    run.release()  # so that every reader looks at the lock

    def read():
        while not done.is_set():
            assert store.get(run.id).status.state in ("interrupted", "running")

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read) for _ in range(4)]
        try:
            for _ in range(20):
                again = store.get(run.id)
                again.claim()
                again.release()
        finally:
            done.set()
    assert all(reader.result() is None for reader in readers)


def test_a_folder_without_locks_trains_and_says_so(store, small, monkeypatch):
    def missing(*_args, **_kwargs):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(filelock.FileLock, "acquire", missing)
    run = store.create(small.replace(epochs=1))
    assert execute(run).outcome == "completed"
    (note,) = [e.text for e in run.events()[0] if isinstance(e, Notice)]
    assert "lies on a file system without locks (No locks available)" in note
    assert "nothing keeps a second process from training this run" in note

    (run.path / "lock").touch()  # as the system would have left it
    run.set_status(state="running", host="another")
    assert run.status.state == "running"  # by its sign of life
    data = json.loads((run.path / "status.json").read_text())
    data["updated"] -= run_module.SILENT_AFTER + 1
    (run.path / "status.json").write_text(json.dumps(data))
    assert run.status.state == "interrupted"


def test_a_disk_that_is_full_to_the_last_byte_leaves_a_run_that_can_be_resumed(store, small, monkeypatch):
    """Not even the last word can be written: in the same app the run is interrupted, and can be taken up or removed."""
    run = store.create(small.replace(epochs=2))
    write = run_module.write_atomically

    def full(path, data):
        if b'"failed"' in data or len(list(run.events()[0])) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, data)

    monkeypatch.setattr(run_module, "write_atomically", full)
    assert execute(run) is None
    assert run.status.state == "interrupted"
    with pytest.raises(RunError, match="No space left on device"):
        RunManager(store).resume(run.id)
    assert run.status.state == "interrupted"  # the lock was let go
    monkeypatch.setattr(run_module, "write_atomically", write)
    run.reopen()
    execute(run, steps=1)
    assert run.status.state == "paused"
    store.delete(run)
    assert store.list() == []
