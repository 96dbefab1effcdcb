"""The command line, in process; its signals are tested in tests/runs/test_manager.py."""

import signal

import pytest
from PIL import Image

from resnet_lab.cli import main
from resnet_lab.models import VARIANTS


@pytest.fixture(autouse=True)
def _keep_signals():
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_summary_ends_with_the_totals(capsys):
    assert main(["summary", "resnet20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].split() == ["total", "269,722", "40,551,040"]
    sums = [sum(int(line.split()[column].replace(",", "")) for line in lines[1:-1]) for column in (-2, -1)]
    assert sums == [269_722, 40_551_040]


def test_summary_of_a_spec_file(tmp_path, capsys):
    path = tmp_path / "mine.json"
    path.write_text(VARIANTS["resnet18"].replace(num_classes=10).to_json())
    assert main(["summary", str(path)]) == 0
    assert f"{11_689_512 - 990 * 513:,}" in capsys.readouterr().out.splitlines()[-1]


def test_train_evaluate_predict(store, tmp_path, capsys):
    train = ["train", "--variant", "resnet20", "--dataset", "shapes", "--epochs", "1", "--train-limit", "160",
             "--batch-size", "16", "--name", "first", "--precision", "float32"]  # fmt: skip
    assert main(train) == 0
    output = capsys.readouterr().out
    assert "epoch 1: training" in output
    assert "completed at step 8, test accuracy" in output
    (run,) = store.list()
    assert (run.name, run.status.state) == ("first", "completed")

    assert main(["evaluate", run.id, "--device", "cpu"]) == 0
    assert f"accuracy {run.status.test_accuracy:.2%} on 2,000 pictures" in capsys.readouterr().out

    picture, broken = tmp_path / "a.png", tmp_path / "b.png"
    Image.new("RGB", (50, 40), "red").save(picture)
    broken.write_text("no picture")
    assert main(["predict", run.id, str(picture), str(broken), "--top", "3"]) == 1
    captured = capsys.readouterr()
    assert captured.out.count("%") == 3
    assert "b.png" in captured.err

    assert main(["resume", run.id]) == 1
    assert "nothing to resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["summary", "resnet19"], "variant is 'resnet19'"),
        (["summary", "resnet18", "--size", "0"], "size"),
        (["train", "--lr", "0"], "lr is 0.0"),
        (["train", "--lr", "nan"], "lr is nan"),
        (["train", "--recipe", "slow"], "recipe is 'slow'"),
        (["evaluate", "nothing"], "There is no run 'nothing'"),
        (["predict", "nothing", "a.png"], "There is no run 'nothing'"),
    ],
)
def test_bad_input_is_one_sentence(command, sentence, capsys):
    assert main(command) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_a_run_that_fails_exits_with_1(capsys):
    assert main(["train", "--dataset", "folder:nowhere", "--epochs", "1"]) == 1
    assert "failed at step 0" in capsys.readouterr().out
