"""Deleted runs can be had back whole; nothing but the lab's own files is ever removed."""

import errno
import os
import time

import pytest

from resnet_lab.runs import RunError, RunStore
from resnet_lab.runs.trash import Trash


@pytest.fixture
def trash(store):
    return Trash(store)


@pytest.fixture
def stopped(store, tiny):
    def stopped(name=""):
        run = store.create(tiny, name)
        run.set_status(state="stopped")
        return run

    return stopped


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_runs_come_back_as_they_were(store, trash, stopped):
    runs = [stopped("one"), stopped("two")]
    (runs[0].path / "notes.txt").write_text("important")
    before = contents(store.root)
    batch = trash.put(runs)
    assert store.list() == []
    assert store.damaged() == []
    assert sorted(batch.names) == ["one", "two"]
    assert batch.foreign == [f"{runs[0].id}/notes.txt"]
    assert abs(batch.deleted - time.time()) < 60
    assert [each.path for each in trash.batches()] == [batch.path]
    with pytest.raises(RunError, match="There is no run"):
        store.get(runs[0].id)
    trash.restore(batch)
    assert contents(store.root) == before
    assert {run.name for run in store.list()} == {"one", "two"}
    assert trash.batches() == []


def test_a_run_that_goes_on_or_was_recorded_keeps_the_others_too(store, trash, stopped, tiny, recorded):
    idle, active = stopped(), store.create(tiny)
    active.claim()
    with pytest.raises(RunError, match="still queued; stop it first"):
        trash.put([idle, active])
    with pytest.raises(RunError, match="came with the lab"):
        trash.put([idle, recorded[0]])
    active.release()
    assert len(store.list()) == 2
    assert trash.batches() == []


def test_a_link_and_a_folder_of_others_are_left_alone(store, trash, stopped, tmp_path):
    run = stopped()
    run.path.rename(tmp_path / "elsewhere")
    run.path.symlink_to(tmp_path / "elsewhere")
    (store.root / "holidays").mkdir()
    for each in (run, *(damaged for damaged, _ in store.damaged())):
        with pytest.raises(RunError, match="no run of this lab"):
            trash.put([each])
    assert (tmp_path / "elsewhere" / "config.json").is_file()


def test_where_one_cannot_be_moved_none_is(store, trash, stopped, monkeypatch):
    runs = [stopped(), stopped()]
    rename = os.rename

    def denied(source, target):
        if source == runs[1].path:
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", denied)
    with pytest.raises(RunError, match=r"Nothing was deleted.*No space left on device"):
        trash.put(runs)
    assert {run.id for run in store.list()} == {run.id for run in runs}
    assert trash.batches() == []


@pytest.mark.parametrize("kind", ["file", "link"])
def test_something_else_in_the_place_of_the_trash_is_left_alone(store, trash, stopped, tmp_path, kind):
    run = stopped()
    (tmp_path / "target" / "1234").mkdir(parents=True)
    trash.path.write_text("x") if kind == "file" else trash.path.symlink_to(tmp_path / "target")
    with pytest.raises(RunError, match="Nothing was deleted"):
        trash.put([run])
    assert trash.empty() == []
    assert store.get(run.id).status.state == "stopped"
    assert (tmp_path / "target" / "1234").is_dir()


def test_emptying_leaves_what_is_not_the_labs(store, trash, stopped, tmp_path):
    run, other = stopped(), stopped()
    (run.path / "notes.txt").write_text("important")
    (run.path / "figures").mkdir()
    batch = trash.put([run, other])
    (trash.path / "mine").mkdir()
    (trash.path / "17").symlink_to(tmp_path)
    (batch.path / "thesis.pdf").write_text("x")
    folder = batch.path / run.id
    left = trash.empty()
    assert sorted(left) == sorted([folder / "figures", folder / "notes.txt", batch.path / "thesis.pdf"])
    assert all(path.exists() for path in left)
    assert sorted(path.name for path in folder.iterdir()) == ["figures", "notes.txt"]
    assert not (batch.path / other.id).exists()
    assert (trash.path / "mine").is_dir()


def test_a_day_later_the_next_deletion_empties_it(trash, stopped, monkeypatch):
    old, young, next_one = stopped(), stopped(), stopped()
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - int(24.1 * 3600e9))
    gone = trash.put([old])
    monkeypatch.setattr(time, "time_ns", lambda: now - int(23.9 * 3600e9))
    kept = trash.put([young])
    monkeypatch.setattr(time, "time_ns", lambda: now)
    newest = trash.put([next_one])
    assert [batch.path for batch in trash.batches()] == [newest.path, kept.path]
    assert not gone.path.exists()
    with pytest.raises(RunError, match="could not be brought back"):
        trash.restore(gone)


def test_a_run_does_not_come_back_over_another(store, trash, stopped):
    run = stopped()
    batch = trash.put([run])
    run.path.mkdir()
    with pytest.raises(RunError, match="there is something of that name"):
        trash.restore(batch)
    run.path.rmdir()
    trash.restore(batch)
    assert [each.id for each in store.list()] == [run.id]


def test_a_damaged_run_can_be_deleted_and_is_named_by_its_id(store, trash, stopped):
    run = stopped()
    (run.path / "config.json").write_text("{")
    batch = trash.put([run])
    assert batch.names == [run.id]
    assert trash.bytes > 0
    assert trash.empty() == []
    assert trash.batches() == []
    assert list(store.root.iterdir()) == [trash.path]


def test_without_a_folder_there_is_no_trash(tmp_path):
    trash = Trash(RunStore(tmp_path / "nowhere"))
    assert trash.batches() == []
    assert trash.empty() == []
    assert not (tmp_path / "nowhere").exists()
