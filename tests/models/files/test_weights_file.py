"""Weights files are read as data: as torch.load reads good ones, in bounds and in one sentence for bad ones."""

import argparse
import gzip
import io
import pickle
import struct
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn

from resnet_lab.inspection.export.onnx import to_onnx
from resnet_lab.models import WeightsError, create_model
from resnet_lab.models.files.pickles import Foreign
from resnet_lab.models.files.weights_file import read_metadata, read_weights

TIMES = {"zip": False, "legacy": True}


def saved(content, legacy=False):
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def read(tmp_path, data, name="w.pt", **more):
    path = tmp_path / name
    path.write_bytes(data)
    return read_weights(path, **more)


def alike(ours, theirs):
    """The same values of the same types, in the same order; a Parameter comes back as a tensor."""
    if isinstance(theirs, torch.Tensor):
        bits = [t.detach().contiguous().flatten().view(torch.uint8) for t in (ours, theirs)]
        return ours.dtype == theirs.dtype and ours.stride() == theirs.stride() and torch.equal(*bits)
    if isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(alike(ours[k], v) for k, v in theirs.items())
    if isinstance(theirs, list | tuple):
        return len(ours) == len(theirs) and all(map(alike, ours, theirs))
    return ours == theirs


def trained():
    """A checkpoint with all that belongs to one: buffers, an optimizer's state, counters, settings."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "best": 0.5, "raw": b"\0\xff"}


base = torch.arange(60.0).reshape(3, 4, 5)
GOOD = {
    "a checkpoint": trained(),
    "every float": {str(t): base.to(t) for t in (torch.float64, torch.float32, torch.float16, torch.bfloat16)},
    "every whole number": {
        str(t): base.to(t) for t in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
    },
    "bool and complex": {"b": base > 7, "c": base.to(torch.complex64), "d": base.to(torch.complex128)},
    "dtypes without a storage": {"f8": base.to(torch.float8_e4m3fn), "u16": base.to(torch.uint16)},
    "views": {"t": base.mT, "s": base[1:, ::2], "channels last": base[None].to(memory_format=torch.channels_last)},
    "shared": {"a": base, "b": base, "c": base.view(-1)},
    "empty ones": {"none": torch.zeros(0), "flat": torch.zeros(3, 0, 2), "scalar": torch.tensor(3.0)},
    "parameters": {"p": nn.Parameter(base)},
    "containers": OrderedDict(a=[1, (2.5, None, [True, "é"]), -(2**70)], b={3: torch.ones(2)}, c=torch.Size([1, 2])),
}  # fmt: skip


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("case", GOOD)
def test_good_files_are_read_as_torch_reads_them(tmp_path, case, legacy):
    data = saved(GOOD[case], legacy)
    if case == "dtypes without a storage" and legacy:  # torch writes what it cannot read again
        theirs = GOOD[case]
    else:
        theirs = torch.load(io.BytesIO(data), weights_only=True)
    assert alike(read(tmp_path, data), theirs)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pickles(tmp_path, protocol):
    file = io.BytesIO()
    torch.save(GOOD["a checkpoint"], file, pickle_protocol=protocol)
    assert alike(read(tmp_path, file.getvalue()), GOOD["a checkpoint"])


@pytest.mark.parametrize("protocol", [2, 4])
def test_numpy_scalars_become_numbers(tmp_path, protocol):
    scalars = {
        "acc": np.float64(95.125),
        "loss": np.float32(0.5),
        "epoch": np.int64(-7),
        "done": np.bool_(True),
    }
    file = io.BytesIO()
    torch.save(scalars | {"w": torch.ones(1)}, file, pickle_protocol=protocol)
    content = read(tmp_path, file.getvalue())
    content.pop("w")
    assert content == {"acc": 95.125, "loss": 0.5, "epoch": -7, "done": True}
    assert [type(v) for v in content.values()] == [float, float, int, bool]


class Python2Dict:
    """As Python 2 pickled an OrderedDict: with its pairs as an argument."""

    def __init__(self, content):
        self.content = content

    def __reduce__(self):
        return OrderedDict, ([[k, v] for k, v in self.content.items()],)


def test_state_dicts_of_2017(tmp_path):
    state = {"conv1.weight": torch.randn(2, 3), "fc.bias": torch.randn(4)}
    assert alike(read(tmp_path, saved(Python2Dict(state), legacy=True)), state)


def test_other_objects_beside_the_weights_are_named_and_not_made(tmp_path):
    """timm stores its command line, Lightning its hyper-parameters; torch's own weights_only refuses them."""
    extras = {"args": argparse.Namespace(lr=0.1), "where": Path("x"), "rng": np.arange(3), "seen": {1, 2}}
    content = read(tmp_path, saved({"state_dict": {"w": base}, **extras}))
    assert alike(content["state_dict"]["w"], base)
    assert {name: type(content[name]) for name in extras} == dict.fromkeys(extras, Foreign)
    assert content["args"].name == "argparse.Namespace"
    assert read(tmp_path, saved({"w": base, "d": defaultdict(list, a=[1])}))["d"] == {"a": [1]}


def test_safetensors_whatever_the_name(tmp_path):
    tensors = {"a": base, "b": base.half(), "c": torch.zeros(0, 3)}
    save_file(tensors, tmp_path / "odd.bin", {"classes": '["cat"]'})
    assert alike(read_weights(tmp_path / "odd.bin"), tensors)
    assert read_metadata(tmp_path / "odd.bin") == {"classes": '["cat"]'}
    (tmp_path / "w.pt").write_bytes(saved(tensors))
    assert read_metadata(tmp_path / "w.pt") == {}


@pytest.mark.parametrize("data", [saved({"w": base}), saved({"w": base}, legacy=True), save({"w": base})])
def test_shapes_are_there_before_values(tmp_path, data):
    def check(content):
        shapes.append({name: tensor.shape for name, tensor in content.items()})
        raise WeightsError("no, thanks")

    shapes = []
    with pytest.raises(WeightsError, match="no, thanks"):
        read(tmp_path, data, check=check)
    assert shapes == [{"w": base.shape}]


def scripted(path):
    torch.jit.script(nn.Linear(2, 2)).save(str(path))
    return path.read_bytes()


def zipped(entries, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def npz():
    file = io.BytesIO()
    np.savez(file, a=np.arange(3))
    return file.getvalue()


OTHER = {
    "TorchScript archive": lambda path: scripted(path),
    "ONNX": lambda path: to_onnx(create_model("resnet20"), (3, 32, 32)),
    "HDF5": lambda path: b"\x89HDF\r\n\x1a\n" + bytes(500),
    "NumPy archive": lambda path: npz(),
    "Keras archive": lambda path: zipped({"config.json": "{}", "model.weights.h5": b"\x89HDF"}),
    "zip of other things": lambda path: zipped({"letter.docx": b"Dear weights"}),
    "web page": lambda path: b"\n<!DOCTYPE html><title>404</title>",
    "Git LFS pointer": lambda path: (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    ),
    "unpack it first": lambda path: gzip.compress(saved({"w": base})),
    "JSON text": lambda path: b'{"weight_map": {}}',
    "a pickle, but no": lambda path: pickle.dumps({"w": [1.0, 2.0]}),
    r"Python objects .*\(torch.nn.modules.linear.Linear\)": lambda path: saved(nn.Linear(2, 2)),
    r"Python objects .*\(torch.nn.modules.linear.Linear\), ": lambda path: saved(
        {"model": nn.Linear(2, 2)}, True
    ),
    "no weights file": lambda path: bytes(1000),
}


@pytest.mark.parametrize("says", OTHER)
def test_another_kind_of_file_is_called_by_its_name(tmp_path, says):
    data = OTHER[says](tmp_path / "made.pt")
    with pytest.raises(WeightsError, match=rf"^w.pt (is|holds) .*{says}|^w.pt holds {says}") as caught:
        read(tmp_path, data)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_a_folder_and_a_name_beyond_all_lengths(tmp_path):
    with pytest.raises(WeightsError, match="is not there"):
        read_weights(tmp_path)
    with pytest.raises(WeightsError, match="cannot be read"):
        read_weights(tmp_path / ("x" * 5000))


def test_a_flipped_bit_is_damage(tmp_path):
    """torch.load checks no checksum: it would hand out another number."""
    data = bytearray(saved({"w": torch.full((1000,), 1.5)}))
    at = data.find(struct.pack("<f", 1.5) * 10) + 203
    data[at] ^= 1
    assert not alike(torch.load(io.BytesIO(data), weights_only=True)["w"], torch.full((1000,), 1.5))
    with pytest.raises(WeightsError, match="cut short"):
        read(tmp_path, bytes(data))
