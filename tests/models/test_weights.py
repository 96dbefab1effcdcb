"""Loading weights: as others publish them, and as they must not be."""

import os
import pickle

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from resnet_lab.models import WeightsError, create_model, imagenet_weights, load_weights


@pytest.fixture
def trained():
    torch.manual_seed(1)
    return create_model("resnet20")


def same(a, b):
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def akamaster(state):
    """A state dict under the names of akamaster/pytorch_resnet_cifar10, saved from DataParallel."""
    return {
        f"module.{name.replace('fc.', 'linear.').replace('downsample', 'shortcut')}": v
        for name, v in state.items()
    }


@pytest.mark.parametrize(
    ("suffix", "legacy", "wrap"),
    [
        (".pt", False, lambda s: s),
        (".pth", True, lambda s: s),
        (".th", False, lambda s: {"state_dict": akamaster(s), "best_prec1": 91.7}),
        (".th", True, lambda s: {"state_dict": akamaster(s), "best_prec1": 91.7}),
        (".pt", False, lambda s: {"model": s, "step": 3, "optimizer": {}}),
        (".pt", False, lambda s: {f"_orig_mod.{k}": v for k, v in s.items()}),
    ],
)
def test_published_layouts(tmp_path, trained, suffix, legacy, wrap):
    path = tmp_path / f"weights{suffix}"
    torch.save(wrap(trained.state_dict()), path, _use_new_zipfile_serialization=not legacy)
    model = create_model("resnet20")
    assert not same(model, trained)
    report = load_weights(model, path)
    assert same(model, trained)
    assert set(report.matched) == set(trained.state_dict())
    assert report.skipped == ()


def test_option_b_shortcuts_are_renamed(tmp_path):
    theirs = create_model("resnet20", shortcut="projection")
    path = tmp_path / "b.th"
    torch.save({"state_dict": akamaster(theirs.state_dict())}, path)
    model = create_model("resnet20", shortcut="projection")
    report = load_weights(model, path)
    assert same(model, theirs)
    assert report.renamed["module.layer2.0.shortcut.0.weight"] == "layer2.0.downsample.0.weight"
    assert report.renamed["module.linear.bias"] == "fc.bias"


def test_safetensors_and_missing_counters(tmp_path, trained):
    path = tmp_path / "weights.safetensors"
    save_file({k: v for k, v in trained.state_dict().items() if "num_batches" not in k}, path)
    model = create_model("resnet20")
    report = load_weights(model, path)
    assert torch.equal(model.fc.weight, trained.fc.weight)
    assert "bn1.num_batches_tracked" in report.skipped


def test_torchvision_weights(tmp_path):
    theirs = torchvision.models.resnet18()
    torch.save(theirs.state_dict(), tmp_path / "resnet18.pth")
    model = create_model("resnet18")
    load_weights(model, tmp_path / "resnet18.pth")
    assert same(model, theirs)


class Dangerous:
    """Unpickling it would make a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def write(tmp_path, kind, trained):
    path = tmp_path / ("x.safetensors" if kind == "damaged safetensors" else "x.pt")
    state = trained.state_dict()
    match kind:
        case "missing":
            pass
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("Dear weights")
        case "cut":
            torch.save(state, path)
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case "damaged safetensors":
            path.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}")
        case "code":
            torch.save({**state, "extra": Dangerous(tmp_path / "was-run")}, path)
        case "bare pickle":
            path.write_bytes(pickle.dumps(Dangerous(tmp_path / "was-run")))
        case "whole model":
            torch.save(nn.Linear(2, 2), path)
        case "no tensors":
            torch.save({"accuracy": 0.9}, path)
        case "other classes":
            torch.save(create_model("resnet20", num_classes=100).state_dict(), path)
        case "deeper net":
            torch.save(create_model("resnet32").state_dict(), path)
        case "shallower net":
            torch.save({k: v for k, v in state.items() if not k.startswith("layer3.2")}, path)
        case "foreign net":
            torch.save(torchvision.models.alexnet().state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", "is not there"),
        ("empty", "is empty"),
        ("text", "weights file"),
        ("cut", "cut short"),
        ("damaged safetensors", "cut short or is no weights file|holds no named tensors"),
        ("code", "could run code"),
        ("bare pickle", "could run code|no weights file"),
        ("whole model", "could run code"),
        ("no tensors", "no named tensors"),
        ("other classes", r"'fc.weight' has shape \(100, 64\) in the file and \(10, 64\) in the net"),
        ("deeper net", "it has 'layer1.3.conv1.weight' too and"),
        ("shallower net", "it lacks 'layer3.2.conv1.weight' and"),
        ("foreign net", "it has no 'conv1.weight' and"),
    ],
)
def test_what_is_no_fitting_file_is_one_sentence_and_leaves_the_net_alone(tmp_path, trained, kind, reason):
    path = write(tmp_path, kind, trained)
    before = {k: v.clone() for k, v in trained.state_dict().items()}
    with pytest.raises(WeightsError, match=reason) as caught:
        load_weights(trained, path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(before[k], v) for k, v in trained.state_dict().items())
    assert not (tmp_path / "was-run").exists()


def test_imagenet_weights_from_a_local_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    theirs = torchvision.models.resnet18().eval()
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(theirs.state_dict(), tmp_path / "hub" / "checkpoints" / weights.url.rsplit("/", 1)[1])
    loaded = imagenet_weights("resnet18")
    assert (loaded.tag, len(loaded.categories)) == ("IMAGENET1K_V1", 1000)
    assert not loaded.model.training
    assert same(loaded.model, theirs)


def test_imagenet_weights_without_a_network(tmp_path, monkeypatch):
    """A proxy that nobody listens on: no host is ever asked."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setattr("urllib.request._opener", None)  # which holds the proxies of the first request
    with pytest.raises(
        WeightsError, match=r"not on this machine and could not be downloaded .*resnet18-f37072fd.pth"
    ):
        imagenet_weights("resnet18")
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True, exist_ok=True)
    (tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth").write_text("cut")
    with pytest.raises(WeightsError, match="damaged or fits another net"):
        imagenet_weights("resnet18")


def test_no_imagenet_weights_for_other_nets():
    with pytest.raises(WeightsError, match="no ImageNet weights for plain34"):
        imagenet_weights("plain34")
    with pytest.raises(WeightsError, match="it has IMAGENET1K_V1"):
        imagenet_weights("resnet18", "IMAGENET9")
