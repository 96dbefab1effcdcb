"""A run folder may hold anything: each run is listed or named with a sentence, and nothing else is touched."""

import errno
import json
import os
import time
from contextlib import suppress

import pytest

from resnet_lab.figures.curves import Curve
from resnet_lab.models import ModelSpec
from resnet_lab.runs import RunError, RunManager, execute
from resnet_lab.runs.store import is_run

SMALL = ModelSpec("small", (3, 3), (1, 1), width=8, stem="cifar", shortcut="pad")
DEEP = "[" * 200_000


def text_of(run):
    return (run.path / "config.json").read_text()


def with_config(run, **changes):
    data = json.loads(text_of(run))
    data["config"] |= changes
    return json.dumps(data)


CONFIGS = {
    "latin-1": lambda run: "{'é'}".encode("latin-1"),
    "utf-16": lambda run: text_of(run).encode("utf-16"),
    "deep": lambda run: ('{"config": ' + DEEP).encode(),
    "deep and whole": lambda run: b'{"config": ' + b"[" * 900 + b"]" * 900 + b"}",
    "lr of 400 digits": lambda run: with_config(run, lr=10**400).encode(),
    "an lr of 1e400": lambda run: with_config(run, lr=0.5).replace('"lr": 0.5', '"lr": 1e400').encode(),
    "half a surrogate": lambda run: with_config(run, dataset="\ud800").encode(),
    "a field of a later version": lambda run: with_config(run, teacher="resnet50").encode(),
    "a config that is a list": lambda run: b'{"config": [1]}',
    "nulls": lambda run: bytes(5000),
}
STATUSES = {
    "latin-1": b'{"state": "\xe9"}',
    "a state of a later version": b'{"state": "warming up"}',
    "a list": b"[]",
    "deep": DEEP.encode(),
    "pid as text": b'{"state": "running", "pid": "x"}',
    "steps beyond all": b'{"state": "completed", "step": 1e400}',
    "steps of 5,000 digits": b'{"step": ' + b"9" * 5000 + b"}",
    "created after the end of time": b'{"state": "completed", "created": 1e300}',
    "an accuracy of NaN": b'{"state": "completed", "test_accuracy": NaN}',
    "half a surrogate": b'{"state": "failed", "message": "\\ud800"}',
}
EVENTS = {
    "latin-1": b'{"kind": "step\xe9"}\n',
    "no fields": b'{"kind": "step"}\n{"kind": "started"}\n{"kind": "epoch", "epoch": 1}\n{"kind": "test"}\n{}\n[]\n7\n',
    "fields of other kinds": b'{"kind": "step", "step": "x", "epoch": null, "loss": [], "lr": {}}\n',
    "a kind of a later version": b'{"kind": "distilled", "step": 1}\n',
    "a kind that is a list": b'{"kind": [1], "step": 1}\n',
    "deep": DEEP.encode() + b"\n",
    "a line without an end": b"x" * 3_000_000,
}


def put(path, content):
    """`content` as the file, or what else can lie under a file's name."""
    if path.exists():
        path.unlink()
    if content == "directory":
        path.mkdir()
        (path / "a photograph").touch()
    elif content == "fifo":
        os.mkfifo(path)
    elif content == "sparse":
        with path.open("wb") as file:
            file.truncate(50 * 2**30)
    elif content == "link to itself":
        path.symlink_to(path)
    else:
        path.write_bytes(content)


ODD = ["directory", "fifo", "sparse", "link to itself"]


def everything_about(run):
    """What the pages ask of a run that is listed."""
    curve = Curve("")
    curve.extend(run.events()[0])
    return run.name, run.config.spec, run.status, run.versions, run.best_checkpoint, run.asked, curve


@pytest.fixture
def good(store, tiny):
    return store.create(tiny, "good")


@pytest.fixture
def bad(store, tiny, good):
    run = store.create(tiny, "bad")
    run.set_status(state="stopped")
    return run


@pytest.mark.parametrize("content", [*CONFIGS, *ODD])
def test_any_config_is_named_with_a_sentence_and_can_be_removed(store, good, bad, content):
    put(bad.path / "config.json", CONFIGS[content](bad) if content in CONFIGS else content)
    assert [run.id for run in store.list()] == [good.id]
    ((run, sentence),) = store.damaged()
    assert run.id == bad.id
    assert "config.json is missing or damaged" in sentence
    assert "\n" not in sentence
    assert len(sentence) < 1000
    sentence.encode()
    with pytest.raises(RunError, match=r"config\.json is missing or damaged"):
        store.get(bad.id)
    left = store.delete(run)
    assert left == (["config.json"] if content == "directory" else [])
    assert bad.path.exists() is bool(left)
    assert everything_about(good)[0] == "good"


@pytest.mark.parametrize("content", [*STATUSES, *ODD])
def test_any_status_is_listed_as_interrupted_with_a_sentence(store, good, bad, content):
    put(bad.path / "status.json", STATUSES.get(content, content))
    (listed,) = (run for run in store.list() if run.id == bad.id)
    status = everything_about(listed)[2]
    assert status.state == "interrupted"
    assert "status.json is missing or damaged" in status.message
    assert len(status.message) < 1000
    status.message.encode()


@pytest.mark.parametrize("content", [*EVENTS, *ODD])
def test_events_without_sense_are_passed_over(store, good, bad, content):
    put(bad.path / "events.jsonl", EVENTS.get(content, content))
    curve = everything_about(store.get(bad.id))[-1]
    assert (curve.points, curve.epochs, curve.started, curve.test) == ([], [], None, None)


@pytest.mark.parametrize(
    "name", ["name.txt", "stop", "last.pt", "best.pt", "previous.pt", "lock", "status.lock"]
)
@pytest.mark.parametrize("content", ["directory", "fifo", "link to itself", b"\xff\x00\xfe" * 1000])
def test_whatever_lies_under_the_name_of_another_file_the_run_is_listed(store, good, bad, name, content):
    put(bad.path / name, content)
    listed = store.get(bad.id)
    everything_about(listed)[0].encode()
    left = store.delete(listed)
    assert left == ([name] if content == "directory" else [])


def test_a_directory_in_the_way_fails_its_run_and_the_next_one_has_its_turn(store, tiny):
    """As a folder that may not be written does: here for whoever runs the tests, be it root."""
    short = tiny.replace(variant=SMALL, epochs=1, train_limit=60)
    broken = {
        name: store.create(short) for name in ("status.json", "events.jsonl", "stop", "lock", "last.pt")
    }
    manager = RunManager(store)
    try:
        for name, run in broken.items():
            put(run.path / name, "directory")
            with suppress(RunError):  # said at once, or by the worker
                manager.resume(run.id)
        good = store.get(manager.submit(short))
        end = time.monotonic() + 200
        while good.status.is_active:
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        manager.close(timeout=60)
    assert good.status.state == "completed", good.status.message
    states = {name: run.status.state for name, run in broken.items()}
    assert states.pop("lock") == "queued"  # nobody could claim it; in a minute it counts as interrupted
    assert not {"queued", "running"} & set(states.values()), states


def test_a_status_that_turns_into_anything_while_the_run_goes_on_does_not_end_the_worker(store, tiny):
    run = store.create(tiny.replace(variant=SMALL, epochs=1, train_limit=60))

    def spoil(event):
        (run.path / "status.json").write_bytes(b"[]")

    assert execute(run, on_event=spoil, steps=1) is not None
    assert run.status.state == "paused"


def test_a_fifo_instead_of_the_log_fails_the_run_with_a_sentence(store, tiny):
    run = store.create(tiny)
    os.mkfifo(run.path / "events.jsonl")
    assert execute(run) is None
    assert run.status.state == "failed"
    assert "could not be written" in run.status.message


@pytest.mark.parametrize("files", [[], ["photo.jpg"], ["config.json", "model.safetensors"], ["lock"]])
def test_a_directory_that_is_no_run_is_named_and_never_touched(store, good, files):
    foreign = store.root / "holidays"
    foreign.mkdir()
    for name in files:
        (foreign / name).write_text("{}")
    ((run, sentence),) = store.damaged()
    assert "holidays" in sentence
    assert not is_run(run)
    with pytest.raises(RunError, match="no run of this lab"):
        store.delete(run)
    assert sorted(path.name for path in foreign.iterdir()) == sorted(files)


def test_a_link_to_a_directory_is_left_alone(store, tmp_path, good):
    elsewhere = tmp_path / "elsewhere"
    good.set_status(state="stopped")
    good.path.rename(elsewhere)
    good.path.symlink_to(elsewhere)
    with pytest.raises(RunError, match="no run of this lab"):
        store.delete(store.get(good.id))
    assert (elsewhere / "config.json").is_file()


def test_what_is_not_the_labs_stays_and_is_said(store, bad):
    (bad.path / "notes.txt").write_text("important")
    (bad.path / "figures").mkdir()
    (bad.path / ".last.pt.0a1b2c.tmp").touch()  # the draft of a trainer that was killed
    (bad.path / ".notes.txt.swp").touch()
    assert store.delete(bad) == [".notes.txt.swp", "figures", "notes.txt"]
    assert sorted(path.name for path in bad.path.iterdir()) == [".notes.txt.swp", "figures", "notes.txt"]


def test_a_removal_that_is_cut_short_can_be_taken_up(store, bad, monkeypatch):
    unlink = type(bad.path).unlink

    def denied(path, missing_ok=False):
        if path.name == "config.json":
            raise PermissionError(errno.EACCES, "Permission denied")
        unlink(path, missing_ok)

    monkeypatch.setattr(type(bad.path), "unlink", denied)
    with pytest.raises(RunError, match=r"could not be deleted \(Permission denied\)"):
        store.delete(bad)
    monkeypatch.undo()
    assert store.delete(bad) == []
    assert not bad.path.exists()


@pytest.mark.parametrize("name", [b"\xff\xfe run", b"20260101-000000-n\xe9t-0a1b"])
def test_a_directory_whose_name_is_no_text_is_named(store, good, name):
    path = os.path.join(os.fsencode(store.root), name)
    os.mkdir(path)
    for run, sentence in store.damaged():
        sentence.encode()
        assert "not in UTF-8" in sentence
        run.title.encode()
    assert len(store.damaged()) == 1


@pytest.mark.parametrize("run_id", ["x" * 300, "a\0b", "\udcff", "a/b", "..", "."])
def test_no_id_is_more_than_a_missing_run(store, good, run_id):
    with pytest.raises(RunError, match="There is no run") as refused:
        store.get(run_id)
    assert len(str(refused.value)) < 500


def test_half_a_checkpoint_of_a_trainer_that_was_killed_goes(store, tiny):
    run = store.create(tiny.replace(variant=SMALL, epochs=1, train_limit=60))
    draft = run.path / ".last.pt.0a1b2c3d4e5f.tmp"
    draft.write_bytes(bytes(1000))
    execute(run, steps=1)
    assert not draft.exists()
    assert run.last_checkpoint is not None
