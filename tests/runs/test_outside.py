"""Nets from files that lie in no run: exports come back, and other programs can use them by their metadata alone."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors import safe_open

from resnet_lab.data import DATASETS
from resnet_lab.inspection.export.formats import EXPORTS
from resnet_lab.inspection.export.source_feed import read_source
from resnet_lab.models import ModelSpec, WeightsError, create_model
from resnet_lab.models.classifier import Classifier, EvalTransform
from resnet_lab.runs.outside import load_outside
from resnet_lab.training import TrainConfig

ROOT = Path(__file__).parents[2]
SPEC = ModelSpec("small", blocks=(1, 1), width=8, stem="cifar", shortcut="pad", num_classes=3)
IMAGES = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
TRANSFORMS = {
    "whole": EvalTransform(),
    "cropped": EvalTransform(20),
    "at two scales": EvalTransform(scales=(24, 40)),
    "a single output": EvalTransform(20, resize="short side"),
}


@pytest.fixture(params=TRANSFORMS)
def net(request):
    torch.manual_seed(0)
    single = request.param == "a single output"
    model = create_model(SPEC, num_classes=1 if single else 3).eval()
    return Classifier(
        model,
        ("no", "猫 \"'\\") if single else ("a", 'b"', "c'"),
        32,
        (0.5, 0.4, 0.3),
        (0.2, 0.25, 0.3),
        TRANSFORMS[request.param],
        "sigmoid" if single else "softmax",
        trained_on="Drawings",
        weights="best weights, of step 3",
    )


def export(net, form, folder):
    path = folder / f"net{EXPORTS[form].suffix}"
    path.write_bytes(EXPORTS[form].write(net, (3, net.side, net.side)))
    return path


@pytest.mark.parametrize("form", ["onnx", "safetensors"])
def test_an_export_is_read_back_without_any_choice(net, form, tmp_path):
    back = load_outside(export(net, form, tmp_path))
    assert torch.equal(back.predict(IMAGES), net.predict(IMAGES))
    assert back.describe() == net.describe() | {"weights": f"net.{form}"}
    assert back.dataset == ""
    assert not back.model.training


def test_onnx_runtime_answers_by_the_files_own_metadata(tmp_path):
    model = create_model(SPEC).eval()
    net = Classifier(model, ("a", "b", "c"), 32, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), EvalTransform(20))
    path = export(net, "onnx", tmp_path)
    said = {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}
    side = said["transform"]["crop"]
    start = (said["image_size"] - side) // 2
    pixels = IMAGES.numpy()[:, :, start : start + side, start : start + side] / 255
    mean, std = (np.array(said[name]).reshape(3, 1, 1) for name in ("mean", "std"))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {"images": ((pixels - mean) / std).astype(np.float32)})[0]
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(chances, net.predict(IMAGES), atol=1e-5)
    assert said["classes"] == ["a", "b", "c"]
    assert said["activation"] == "softmax"


def test_safetensors_say_in_their_header_how_they_are_fed(net, tmp_path):
    with safe_open(export(net, "safetensors", tmp_path), "pt") as file:
        said = {name: json.loads(text) for name, text in file.metadata().items()}
    assert tuple(said["classes"]) == net.classes
    assert (said["mean"], said["std"]) == ([0.5, 0.4, 0.3], [0.2, 0.25, 0.3])
    assert said["transform"] == net.transform.to_dict() | {"scales": list(net.transform.scales)}


def test_a_source_file_predicts_by_itself_and_is_read_without_running_it(net, tmp_path):
    text = export(net, "python", tmp_path).read_text(encoding="utf-8")
    space = {"__name__": "written"}
    exec(compile(text, "net.py", "exec"), space)
    model = space["ResNet"]().eval()
    model.load_state_dict(net.model.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(space["predict"](model, IMAGES), net.predict(IMAGES))
    torch.save(net.model.state_dict(), tmp_path / "w.pt")
    back = load_outside(tmp_path / "w.pt", beside=read_source(text + "\nraise SystemExit\n"))
    assert back.describe() == net.describe() | {"weights": "w.pt"}
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check", "--ignore", "E501"], ["format", "--check", "--diff"]):
        options = ["--no-cache", "--config", ROOT / "pyproject.toml", tmp_path]
        found = subprocess.run([*ruff, *command, *options], capture_output=True, text=True)
        assert found.returncode == 0, found.stdout + found.stderr


def test_many_classes_are_one_a_line_in_a_source_file():
    model = create_model(SPEC, num_classes=300).eval()
    classes = tuple(f"class {i}" for i in range(300))
    net = Classifier(model, classes, 32, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    text = EXPORTS["python"].write(net, (3, 32, 32)).decode()
    assert max(map(len, text.splitlines())) <= 120
    assert read_source(text)["classes"] == classes


@pytest.mark.parametrize("text", ["CLASSES = open('x')", "CLASSES = (", "\0", "CLASSES = " + "(" * 5000])
def test_a_source_that_cannot_be_read_is_said(text):
    with pytest.raises(ValueError, match=r"^(CLASSES is more than a literal|this is no Python file .*)$"):
        read_source(text)


def checkpoint(path, **changes):
    model = create_model("resnet20", num_classes=10)
    state = {"spec": model.spec.to_json(), "model": model.state_dict(), "classes": list("abcdefghij")}
    state |= {"image_size": 32, "mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2), **changes}
    torch.save({name: value for name, value in state.items() if value is not None}, path)
    return path


def test_a_checkpoint_brings_the_crop_and_the_scales_of_its_config(tmp_path):
    config = TrainConfig(dataset="folder:/home/me/pets", test_scales=(24, 40)).to_dict()
    config["augmentation"]["crop_size"] = 20
    net = load_outside(checkpoint(tmp_path / "w.pt", config=json.dumps(config)))
    assert net.transform == EvalTransform(20, (24, 40))
    assert (net.trained_on, net.dataset, net.weights) == ("pets", "", "w.pt")


def test_a_checkpoint_of_any_age_is_read(tmp_path):
    later = json.dumps({"of a later version": 5, "augmentation": {"crop_size": 20, "new": True}})
    assert load_outside(checkpoint(tmp_path / "w.pt", config=later)).transform == EvalTransform(20)
    assert (
        load_outside(checkpoint(tmp_path / "w.pt")).transform == EvalTransform()
    )  # before there were configs


DAMAGED = {
    "config is no JSON": ({"config": "{"}, "its config is a JSON object"),
    "config is a list": ({"config": [1]}, "its config is a JSON object"),
    "the crop is text": ({"config": '{"augmentation": {"crop_size": "20"}}'}, "crop is '20'"),
    "NaN": ({"std": (float("nan"),) * 3}, "std is (nan"),
    "no mean": ({"mean": None}, "mean is missing"),
    "infinite": ({"image_size": float("inf")}, "image_size is inf"),
    "names are numbers": ({"classes": list(range(10))}, "classes is (0, 1"),
    "half a character": ({"classes": ["\udce9", *"bcdefghij"]}, r"'\udce9'"),
    "nested names": ({"classes": [[["a"] * 10] * 10] * 10}, "classes is ("),
    "one name": ({"classes": ["a"]}, "classes has 1 names; with 10 outputs it may be 10"),
    "no spec": ({"spec": 5}, "spec is 5"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_checkpoint_is_one_sentence_that_names_the_field(case, tmp_path):
    changes, says = DAMAGED[case]
    with pytest.raises(WeightsError) as caught:
        load_outside(checkpoint(tmp_path / "w.pt", **changes))
    assert str(caught.value).startswith("w.pt cannot be used: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bare_state_dict_is_fed_as_its_data_were(tmp_path):
    torch.save(create_model("resnet20").state_dict(), tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="does not say which net it is"):
        load_outside(tmp_path / "w.pt")
    spec, shapes = create_model("resnet20").spec, DATASETS["shapes"]
    known, unknown = load_outside(tmp_path / "w.pt", spec, shapes), load_outside(tmp_path / "w.pt", spec)
    assert (known.classes, known.image_size, known.mean) == (shapes.classes, 32, shapes.mean)
    assert (known.dataset, known.trained_on) == ("shapes", "Shapes")
    assert (unknown.classes[:2], unknown.image_size) == (("class 0", "class 1"), 224)
    assert unknown.std == (0.229, 0.224, 0.225)


def test_a_bare_single_output_is_a_sigmoid(tmp_path):
    model = create_model("resnet20", num_classes=1).eval()
    torch.save(model.state_dict(), tmp_path / "w.pt")
    net = load_outside(tmp_path / "w.pt", model.spec)
    with torch.no_grad():
        torch.testing.assert_close(net.predict(IMAGES), model(net.inputs(IMAGES)).sigmoid())
    assert net.classes == ("class 0", "class 1")
    with pytest.raises(WeightsError, match="tells 2 classes apart, and Shapes has 10"):
        load_outside(tmp_path / "w.pt", model.spec, DATASETS["shapes"])


def test_a_file_that_is_no_onnx_is_one_sentence(tmp_path):
    (tmp_path / "w.onnx").write_bytes(b"no graph")
    with pytest.raises(WeightsError, match=r"^w\.onnx is cut short or is no ONNX file"):
        load_outside(tmp_path / "w.onnx")


def test_an_onnx_file_reads_nothing_beside_itself(tmp_path):
    """Tensors may be said to lie in another file, which may be any file of the machine."""
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.arange(8, dtype=np.float32).tobytes())
    file = onnx.load_from_string(EXPORTS["onnx"].write(SPEC, (3, 32, 32)))
    tensor = next(t for t in file.graph.initializer if t.name == "bn1.weight")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret.bin")
    (tmp_path / "w.onnx").write_bytes(file.SerializeToString())
    with pytest.raises(WeightsError) as caught:
        load_outside(tmp_path / "w.onnx")
    assert "\n" not in str(caught.value)
