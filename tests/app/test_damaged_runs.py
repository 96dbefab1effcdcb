"""One bad run folder takes no page down, least of all the one that would remove it."""

import json
import os

import pytest

from resnet_lab.runs import RunStore

PAGES = ["home", "architecture", "training", "comparison", "prediction", "runs"]


def words(at):
    elements = [*at.markdown, *at.caption, *at.info, *at.error, *at.warning]
    return " ".join(element.value for element in elements).replace("\\", "")


@pytest.fixture
def folder(tiny):
    """A folder of runs, of which one is as it should be; the others, by what is wrong with them."""
    store = RunStore()

    def write(run, name, content):
        (run.path / name).write_bytes(content)
        return run

    def fifo(run, name):
        (run.path / name).unlink(missing_ok=True)
        os.mkfifo(run.path / name)
        return run

    data = {"config": {**tiny.to_dict(), "lr": 10**400}, "versions": {}}
    runs = {
        "good": store.create(tiny, "good"),
        "lr": write(store.create(tiny), "config.json", json.dumps(data).encode()),
        "deep": write(store.create(tiny), "config.json", b"[" * 100_000),
        "bytes": write(store.create(tiny), "config.json", b"\xff\xfe"),
        "fifo": fifo(store.create(tiny), "config.json"),
        "later": write(store.create(tiny), "status.json", b'{"state": "warming up"}'),
        "pid": write(store.create(tiny), "status.json", b'{"state": "running", "pid": "x"}'),
        "status": fifo(store.create(tiny), "status.json"),
        "events": write(store.create(tiny), "events.jsonl", b'{"kind": "step"}\n{"kind": "started"}\n\xff\n'),
        "name": write(store.create(tiny), "name.txt", b"\xff\xfe" * 5000),
        "log": fifo(store.create(tiny), "events.jsonl"),
    }
    for run in runs.values():
        (run.path / "best.pt").write_bytes(b"no checkpoint")
    os.mkdir(os.path.join(os.fsencode(store.root), b"\xff run"))
    (store.root / "holidays").mkdir()
    return runs


@pytest.mark.parametrize("page", PAGES)
def test_a_folder_with_anything_in_it_takes_no_page_down(open_page, folder, page):
    at = open_page(page)
    assert not at.exception
    if page == "runs":
        assert len(at.dataframe[0].value) == 7
        assert words(at).count("config.json is missing or damaged") == 5  # holidays has none
        assert "not in UTF-8" in words(at)
        assert sum((b.key or "").startswith("runs.remove.") for b in at.button) == 4
    if page == "comparison":
        at.multiselect(key="runs").set_value([r.id for r in folder.values()][5:]).run()
        assert not at.exception


@pytest.mark.parametrize("of", ["later", "pid", "status", "events", "name", "log"])
def test_each_of_them_is_shown_with_a_sentence(open_page, folder, of):
    at = open_page("training", run=folder[of].id)
    assert not at.exception
    if of in ("later", "pid", "status"):
        assert "status.json is missing or damaged" in words(at)


def test_the_page_deletes_one_with_what_is_not_the_labs_and_brings_it_back(open_page, folder):
    run = folder["deep"]
    (run.path / "notes.txt").write_text("important")
    at = open_page("runs")
    before = {path.name for path in RunStore().root.iterdir()}
    at.button(key=f"runs.remove.{run.id.encode().hex()}").click().run()
    assert not at.exception
    assert f"{run.id}/notes.txt" in words(at)
    assert {path.name for path in RunStore().root.iterdir()} == before - {run.id} | {".trash"}
    next(button for button in at.button if button.label == "Undo").click().run()
    assert not at.exception
    assert (run.path / "notes.txt").read_text() == "important"
    assert {path.name for path in RunStore().root.iterdir()} == before | {".trash"}
