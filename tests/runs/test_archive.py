"""A run goes to another lab as one zip file."""

import io
import zipfile

import pytest
import torch

from resnet_lab.runs import RunError, RunStore, load_run_model
from resnet_lab.runs import archive as module
from resnet_lab.runs.archive import pack, unpack


@pytest.fixture
def other(tmp_path):
    return RunStore(tmp_path / "elsewhere")


def repacked(data, change=lambda name, content: (name, content), **more):
    """The archive with each entry changed, and more beside them."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(result, "w") as new:
        for name in old.namelist():
            if (entry := change(name, old.read(name))) is not None:
                new.writestr(*entry)
        for name, content in more.items():
            new.writestr(name, content)
    return result.getvalue()


def test_it_is_the_same_run_elsewhere(trained, other):
    run = unpack(other, pack(trained), "run.zip")
    assert [found.id for found in other.list()] == [run.id] != [trained.id]
    assert run.config == trained.config
    assert run.versions == trained.versions
    assert run.status == trained.status
    assert run.events() == trained.events()
    image = torch.zeros(1, 3, 32, 32)
    nets = [load_run_model(each).model(image) for each in (run, trained)]
    assert torch.equal(*nets)


def test_it_can_be_trained_on_there(trained, other):
    run = unpack(other, pack(trained), "run.zip")
    run.lengthen(1)
    assert run.config.epochs == trained.config.epochs + 1
    run.release()


def test_a_run_that_was_going_on_is_interrupted_elsewhere(trained, other):
    def going_on(name, content):
        return name, content.replace(b'"completed"', b'"running"') if name == "status.json" else content

    run = unpack(other, repacked(pack(trained), going_on), "run.zip")
    assert run.status.state == "interrupted"


def test_a_run_that_goes_on_is_not_packed(store, tiny):
    run = store.create(tiny)
    run.claim()
    with pytest.raises(RunError, match="still queued; stop it first"):
        pack(run)
    run.release()


BAD = {
    "no zip": (lambda data: b"Dear run", "File is not a zip file"),
    "cut": (lambda data: data[: len(data) // 2], "File is not a zip file"),
    "leads out": (lambda data: repacked(data, **{"../evil.py": b"import os"}), "it holds '../evil.py'"),
    "something else": (lambda data: repacked(data, **{"run.sh": b"rm -r /"}), "it holds 'run.sh'"),
    "no config": (
        lambda data: repacked(data, lambda name, content: None if name == "config.json" else (name, content)),
        "it holds no config.json",
    ),
    "damaged config": (
        lambda data: repacked(data, lambda name, content: (name, b"{" if name == "config.json" else content)),
        "config.json is missing or damaged",
    ),
    "damaged inside": (lambda data: data.replace(b"PK\x03\x04", b"PK\x03\x05", 1), "Bad magic number"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_cost_one_sentence_and_leave_nothing(case, trained, other):
    make, reason = BAD[case]
    with pytest.raises(RunError, match=r"my run\.zip") as error:
        unpack(other, make(pack(trained)), "my run.zip")
    assert reason in str(error.value)
    assert str(error.value).count("\n") == 0
    assert not other.root.exists() or list(other.root.iterdir()) == []


def test_too_much_is_not_unpacked(trained, other, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 1000)
    with pytest.raises(RunError, match=r"unpacks to 0\.0 GB"):
        unpack(other, pack(trained), "run.zip")


def test_more_than_the_header_says_is_not_unpacked(trained, other):
    """A header that says little would let a bomb through."""
    data = bytearray(pack(trained))
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        size = packed.getinfo("last.pt").file_size
    lying = bytes(data).replace(size.to_bytes(4, "little"), (10).to_bytes(4, "little"))
    with pytest.raises(RunError, match=r"run\.zip is no run"):
        unpack(other, lying, "run.zip")
