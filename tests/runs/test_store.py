"""The run directory as others write, break and delete it."""

import json
import os

import pytest

from resnet_lab.models import VARIANTS
from resnet_lab.runs import RunError, RunStore, execute, load_run_model
from resnet_lab.runs.writer import RunWriter
from resnet_lab.training import TrainConfig
from resnet_lab.training.events import Checkpoint, EpochEvent, Notice, Started, StepEvent


def test_a_new_run_is_queued_and_found(store, tiny):
    run = store.create(tiny, name="my run")
    assert run.status.state == "queued"
    found = store.get(run.id)
    assert (found.config, found.name) == (tiny, "my run")
    assert found.versions.keys() >= {"torch", "torchvision", "python", "resnet_lab"}
    assert [r.id for r in store.list()] == [run.id]


def test_rename_and_delete(store, tiny):
    run = store.create(tiny)
    assert run.name == "resnet8 on shapes"
    run.rename("  a **new** name ")
    assert run.name == "a **new** name"
    with pytest.raises(RunError, match="still queued"):
        store.delete(run)
    run.set_status(state="stopped")
    store.delete(run)
    assert list(store.list()) == []


@pytest.mark.parametrize("run_id", ["", "nothing", "../elsewhere", "/etc", ".hidden"])
def test_no_such_run(store, run_id):
    store.root.mkdir()
    with pytest.raises(RunError, match="no run"):
        store.get(run_id)


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"config": {"variant": "resnet19"}}'])
def test_a_broken_config_is_listed_apart_and_can_be_removed(store, tiny, content):
    good, bad = store.create(tiny), store.create(tiny)
    path = bad.path / "config.json"
    path.unlink() if content is None else path.write_text(content)
    assert [r.id for r in store.list()] == [good.id]
    ((damaged, reason),) = store.damaged()
    assert damaged.id == bad.id
    assert "config.json is missing or damaged" in reason
    store.delete(damaged)
    assert list(store.damaged()) == []


@pytest.mark.parametrize(
    "content",
    [None, "", "{", "[1]", "[" * 10_000, '{"state": "warming up"}', '{"pid": "x"}', '{"step": 1e400}'],
)
def test_a_broken_status_reads_as_interrupted_and_is_written_anew(store, tiny, content):
    run = store.create(tiny)
    path = run.path / "status.json"
    path.unlink() if content is None else path.write_text(content)
    assert run.status.state == "interrupted"
    assert "status.json is missing or damaged" in run.status.message
    run.set_status(state="stopped", step=3)
    assert (run.status.state, run.status.step) == ("stopped", 3)


def test_a_status_of_another_version_is_read_as_far_as_it_is_known(store, tiny):
    run = store.create(tiny)
    old = {"state": "running", "step": 7, "pid": 1, "born": 1.0, "host": "hal", "energy": {"joules": 3}}
    (run.path / "status.json").write_text(json.dumps(old))
    assert (run.status.state, run.status.step) == ("interrupted", 7)  # nobody has its lock
    run.set_status(state="paused")
    assert (run.status.state, run.status.step) == ("paused", 7)


def line(event):
    return json.dumps(event.to_dict()).encode()


def test_events_are_read_from_an_offset_and_half_lines_wait(store, tiny):
    run = store.create(tiny)
    assert run.events() == ([], 0)
    path = run.path / "events.jsonl"
    first, second, third = (Notice(step, "smaller") for step in (1, 2, 3))
    cut = line(second)[:20]
    path.write_bytes(line(first) + b"\n" + cut)
    events, offset = run.events()
    assert events == [first]
    assert run.events(offset) == ([], offset)
    with path.open("ab") as file:
        file.write(line(second)[20:] + b"\nnot json\n" + line(third) + b"\n")
    events, offset = run.events(offset)
    assert events == [second, third]
    assert offset == path.stat().st_size


def test_a_line_cut_by_a_crash_costs_itself_alone(store, tiny):
    run = store.create(tiny)
    first, last = Notice(1, "smaller"), EpochEvent(1, 2, 1.0, 0.1, 1.0, 0.2, 1.0)
    (run.path / "events.jsonl").write_bytes(line(first) + b'\n{"kind": "st')
    RunWriter(run)(last)
    assert run.events()[0] == [first, last]


def test_checkpoints_are_whole_or_not_at_all(store, tiny, monkeypatch):
    run = store.create(tiny)
    writer = RunWriter(run)
    writer(Checkpoint(1, {"spec": "", "model": {}, "step": 1}, best=True))
    before = (run.path / "last.pt").read_bytes()

    def full(*_args, **_kwargs):
        raise RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed writing file")

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(RunError, match=r"could not be written.*the previous checkpoint is kept"):
        writer(Checkpoint(2, {"step": 2}, best=True))
    assert (run.path / "last.pt").read_bytes() == before
    assert not list(run.path.glob("*.tmp")) + list(run.path.glob(".*.tmp"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_a_full_disk_fails_the_run_with_one_sentence(store, tiny):
    run = store.create(tiny.replace(epochs=1))
    (run.path / "events.jsonl").symlink_to("/dev/full")
    assert execute(run) is None
    status = run.status
    assert status.state == "failed"
    assert "No space left on device" in status.message
    assert "resume" in status.message


def test_an_unwritable_folder_is_one_sentence(tmp_path, tiny):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="No run can be kept in"):
        RunStore(tmp_path / "file" / "runs").create(tiny)
    assert list(RunStore(tmp_path / "nowhere").list()) == []


def test_writer_keeps_the_best_accuracy(store, tiny):
    run = store.create(tiny)
    writer = RunWriter(run)
    for epoch, accuracy in enumerate([0.3, 0.5, 0.4], start=1):
        writer(EpochEvent(epoch, epoch, 1.0, 0.1, 1.0, accuracy, 1.0))
    assert run.status.val_accuracy == 0.5


def test_the_first_step_is_told_at_once_and_the_next_ones_now_and_then(store, tiny):
    run = store.create(tiny)
    writer = RunWriter(run)
    writer(Started(0, 9, 9, 90, 10, 1000, "cpu", "float32"))
    for step in range(1, 5):
        writer(StepEvent(step, step / 9, 2.0, 0.1, 0.1, 1.0, 50.0, 1.0, 9.0, 100.0, None))
        assert run.status.step == 1  # the file of events has them all
    assert len(run.events()[0]) == 5


@pytest.mark.parametrize("damage", ["missing", "cut", "foreign"])
def test_a_damaged_checkpoint_is_one_sentence(store, tiny, damage):
    run = store.create(tiny.replace(epochs=1, train_limit=60))
    execute(run)
    assert load_run_model(run).classes[0] == "circle"
    for path in (run.path / "best.pt", run.path / "last.pt"):
        if damage == "missing":
            path.unlink()
        elif damage == "cut":
            path.write_bytes(path.read_bytes()[:1000])
        else:
            import torch

            torch.save({"weights": torch.zeros(1)}, path)
    wanted = {"missing": "no checkpoint yet", "cut": "cut short", "foreign": "no checkpoint of this lab"}[
        damage
    ]
    with pytest.raises(RunError, match=wanted):
        load_run_model(run)


@pytest.mark.parametrize(
    "name", ["../../elsewhere", "a net/of mine", "", "ネット", "x" * 200, ".hidden", "a\0b"]
)
def test_a_run_of_a_net_with_any_name_stays_in_its_folder(store, name):
    run = store.create(TrainConfig(VARIANTS["resnet20"].replace(name=name)))
    assert run.path.parent == store.root
    assert store.get(run.id).config.spec.name == name
    assert [each.id for each in store.list()] == [run.id]
