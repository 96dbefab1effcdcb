"""Tags and notes: kept in the run's folder, read without trust, taken along."""

import json
import os

import pytest

from resnet_lab.runs import RunError, RunStore
from resnet_lab.runs.archive import pack, unpack
from resnet_lab.runs.notes import Notes
from resnet_lab.schema import SchemaError

NOTES = Notes(("homework", "<b>week</b> 3"), "First line\n# [second](http://example.org) 猫")


@pytest.fixture
def run(store, tiny):
    run = store.create(tiny)
    run.set_status(state="stopped")
    return run


def test_they_are_kept_and_go_with_the_run(store, run, tmp_path):
    assert run.notes == Notes()
    run.annotate(NOTES)
    assert store.get(run.id).notes == NOTES
    other = RunStore(tmp_path / "elsewhere")
    assert unpack(other, pack(run), "run.zip").notes == NOTES
    assert store.delete(run) == []


def test_a_zip_file_of_before_has_none(store, run, tmp_path):
    assert not (run.path / "notes.json").exists()
    assert unpack(RunStore(tmp_path / "elsewhere"), pack(run), "run.zip").notes == Notes()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"\xff\xfe", b'{"tags": "homework"}', b'{"tags": [1]}', b'{"tags": [""]}',
        b'{"text": "\\ud800"}', b"[" * 50_000, b'{"text": "' + b"x" * 200_000 + b'"}',
    ],
)  # fmt: skip
def test_whatever_lies_there_is_no_note(run, content):
    (run.path / "notes.json").write_bytes(content)
    assert run.notes == Notes()
    run.annotate(NOTES)
    assert run.notes == NOTES


def test_a_fifo_keeps_nobody_waiting(run):
    os.mkfifo(run.path / "notes.json")
    assert run.notes == Notes()


def test_fields_of_a_later_version_are_left_out(run):
    (run.path / "notes.json").write_text(json.dumps({"tags": ["a"], "stars": 5}))
    assert run.notes == Notes(("a",))


def test_the_largest_notes_that_can_be_written_can_be_read(run):
    largest = Notes(tuple(f"{i:02}" + "\U0001f600" * 38 for i in range(20)), "\U0001f600" * 4_000)
    run.annotate(largest)
    assert run.notes == largest


def test_tags_are_added_and_removed_whatever_their_case_and_spaces():
    notes = Notes(("Homework", "week 3"), "text")
    assert notes.tagged(["  homework ", "new\n tag", " "]) == Notes(("homework", "week 3", "new tag"), "text")
    assert notes.tagged([], ["WEEK  3", "unknown"]) == Notes(("Homework",), "text")


@pytest.mark.parametrize(
    ("tags", "says"), [(["x" * 41], "40 letters"), ([f"{i}" for i in range(21)], "0 to 20")]
)
def test_too_much_is_said(tags, says):
    with pytest.raises(SchemaError, match=says):
        Notes().tagged(tags)


def test_a_folder_that_is_gone_is_one_sentence(store, run):
    store.delete(run)
    with pytest.raises(
        RunError, match=r"^The notes on .* could not be kept \(No such file or directory\)\.$"
    ):
        run.annotate(NOTES)


def test_a_recorded_run_has_the_note_of_its_card_and_keeps_it(recorded):
    noted = next(run for run in recorded if run.card.note)
    assert noted.notes == Notes(text=noted.card.note)
    with pytest.raises(RunError, match="came with the lab"):
        noted.annotate(NOTES)
