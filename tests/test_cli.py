"""The command line, in process; its signals are tested in tests/runs/test_manager.py."""

import csv
import io
import json
import re
import signal
import subprocess
import sys

import numpy
import onnxruntime
import pytest
import torch
from PIL import Image

from resnet_lab.cli import COMMANDS, main, train
from resnet_lab.models import VARIANTS, ModelSpec, create_model, load_weights
from resnet_lab.runs import RunStore, load_run_model
from resnet_lab.training import RECIPES


@pytest.fixture(autouse=True)
def _keep_signals():
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def modules_after(*arguments):
    """What a process has imported that ran this command."""
    script = (
        "import atexit, sys; atexit.register(lambda: print('!', *sys.modules)); "
        "from resnet_lab.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stdout.rpartition("!")[2].split())


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS if name != "compare")], ids=str)
def test_help_does_not_wait_for_torch(command):
    loaded = modules_after(*command, "--help")
    assert "resnet_lab.cli" in loaded
    assert not {"torch", "numpy", "plotly"} & loaded


def test_a_summary_imports_little_besides_torch():
    loaded = modules_after("summary", "resnet50")
    assert "torch" in loaded
    assert not {"torch._dynamo", "sympy", "triton", "torchvision", "captum", "onnx", "plotly", "PIL"} & loaded


def test_summary_ends_with_the_totals(capsys):
    assert main(["summary", "resnet20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].split() == ["total", "269,722", "40,551,040"]
    sums = [sum(int(line.split()[column].replace(",", "")) for line in lines[1:-1]) for column in (-3, -2)]
    assert sums == [269_722, 40_551_040]


@pytest.mark.parametrize(("depth", "rows"), [("stages", 6), ("blocks", 18), ("layers", 174)])
def test_summary_at_every_depth_and_format(depth, rows, capsys):
    for form in ("table", "csv", "json"):
        assert main(["summary", "resnet50", "--depth", depth, "--format", form]) == 0
        text = capsys.readouterr().out
        if form == "table":
            assert len(text.splitlines()) == rows + 2
        elif form == "csv":
            assert len(list(csv.DictReader(io.StringIO(text)))) == rows
        else:
            content = json.loads(text)
            assert (len(content["layers"]), content["parameters"]) == (rows, 25_557_032)


def test_summary_of_a_spec_file(tmp_path, capsys):
    path = tmp_path / "mine.json"
    path.write_text(VARIANTS["resnet18"].replace(num_classes=10).to_json())
    assert main(["summary", str(path)]) == 0
    assert f"{11_689_512 - 990 * 513:,}" in capsys.readouterr().out.splitlines()[-1]


def test_summary_of_a_link(capsys):
    assert main(["summary", "resnet18.num_classes-10", "--depth", "stages"]) == 0
    assert f"{11_689_512 - 990 * 513:,}" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"PK\x03\x04\xff", "a JSON object, this is not text in UTF-8"),
        (b'{"cells": []}', "unknown field 'cells'"),
        (b"{", "not JSON"),
        (None, "cannot be read (FileNotFoundError)"),
    ],
)
def test_a_file_that_is_no_spec(tmp_path, capsys, content, sentence):
    path = tmp_path / "notebook.json"
    if content is not None:
        path.write_bytes(content)
    assert main(["summary", str(path)]) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_export_of_a_variant(tmp_path, capsys):
    for form, suffix in (
        ("onnx", "onnx"),
        ("python", "py"),
        ("safetensors", "safetensors"),
        ("json", "json"),
    ):
        path = tmp_path / f"net.{suffix}"
        assert main(["export", "resnet20", "--format", form, "--output", str(path)]) == 0
        assert str(path) in capsys.readouterr().out
    assert ModelSpec.from_json((tmp_path / "net.json").read_text()) == VARIANTS["resnet20"]
    compile((tmp_path / "net.py").read_text(), "net.py", "exec")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    assert session.get_inputs()[0].shape[1:] == [3, 32, 32]
    model = create_model("resnet20")
    load_weights(model, tmp_path / "net.safetensors")
    images = torch.randn(2, 3, 32, 32)
    expected = model.eval()(images).detach().numpy()
    numpy.testing.assert_allclose(session.run(None, {"images": images.numpy()})[0], expected, atol=1e-5)


def test_freshly_drawn_weights_follow_the_seed(tmp_path):
    def export(seed):
        path = tmp_path / "net.safetensors"
        main(["export", "resnet20", "--format", "safetensors", "--seed", str(seed), "--output", str(path)])
        return path.read_bytes()

    assert export(1) == export(1) != export(2)


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
    said = capsys.readouterr().out
    assert f"accuracy {run.status.test_accuracy:.2%} on 400 images (best weights, of step 8)" in said
    assert main(["evaluate", run.id, "--device", "cpu", "--weights", "last"]) == 0
    assert "(last weights, of step 8)" in capsys.readouterr().out

    picture, broken = tmp_path / "a.png", tmp_path / "b.png"
    Image.new("RGB", (50, 40), "red").save(picture)
    broken.write_text("no image")
    assert main(["predict", run.id, str(picture), str(broken), "--top", "3"]) == 1
    captured = capsys.readouterr()
    assert captured.out.count("%") == 3
    assert "trained on Shapes (10 classes: circle, square, triangle, …)" in captured.err
    assert "b.png" in captured.err

    weights = tmp_path / "trained.safetensors"
    assert main(["export", run.id, "--format", "safetensors", "--output", str(weights)]) == 0
    model = create_model("resnet20")
    load_weights(model, weights)
    trained = load_run_model(run).model.state_dict()
    assert all(torch.equal(trained[name], value) for name, value in model.state_dict().items())
    capsys.readouterr()

    assert main(["resume", run.id]) == 1
    assert "nothing to resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["summary", "resnet19"], "variant is 'resnet19'"),
        (["summary", "resnet18", "--size", "0"], "size"),
        (["train", "--lr", "0"], "lr is 0.0"),
        (["train", "--lr", "nan"], "lr is nan"),
        (["train", "--lr", "9" * 400], "lr is inf"),
        (["train", "--milestones", "-1"], "milestones is (-1.0,)"),
        (["train", "--scale-jitter", "2", "1"], "scale_jitter is (2.0, 1.0)"),
        (["train", "--dataset", "imagenet"], "dataset is 'imagenet'"),
        (["train", "--recipe", "slow"], "recipe is 'slow'"),
        (["evaluate", "nothing"], "There is no run 'nothing'"),
        (["predict", "nothing", "a.png"], "There is no run 'nothing'"),
        (["export", "nothing"], "There is no run 'nothing'"),
        (
            ["export", "resnet20", "--format", "json", "--output", "no/such/folder/a.json"],
            "cannot be written",
        ),
        (["export", "resnet50.width-4096"], "its weights take 384.7 GB"),
        (["export", "resnet20", "--seed", "9" * 30], "seed is 999"),
        (["export", "resnet20", "--size", "0"], "a side may be from 1 to 1,024"),
        (["summary", "resnet20.layers-3"], "unknown field 'layers'"),
    ],
)
def test_bad_input_is_one_sentence(command, sentence, capsys):
    assert main(command) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_every_field_of_a_recipe_has_a_flag(monkeypatch):
    asked = []
    monkeypatch.setattr(train, "train_in_console", lambda find, device: asked.append(find()) or 0)
    config = RECIPES["guide"].replace(
        schedule="multistep", milestones=(1.0, 2.5), test_scales=(224, 256), precision="bf16", seed=3, lr=0.1 + 0.2,
        compile=False, channels_last=True, deterministic=True, micro_batch=8, warmup_accuracy=0.25, device="cpu",
    )  # fmt: skip
    config = config.replace(augmentation=config.augmentation.replace(flip=False, scale_jitter=(1.25, 1.5)))
    flags = []
    for record in (config, config.augmentation):
        for name, value in record.to_dict().items():
            flag = f"--{name.replace('_', '-')}"
            if isinstance(value, bool):
                flags.append(flag if value else flag.replace("--", "--no-", 1))
            elif value is not None and name != "augmentation":
                flags += [flag, *map(str, value if isinstance(value, tuple) else [value])]
    assert main(["train", "--recipe", "quick", *flags]) == 0
    assert asked[0].config == config


def test_a_run_that_fails_exits_with_1(capsys):
    assert main(["train", "--dataset", "folder:nowhere", "--epochs", "1"]) == 1
    assert "failed at step 0" in capsys.readouterr().out


def test_compare_races_and_writes_a_page_that_opens_offline(tmp_path, capsys):
    output = tmp_path / "race.html"
    arguments = ["compare", "race", "--depths", "8", "14", "--epochs", "1", "--train-limit", "200"]
    assert main([*arguments, "--output", str(output)]) == 0
    told = capsys.readouterr().out
    assert "plain14, seed 0: test" in told
    assert re.search(r"^14 +A +[\d.]+ +1$", told, re.M)  # layers, shortcuts, test error, runs
    page = output.read_text()
    assert page.count("Plotly.newPlot") == 3  # error, loss, depth
    runs = [run.id for run in RunStore().list()]
    assert len(runs) == 4
    for experiment in ("curves", "depth", "training-gradients"):
        assert main(["compare", experiment, *runs[:2], "--output", str(output)]) == 0
    for experiment in ("responses", "lesion", "random-lesion"):
        assert main(["compare", experiment, *runs[:2], "--images", "50", "--output", str(output)]) == 0
    small = ["--points", "3", "--pictures", "50", "--output", str(output)]  # what --images was called
    assert main(["compare", "surface", *runs[:2], *small]) == 0
    assert output.read_text().count("Plotly.newPlot") == 2


def test_gradients_of_a_depth_are_measured_without_any_run(tmp_path):
    output = tmp_path / "gradients.html"
    assert main(["compare", "gradients", "--depth", "8", "--output", str(output)]) == 0
    assert "plain8 without BN" in output.read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["race", "--depths", "21"], "depth is 21"),
        (["race", "--shortcuts", "D"], "shortcuts is 'D'"),
        (["race", "--seeds", "0"], "seeds is 0; it may be a whole number from 1"),
        (["curves", "gone"], "no run 'gone'"),
        (["gradients", "--depth", "9"], "depth is 9"),
        (["surface", "gone", "--points", "1"], "points is 1; it may be a whole number from 2"),
    ],
)
def test_a_comparison_that_cannot_be_is_said(arguments, says, capsys):
    assert main(["compare", *arguments]) == 1
    assert says in capsys.readouterr().err
