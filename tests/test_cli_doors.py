"""The command line on any console, with any file name; what ends before it has begun leaves nothing in a queue."""

import io
import os
import signal
import subprocess
import sys

import pytest
import torch
from PIL import Image

from resnet_lab import data, runs
from resnet_lab.cli import main
from resnet_lab.models import init_model


@pytest.fixture(autouse=True)
def _keep_signals():
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def trained(store, tiny):
    run = store.create(tiny)
    images = data.load_dataset("shapes", split="test", limit=10)
    model = init_model(tiny.spec, 0, 10)
    state = {"spec": model.spec.to_json(), "model": model.state_dict(), "classes": list(images.classes)}
    torch.save(state | {"image_size": 32, "mean": images.mean, "std": images.std}, run.path / "best.pt")
    return run


@pytest.fixture
def console(monkeypatch):
    """console("ascii") → standard output and error of that encoding, as strict as Windows gives them."""

    def console(encoding):
        streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2)]
        monkeypatch.setattr(sys, "stdout", streams[0])
        monkeypatch.setattr(sys, "stderr", streams[1])
        return streams

    return console


def told(stream):
    stream.flush()
    return stream.buffer.getvalue().decode(stream.encoding)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "utf-8"])
def test_names_of_any_bytes_and_letters_are_printed_on_any_console(trained, tmp_path, console, encoding):
    names = [b"caf\xe9.png", "ネット → 🙂.png".encode(), b"plain.png"]
    paths = [os.path.join(os.fsencode(tmp_path), name) for name in names]
    for path in paths:
        with open(path, "wb") as file:
            Image.new("RGB", (40, 40), "red").save(file, "png")
    out, err = console(encoding)
    assert main(["predict", trained.id, *map(os.fsdecode, paths), "--top", "1"]) == 0
    lines = told(out).splitlines()
    assert len(lines) == 3
    assert all("%" in line for line in lines)
    assert "caf\\udce9.png" in lines[0]
    assert len(told(err).splitlines()) == 1  # what the net was trained on


def test_good_images_are_answered_whatever_one_of_them_does(trained, tmp_path, console, monkeypatch):
    read = data.read_image
    reasons = {
        "recursion.png": RecursionError("too deep\nby far"),
        "memory.png": MemoryError(),
        "key.png": KeyError("mode"),
    }

    def broken(source, name):
        if name in reasons:
            raise reasons[name]
        return read(source, name)

    monkeypatch.setattr(data, "read_image", broken)
    Image.new("RGB", (40, 40)).save(tmp_path / "good.png")
    names = [*reasons, "missing.png", ".", "good.png"]
    out, err = console("utf-8")
    assert main(["predict", trained.id, *(str(tmp_path / name) for name in names)]) == 1
    assert len(told(out).splitlines()) == 1
    assert "good.png: " in told(out)
    assert len(told(err).splitlines()) == 1 + 5
    assert "too deep" in told(err)


@pytest.mark.parametrize(
    "arguments", [["--dataset", "folder:nowhere"], ["--batch-size", "50000"], ["--device", "cuda:77"]]
)
def test_bad_data_leaves_no_run_in_a_queue(store, arguments):
    assert main(["train", *arguments]) == 1
    (run,) = store.list()
    assert run.status.state == "failed"
    store.delete(run)


@pytest.mark.parametrize("surprise", [KeyboardInterrupt(), ImportError("no torchvision"), SystemExit(3)])
def test_what_ends_training_before_it_begins_leaves_no_run_in_a_queue(store, monkeypatch, surprise):
    def end(*_args, **_kwargs):
        raise surprise

    monkeypatch.setattr(runs, "execute", end)
    try:
        code = main(["train"])
    except (ImportError, SystemExit):
        code = 1
    assert code != 0
    (run,) = store.list()
    assert run.status.state == "interrupted"
    store.delete(run)


def test_a_run_that_someone_else_trains_is_one_sentence(store, trained, console):
    _, err = console("cp1252")
    holder = store.get(trained.id)
    holder.claim()
    assert main(["resume", trained.id]) == 1
    holder.release()
    assert told(err).count("\n") == 1
    assert "stop it there first" in told(err)


@pytest.mark.skipif(os.name == "nt", reason="a signal of its own")
def test_ctrl_c_while_data_are_read_stops_the_run(store):
    command = [sys.executable, "-m", "resnet_lab", "train", "--image-size", "64"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert "→" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    (run,) = store.list()
    assert run.status.state == "stopped"


@pytest.mark.skipif(os.name == "nt", reason="a pipe of its own")
def test_a_run_goes_on_when_its_console_goes_away(store):
    short = ["--train-limit", "160", "--batch-size", "16", "--epochs", "2", "--device", "cpu"]
    command = [sys.executable, "-m", "resnet_lab", "train", *short, "--precision", "float32"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert "→" in process.stdout.readline()
    process.stdout.close()  # as "| head" does
    assert process.wait(timeout=120) == 0
    (run,) = store.list()
    assert run.status.state == "completed"
