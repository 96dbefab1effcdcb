"""A state dict is found wherever people keep it, and what does not fit is said plainly."""

import argparse

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_lab.models import WeightsError, create_model, load_weights
from resnet_lab.models.files.state_dicts import LAB_NAME, find_state

MODEL = create_model("resnet20")
OURS = MODEL.state_dict()
OTHER = {name: tensor + 1 for name, tensor in OURS.items()}


def prefixed(prefix, state=OURS):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def same(state):
    return list(state) == list(OURS) and all(torch.equal(state[name], OURS[name]) for name in OURS)


KINDS = [{"variant": name} for name in ("resnet50", "resnet20", "preact_resnet164", "tutorial_resnet50")]
KINDS += [{"variant": "resnet18", "stem": "deep"}, {"variant": "resnet20", "shortcut": "projection_all"}]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_names_of_every_net_are_known(kind):
    with torch.device("meta"):
        names = create_model(**kind).state_dict()
    assert all(map(LAB_NAME.fullmatch, names))


words = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
momentum = {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}


@settings(max_examples=60, deadline=None)
@given(st.lists(words, max_size=4), st.lists(words, max_size=5), st.sampled_from([None, OURS]))
def test_any_wrappers_and_any_prefix(wrappers, prefix, names):
    content = prefixed("".join(f"{word}." for word in prefix))
    for key in wrappers:
        content = {"a": 199, "optimizer_of": momentum, key: content}
    found = find_state(content, "w.pt", names)
    assert same(found.state)
    assert found.left_out == ()
    assert same(find_state(found.state, "w.pt", names).state)


PUBLISHED = {
    "torchvision's references": {"model": OTHER, "optimizer": momentum, "epoch": 89, "args": argparse.Namespace(),
                                 "model_ema": {"n_averaged": torch.tensor(9), **prefixed("module.")}},
    "timm": {"epoch": 3, "arch": "resnet20", "state_dict": OTHER, "optimizer": momentum, "version": 2,
             "args": argparse.Namespace(lr=0.1), "metric": np.float64(75.5), "state_dict_ema": OURS},
    "Lightning": {"epoch": 3, "pytorch-lightning_version": "2.2.0", "hyper_parameters": {"lr": 0.1},
                  "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.9)}},
                  "loops": {"fit_loop": {"state_dict": {}}}, "optimizer_states": [momentum],
                  "state_dict": {**prefixed("model."), "criterion.weight": torch.ones(10)}},
    "MMPretrain": {"meta": {"epoch": 9}, "state_dict": prefixed("backbone.")},
    "compiled in parallel": {"model_state_dict": prefixed("_orig_mod.module.")},
    "a pair": (OURS, momentum),
    "Hugging Face": prefixed("resnet.encoder."),
}  # fmt: skip


@pytest.mark.parametrize("case", PUBLISHED)
def test_published_layouts(tmp_path, case):
    path = tmp_path / "pytorch_model.bin"
    torch.save(PUBLISHED[case], path)
    model = create_model("resnet20")
    report = load_weights(model, path)
    assert same(model.state_dict())
    left_out = {"torchvision's references": ("n_averaged",), "Lightning": ("criterion.weight",)}
    assert report.left_out == left_out.get(case, ())
    where = {"torchvision's references": "model_ema.module", "timm": "state_dict_ema", "a pair": "0"}
    assert report.where == where.get(case, report.where)


SPARSE = OURS["fc.weight"].to_sparse()
QUANTISED = torch.quantize_per_tensor(OURS["fc.weight"], 0.1, 0, torch.qint8)
BAD = {
    "several nets that fit ('student' and 'teacher')": {**prefixed("student."), **prefixed("teacher.", OTHER)},
    "several nets that fit ('now' and 'best')": {"now": OURS, "best": OTHER},
    "a sparse tensor": OURS | {"fc.weight": SPARSE},
    "a quantised tensor": OURS | {"fc.weight": QUANTISED},
    "a nested tensor": OURS | {"fc.weight": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])},
    "a tensor without values": OURS | {"fc.weight": torch.empty(10, 64, device="meta")},
    "a NumPy array": {name: tensor.numpy() for name, tensor in OURS.items()},
    "'fc.weight' is of type complex64 in the file": OURS | {"fc.weight": OURS["fc.weight"].to(torch.complex64)},
    "'fc.weight' is of type int8 in the file": OURS | {"fc.weight": OURS["fc.weight"].to(torch.int8)},
    "'fc.weight' is of type bool in the file": OURS | {"fc.weight": OURS["fc.weight"] > 0},
    "a key of type int, where a name belongs": OURS | {0: torch.zeros(1)},
    "a key of type tuple, where a name belongs": OURS | {("fc", "weight"): torch.zeros(1)},
    "holds no named tensors": dict(enumerate(OURS.values())),
    "holds no named tensors; save": [*OURS.values()],
    "has two tensors for 'fc.bias', one of them 'linear.bias'": OURS | {"linear.bias": torch.zeros(10)},
    "it lacks 'fc.bias'.": prefixed("net.", {k: v for k, v in OURS.items() if k != "fc.bias"}),
    "it has 'layer9.0.conv1.weight' too": {"net": prefixed("module.", OURS | {"layer9.0.conv1.weight": torch.ones(1)})},
    "xxx…'": {"x" * 100_000: torch.zeros(1)},
    r"'\ud800'": {"\ud800": torch.zeros(1)},
}  # fmt: skip


@pytest.mark.parametrize("says", BAD)
def test_what_does_not_fit_is_one_sentence(tmp_path, says):
    path = tmp_path / "w.pt"
    torch.save(BAD[says], path)
    model = create_model("resnet20")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_weights(model, path)
    assert says in str(caught.value)
    assert str(caught.value).startswith("w.pt ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value).encode()) < 300
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_converted(tmp_path, dtype):
    torch.save({name: tensor.to(dtype) for name, tensor in OURS.items()}, tmp_path / "w.pt")
    model = create_model("resnet20")
    load_weights(model, tmp_path / "w.pt")
    wanted = OURS["fc.weight"].to(dtype).float()
    assert torch.equal(model.fc.weight, wanted)
    assert model.bn1.num_batches_tracked.dtype == torch.int64
