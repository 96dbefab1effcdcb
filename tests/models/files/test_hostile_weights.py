"""Weights files made to hurt: each is one sentence, in two seconds and a few megabytes."""

import io
import json
import pickletools
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from resnet_lab.models import WeightsError, create_model, load_weights

MEGABYTES, SECONDS = 200, 2
OPCODE = {opcode.name: opcode.code.encode("latin1") for opcode in pickletools.opcodes}


def saved(content, legacy=False):
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def with_pickle(program, padding=0):
    """A file of torch.save's layout with this program for the stack machine, and a storage of `padding` bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("w/data.pkl", b"\x80\x02" + program + b".")
        archive.writestr("w/version", "3\n")
        archive.writestr("w/data/0", bytes(padding))
    return file.getvalue()


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def tensor(elements, offset, size, stride):
    """The program of a tensor of bytes over the storage "0"."""
    numbers = [
        b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", n) for n in row) + b"t" for row in (size, stride)
    ]
    storage = b"(" + text("storage") + b"ctorch\nByteStorage\n" + text("0") + text("cpu")
    storage += b"\x8a\x08" + struct.pack("<q", elements) + b"tQ"
    at = b"\x8a\x08" + struct.pack("<q", offset)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + at + b"".join(numbers) + b"\x89}tR"


def deflated():
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        zipfile.ZipFile(io.BytesIO(saved(LARGE))) as old,
    ):
        for name in old.namelist():
            archive.writestr(name, old.read(name))
    return file.getvalue()


def nested():
    """Thirty lists, each ten times in the next: 1 kB that is 10³⁰ class names in full."""
    classes = ["cat"]
    for _ in range(30):
        classes = [classes] * 10
    return {**create_model("resnet20").state_dict(), "classes": classes}


class Bytes:
    def __reduce__(self):
        return bytearray, (2 << 30,)


def many(directory):
    """A zip with a long table of contents of empty files."""
    name = b"w/data/" + b"0" * 9
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", len(name)) + bytes(16) + name
    body = b"PK\x03\x04" + bytes(100)
    count = directory // len(entry)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, count * len(entry), len(body), 0)
    return body + entry * count + end


one = torch.zeros(1)
LARGE = {"w": torch.zeros(32 << 20)}
HUGE = 1 << 40
FILES = {
    "a tensor of 2 GB with strides of 0": lambda: saved({"fc.weight": one.expand(1 << 29)}),
    "the same in the old format": lambda: saved({"fc.weight": one.expand(1 << 29)}, legacy=True),
    "overlapping rows": lambda: with_pickle(
        b"}" + text("w") + tensor(99_999, 0, (50_000, 50_000), (1, 1)) + b"s", 99_999),
    "beyond its storage": lambda: with_pickle(b"}" + text("w") + tensor(100, 64, (64,), (1,)) + b"s", 100),
    "a negative offset": lambda: with_pickle(b"}" + text("w") + tensor(100, -64, (64,), (1,)) + b"s", 100),
    "a negative stride": lambda: with_pickle(b"}" + text("w") + tensor(100, 64, (64,), (-1,)) + b"s", 100),
    "a storage larger than the file": lambda: with_pickle(b"}" + text("w") + tensor(HUGE, 0, (1,), (1,)) + b"s", 100),
    "a storage larger than its data": lambda: with_pickle(b"}" + text("w") + tensor(200, 0, (1,), (1,)) + b"s", 100),
    "ten thousand views of a megabyte": lambda: with_pickle(
        b"}(" + text("0") + tensor(1 << 20, 0, (1 << 20,), (1,)) + b"".join(
            text(str(n)) + tensor(1 << 20, 0, (1 << 20,), (1,)) for n in range(1, 10_000)) + b"u", 1 << 20),
    "a bytearray of 2 GB": lambda: saved({"w": one, "x": Bytes()}),
    "only a bytearray of 2 GB": lambda: saved(Bytes()),
    "128 MB that are deflated": deflated,
    "lists of lists": lambda: saved(nested()),
    "a list that holds itself": lambda: with_pickle(b"]q\0h\0a"),
    "a key whose hash visits 2⁶⁰ tuples": lambda: with_pickle(b"})" + b"q\0h\0\x86" * 60 + b"Ns"),
    "a deep key": lambda: with_pickle(b"})" + b"\x85" * 200_000 + b"Ns"),
    "a deep storage key": lambda: with_pickle(
        b"(" + text("storage") + b"ctorch\nByteStorage\n)" + b"\x85" * 200_000 + b"NK\1tQ"),
    "deep lists": lambda: with_pickle(b"]" * 200_000 + b"a" * 199_999),
    "keys of one hash": lambda: with_pickle(
        b"}(" + b"".join(b"\x8a\x0b" + (n * (2**61 - 1)).to_bytes(11, "little") + b"N" for n in range(50_000)) + b"u"),
    "a number of a megabyte as a key": lambda: with_pickle(b"}" + (
        b"\x8b" + struct.pack("<i", 1 << 20) + b"\x01" * (1 << 20)) + b"Ns"),
    "a memo of four billion": lambda: with_pickle(b"Nr\xff\xff\xff\xff"),
    "bytes of a terabyte": lambda: with_pickle(b"\x8e" + struct.pack("<Q", HUGE)),
    "a bytearray of a terabyte": lambda: with_pickle(b"\x96" + struct.pack("<Q", HUGE)),
    "a frame of a terabyte": lambda: with_pickle(b"\x95" + struct.pack("<Q", HUGE)),
    "text copied again and again": lambda: with_pickle(
        b"c_codecs\nencode\nq\0" + text("x" * 100_000) + text("latin1") + b"\x86q\1" + b"h\0h\1R" * 20_000),
    "arguments copied again and again": lambda: with_pickle(
        b"ctorch\nSize\nq\0(" + b"N" * 100_000 + b"tq\1" + b"h\0h\1R" * 20_000),
    "pairs copied again and again": lambda: with_pickle(
        b"ccollections\nOrderedDict\nq\0](" + b"".join(b"(M" + struct.pack("<H", n) + b"Nt" for n in range(60_000))
        + b"e\x85q\1" + b"h\0h\1R" * 20_000),
    "a name put together again and again": lambda: with_pickle(
        b"X" + struct.pack("<I", 100_000) + b"x" * 100_000 + b"q\0" + b"h\0h\0\x93" * 20_000),
    "a long table of contents": lambda: many(32 << 20),
    "a module that is slow to import": lambda: with_pickle(
        b"}" + text("w") + b"ctorch._utils\n_rebuild_tensor_v3\n(" + b"NNNNNNctorch\n_dynamo\ntRs"),
    "a header of 2⁶³ bytes": lambda: struct.pack("<Q", 1 << 63) + b"{" + bytes(100),
    "a deep header": lambda: struct.pack("<Q", 100_001) + b'{"a":' + b"[" * 99_996 + bytes(100),
    "a large shape in a header": lambda: struct.pack("<Q", 60) + (
        b'{"w":{"dtype":"F32","shape":[1073741824],"data_offsets":[0,4]}}'[:60].ljust(60) + bytes(4)),
}  # fmt: skip

CHILD = """
import json, resource, sys, time
from pathlib import Path
from resnet_lab.models import create_model, load_weights
from resnet_lab.models.files.weights_file import read_weights
model = create_model("resnet20")
for path in map(Path, sys.argv[1:]):
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        read_weights(path)
        load_weights(model, path)
        told = "loaded"
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps([told, time.process_time() - start, more]), flush=True)
"""


def test_no_file_takes_the_process_along(tmp_path):
    """In a process of its own, which would not survive a deep hash, with its memory and processor time measured."""
    paths = []
    for number, make in enumerate(FILES.values()):
        paths.append(tmp_path / f"{number}.pt")
        paths[-1].write_bytes(make())
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    told = dict(zip(FILES, map(json.loads, child.stdout.splitlines()), strict=False))
    assert (child.returncode, len(told)) == (0, len(FILES)), (list(told)[-1:], child.stderr[-500:])
    for case, (sentence, seconds, megabytes) in told.items():
        assert sentence.startswith("WeightsError: "), (case, sentence)
        assert sentence.endswith("."), (case, sentence)
        assert "\n" not in sentence, (case, sentence)
        assert len(sentence) < 300, (case, sentence)
        assert seconds < SECONDS, (case, seconds)
        assert megabytes < MEGABYTES, (case, megabytes)


MODEL = create_model("resnet20")
STATE = create_model("resnet20").state_dict()
VALID = {
    "zip": saved({"net": {f"module.{k}": v for k, v in STATE.items()}, "acc": 95.1, "epoch": 199}),
    "legacy": saved({"state_dict": OrderedDict(STATE), "best_prec1": 91.7}, legacy=True),
    "safetensors": save(STATE),
}


def places(data):
    """Where the structure is, at the start or the end; other values alone would be tame."""
    start = max(data.find(b"data.pkl"), 0)
    first = st.integers(start, min(start + 20_000, len(data) - 1))
    return first | st.integers(max(0, len(data) - 9_000), len(data) - 1)


@st.composite
def mutated(draw):
    data = bytearray(draw(st.sampled_from(list(VALID.values()))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(places(bytes(data)))
        match draw(st.sampled_from(["set", "cut", "insert", "remove", "repeat"])):
            case "set":
                data[at] = draw(st.integers(0, 255))
            case "cut":
                del data[max(at, 2000) :]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=9) | st.sampled_from(list(OPCODE.values())))
            case "remove":
                del data[at : at + draw(st.integers(1, 30))]
            case "repeat":
                data[at:at] = data[at : at + draw(st.integers(1, 300))]
    return bytes(data)


def values(model):
    """As bytes: a file with another weight may have brought a NaN, which is not equal to itself."""
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}


@settings(max_examples=150, deadline=10_000)
@given(mutated())
def test_damage_is_one_sentence_or_does_no_harm(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "mutated.pt"
    path.write_bytes(data)
    before = values(MODEL)
    try:
        report = load_weights(MODEL, path)
    except WeightsError as error:
        said = str(error)
    else:
        assert set(report.matched) | set(report.skipped) == set(before)
        return
    assert said.endswith(".")
    assert "\n" not in said
    assert values(MODEL) == before
