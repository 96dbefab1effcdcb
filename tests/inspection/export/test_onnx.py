"""Exported files against other people's readers: onnx.checker, ONNX Runtime and safetensors."""

import sys
import threading
import warnings
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torchvision
from safetensors import safe_open
from torch import nn

from resnet_lab.inspection import layer_table
from resnet_lab.inspection.export import onnx as onnx_export
from resnet_lab.inspection.export.onnx import to_onnx
from resnet_lab.inspection.export.safetensors import to_safetensors
from resnet_lab.models import ModelSpec, create_model, get_spec, load_weights

BOTTLENECK = (1, 3, 1)
SMALL = {"blocks": (1, 2, 1), "width": 16, "num_classes": 7}
SPECS = {
    "resnet18": get_spec("resnet18").replace(num_classes=10),
    "resnet20": get_spec("resnet20"),
    "plain20": get_spec("plain20"),
    "preact_resnet20": get_spec("preact_resnet20"),
    "tutorial_resnet50": get_spec("tutorial_resnet50"),
    "resnext": ModelSpec("resnext", BOTTLENECK, groups=4, width_per_group=32, **SMALL),
    "deep stem, group norm": ModelSpec("deep", stem="deep", norm="group", **SMALL),
    "dilation": ModelSpec("dilation", BOTTLENECK, dilation=(True, True), **SMALL),
    "no norm": ModelSpec("no norm", norm="none", stem="cifar", conv_bias=True, **SMALL),
    "preact bottleneck": ModelSpec("preact", BOTTLENECK, preactivation=True, **SMALL),
    "preact plain": ModelSpec("preact plain", (3, 1, 3), preactivation=True, shortcut="none", **SMALL),
    "projections": ModelSpec("projections", (3, 1), shortcut="projection_all", stem="cifar", **SMALL),
}
JOINED = {
    "0.3": ModelSpec("weighed", shortcut_scale=0.3, shortcut="pad", stem="cifar", **SMALL),
    "0.3 and 0.7": ModelSpec(
        "both", BOTTLENECK, shortcut_scale=0.3, residual_scale=0.7, preactivation=True, **SMALL
    ),
    "0": ModelSpec("cut", shortcut_scale=(1, 0, 1), **SMALL),
    "learned": ModelSpec("learned", learned_scale=True, residual_scale=0.4, shortcut_scale=0.3, **SMALL),
    "exclusive gates": ModelSpec(
        "g", join="exclusive_gate", gate_bias=-1, shortcut="pad", stem="cifar", **SMALL
    ),
    "shortcut gates": ModelSpec("s", join="shortcut_gate", gate_bias=-1, shortcut_scale=0.3, **SMALL),
    "dropout": ModelSpec("dropout", join="dropout", **SMALL),
    "stochastic depth": ModelSpec("depth", join="stochastic_depth", drop_rate=0.4, **SMALL),
}
SIZE = (3, 33, 40)  # odd and not square: a swapped side or a wrong rounding shows


def trained_like(spec):
    """A net whose norm layers are far from the identity, in eval mode."""
    torch.manual_seed(0)
    model = create_model(spec)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.uniform_(module.weight, 0.3, 1.2)
            nn.init.normal_(module.bias, std=0.3)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return model.eval()


@pytest.fixture(scope="module", params=SPECS)
def exported(request):
    """The net, its file, and what onnx reads in the file."""
    model = trained_like(SPECS[request.param])
    data = to_onnx(model, SIZE)
    return model, data, onnx.load_from_string(data)


def run(data, images):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"images": images.numpy()})[0]


def test_the_checker_passes_and_onnx_runtime_gives_the_same_logits(exported):
    model, data, proto = exported
    onnx.checker.check_model(proto, full_check=True)
    for batch in (1, 3):
        images = torch.randn(batch, *SIZE)
        with torch.no_grad():
            expected = model(images)
        assert expected.std() > 0.01
        np.testing.assert_allclose(run(data, images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", JOINED)
def test_weights_gates_and_means_are_in_the_graph(name):
    model = trained_like(JOINED[name])
    data, images = to_onnx(model, SIZE), torch.randn(2, *SIZE)
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    with torch.no_grad():
        np.testing.assert_allclose(run(data, images), model(images), rtol=1e-4, atol=1e-4)
    rows = [row.path for row in layer_table(model, SIZE).rows if not row.path.endswith("join")]
    nodes = [node.name.rpartition("/")[0] for node in onnx.load_from_string(data).graph.node]
    nodes = [name for name in nodes if not name.endswith("join") and name]
    assert list(dict.fromkeys(nodes)) == list(dict.fromkeys(rows))


def test_a_net_whose_shortcuts_were_moved():
    """Also one that was put back, and adds with a weight of 1."""
    for scale in (0.3, 1):
        model = trained_like(SPECS["resnet20"])
        model.set_shortcut_scale(0.5)
        model.set_shortcut_scale(scale)
        images = torch.randn(2, *SIZE)
        with torch.no_grad():
            np.testing.assert_allclose(run(to_onnx(model, SIZE), images), model(images), rtol=1e-4, atol=1e-4)


def test_nodes_are_the_layer_table(exported):
    model, _, proto = exported
    shapes = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim[1:])
        for value in (*proto.graph.value_info, *proto.graph.output)
    }
    nodes = [node for node in proto.graph.node if node.op_type not in ("Slice", "Flatten")]
    seen = [(node.name.rpartition("/")[0], shapes[node.output[0]]) for node in nodes]
    assert seen == [(row.path, row.output_shape) for row in layer_table(model, SIZE).rows]


def test_a_graph_has_what_the_net_has_and_nothing_else(exported):
    model, _, proto = exported
    kinds = Counter(node.op_type for node in proto.graph.node)
    layers = Counter(type(module).__name__ for module in model.modules())
    assert kinds["Add"] == (0 if model.spec.is_plain else sum(model.spec.blocks))
    assert kinds["BatchNormalization"] == layers["BatchNorm2d"]
    assert kinds["GroupNormalization"] == layers["GroupNorm"]
    assert (kinds["Conv"], kinds["Relu"]) == (layers["Conv2d"], layers["ReLU"])
    assert kinds["Slice"] == kinds["Pad"] == layers["PadShortcut"]
    helpers = set(kinds) - {"Conv", "BatchNormalization", "GroupNormalization", "Relu", "Add", "Slice", "Pad"}
    assert helpers <= {"MaxPool", "GlobalAveragePool", "Flatten", "Gemm"}
    weights = {t.name for t in proto.graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
    assert weights == {key for key in model.state_dict() if not key.endswith("num_batches_tracked")}


def test_a_block_reads_as_it_is_drawn():
    proto = onnx.load_from_string(to_onnx(create_model("resnet20"), (3, 32, 32)))
    nodes = {node.name: node for node in proto.graph.node}
    assert [name for name in nodes if name.startswith("layer2.0")] == [
        "layer2.0.conv1/Conv", "layer2.0.bn1/BatchNormalization", "layer2.0.relu1/Relu",
        "layer2.0.conv2/Conv", "layer2.0.bn2/BatchNormalization",
        "layer2.0.downsample/Slice", "layer2.0.downsample/Pad", "layer2.0/Add", "layer2.0.relu2/Relu",
    ]  # fmt: skip
    assert list(nodes["layer1.0/Add"].input) == ["layer1.0.bn2/BatchNormalization", "relu/Relu"]
    assert list(nodes["layer2.0/Add"].input) == ["layer2.0.bn2/BatchNormalization", "layer2.0.downsample/Pad"]


def test_the_net_is_left_as_it_was(capfd):
    model = create_model("resnet20").train()
    model.layer2.eval()
    model.fc.weight.requires_grad_(False)
    called = []
    model.layer1.register_forward_hook(lambda *_: called.append("by the export"))

    def state():
        modes = [(module.training, len(module._forward_hooks)) for module in model.modules()]
        return modes, [(id(p), p.requires_grad, p.grad) for p in model.parameters()]

    before, tensors = state(), {k: v.clone() for k, v in model.state_dict().items()}
    random = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_onnx(model, (3, 32, 32))
        to_safetensors(model)
    with pytest.raises(ValueError, match="conv1"):
        to_onnx(model, (1, 32, 32))
    assert state() == before
    assert all(torch.equal(tensors[k], v) for k, v in model.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert not called
    assert capfd.readouterr() == ("", "")


def test_a_run_may_train_meanwhile():
    training, model, failures = create_model("resnet20"), create_model("resnet56"), []
    begun, done = threading.Event(), threading.Event()

    def train():
        while not done.is_set():
            try:
                training(torch.zeros(2, 3, 8, 8)).sum().backward()
            except Exception as error:
                failures.append(error)
            begun.set()

    thread = threading.Thread(target=train)
    thread.start()
    begun.wait()
    for _ in range(3):
        to_onnx(model, (3, 32, 32))
    done.set()
    thread.join()
    assert not failures


def test_maps_of_one_pixel_in_a_net_that_trains():
    model = create_model("resnet18", width=8).train()  # batch norm would refuse a single value in training
    onnx.checker.check_model(onnx.load_from_string(to_onnx(model, (3, 1, 1))), full_check=True)


def test_half_precision_is_written_as_float32():
    model = trained_like(SPECS["resnet20"]).half()
    images = torch.randn(2, 3, 32, 32)
    data = to_onnx(model, (3, 32, 32))
    with torch.no_grad():
        np.testing.assert_allclose(run(data, images), model.float()(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        ((1, 32, 32), r"conv1 \(Conv2d, input 1 × 32 × 32\)"),
        ((3, 0, 32), "a side may be from 1"),
        ((32, 32), "three whole numbers"),
    ],
)
def test_impossible_sizes(size, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        to_onnx(create_model("resnet20"), size)
    assert "\n" not in str(caught.value)


def test_other_nets_and_rebuilt_ones_are_refused():
    rebuilt = create_model("resnet20")
    rebuilt.layer1[1] = nn.Identity()
    for model in (rebuilt, torchvision.models.resnet18(), nn.Linear(3, 2)):
        with pytest.raises(ValueError, match=f"layers of their spec .* this {type(model).__name__} is none"):
            to_onnx(model, (3, 32, 32))


def test_a_net_without_weights_or_with_too_many():
    with torch.device("meta"):
        empty, huge = create_model("resnet20"), create_model("resnet18", width=512)
    with pytest.raises(ValueError, match="meta device and has no weights"):
        to_onnx(empty, (3, 32, 32))
    with pytest.raises(ValueError, match="meta device and has no weights"):
        to_safetensors(empty)
    with pytest.raises(ValueError, match=r"has 2\.9 GB of weights; an ONNX file holds at most 2 GB"):
        to_onnx(huge, (3, 32, 32))


def test_onnx_is_imported_on_demand_and_its_absence_named(monkeypatch):
    assert not hasattr(onnx_export, "onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ValueError, match="pip install onnx"):
        to_onnx(create_model("resnet20"), (3, 32, 32))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_safetensors_come_back_through_load_weights(tmp_path, layout):
    model, path = trained_like(SPECS["resnet20"]).to(memory_format=layout), tmp_path / "net.safetensors"
    path.write_bytes(to_safetensors(model, {"spec": model.spec.to_json(), "note": "größer"}))
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert metadata["note"] == "größer"
    fresh = create_model(ModelSpec.from_json(metadata["spec"]))
    report = load_weights(fresh, path)
    assert set(report.matched) == set(model.state_dict())
    assert (report.renamed, report.skipped) == ({}, ())
    assert all(torch.equal(value, fresh.state_dict()[key]) for key, value in model.state_dict().items())


def test_safetensors_without_metadata_and_with_tied_weights(tmp_path):
    model, path = create_model("resnet20"), tmp_path / "net.safetensors"
    model.layer1[1].conv1.weight = model.layer1[0].conv1.weight
    path.write_bytes(to_safetensors(model))
    load_weights(create_model("resnet20"), path)
    with safe_open(path, "pt") as file:
        assert not file.metadata()


def test_metadata_hold_only_text():
    with pytest.raises(ValueError, match=r"metadata are \{'epoch': 3\}; their keys and values"):
        to_safetensors(create_model("resnet20"), {"epoch": 3})
