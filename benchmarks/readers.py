"""The readers of what people bring, each with valid files that the lab made, and with how those are broken.

`benchmarks.fuzz` breaks the files in one process and lets another read them. A reader may raise what it `refuses`
with, in one sentence that a page can show; everything else that leaves it is an escape.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image, PngImagePlugin

from benchmarks.mutations import break_bytes, break_json, break_png, break_tree, break_zip
from resnet_lab.data import ImageError, image_to_tensor, read_image
from resnet_lab.data.uploads import collect
from resnet_lab.figures.curves import Curve
from resnet_lab.inspection.export.formats import EXPORTS
from resnet_lab.models import VARIANTS, ModelSpec, ResNet, WeightsError, init_model, load_weights
from resnet_lab.models.links import spec_from_link, spec_to_link
from resnet_lab.runs import Run, RunError, RunStore, execute
from resnet_lab.runs.outside import load_outside
from resnet_lab.schema import SchemaError, read_json
from resnet_lab.training import RECIPES, TrainConfig

SIDE = 24  # pixels
TINY = ModelSpec("tiny", blocks=(1, 1), width=4, stem="cifar", num_classes=10)
SPECS = (
    TINY,
    VARIANTS["resnet50"],
    VARIANTS["tutorial_resnet50"],
    ModelSpec(block=(1, 3, 1), dilation=(False, True, True)),
)
MOST_BLOCKS = 40  # of a spec that is built after it was read
LONGEST = 1000  # letters of a sentence
Case = Any  # what a reader is given: bytes, text, or the files of a folder


@dataclass(frozen=True)
class Reader:
    """`corpus` gives valid cases from the run that the lab trained; `mutate` breaks one of them, `read` reads one."""

    corpus: Callable[[Run], Sequence[Case]]
    mutate: Callable[[Random, Sequence[Case]], Case]
    read: Callable[[Case, Path], None]
    refuses: tuple[type[Exception], ...] = ()


def train(folder: Path) -> Run:
    """A run of two steps, with the times of its making taken out, so that a seed breaks the same bytes each time."""
    os.environ["RESNET_LAB_RUNS"] = str(folder)
    config = TrainConfig(
        TINY, train_limit=40, batch_size=16, epochs=1, precision="float32", channels_last=False
    )
    made = RunStore(folder).create(config, "a name")
    execute(made)
    run = Run(made.path.rename(folder / "run"))
    for name in ("status.json", "events.jsonl"):
        lines = (run.path / name).read_text().splitlines()
        (run.path / name).write_text(
            "\n".join(json.dumps(_timeless(json.loads(line))) for line in lines) + "\n"
        )
    return run


def _timeless(record: dict[str, Any]) -> dict[str, Any]:
    still = {"pid": 1, "host": "here", "device": "CPU"}
    return {k: 0.5 if isinstance(v, float) else still.get(k, v) for k, v in record.items()}


def sentence(text: str) -> None:
    """What a page is to show must be text that can be sent, and be read."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise AssertionError("a sentence that UTF-8 cannot hold")
    if not 0 < len(text) <= LONGEST:
        raise AssertionError("a sentence of no letter, or of more than anybody reads")


# Images


def _images(_: Run) -> list[bytes]:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (SIDE - 8, SIDE, 3), dtype=np.uint8)
    rgb = Image.fromarray(colour)
    grey = rng.integers(0, 65536, (SIDE, SIDE), dtype=np.uint16)
    floats = rng.normal(size=(SIDE, SIDE)).astype(np.float32)
    floats[0, :3] = np.nan, np.inf, -np.inf
    text, turned = PngImagePlugin.PngInfo(), Image.Exif()
    text.add_text("comment", "x" * 500, zip=True)
    turned[0x0112] = 6
    files = [
        _saved(rgb, "PNG", pnginfo=text),
        _saved(rgb.convert("RGBA"), "PNG"),
        _saved(rgb.convert("P"), "PNG", transparency=0),
        _saved(Image.fromarray(grey), "PNG"),
        _saved(rgb, "JPEG", exif=turned),
        _saved(rgb, "JPEG", progressive=True),
        _saved(rgb.convert("CMYK"), "JPEG"),
        _saved(Image.fromarray(floats), "TIFF"),
        _saved(Image.fromarray(grey), "TIFF"),
        _saved(rgb.convert("P"), "GIF", save_all=True, append_images=[rgb.rotate(90).convert("P")]),
    ]
    files += [_saved(rgb, "TIFF", compression=how) for how in ("tiff_lzw", "tiff_deflate", "jpeg", "raw")]
    return files + [_saved(rgb, kind) for kind in ("WEBP", "BMP", "GIF")]


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _break_image(rng: Random, corpus: Sequence[bytes]) -> bytes:
    data = rng.choice(corpus)
    if data.startswith(b"\x89PNG") and rng.random() < 0.6:
        return break_png(rng, data, corpus)
    return break_bytes(rng, data, corpus)


def _read_image(data: bytes, _: Path) -> None:
    image_to_tensor(read_image(data, "image"), SIDE)


# Archives


def _archives(run: Run) -> list[bytes]:
    images, archives = _images(run), []
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", kind) as archive:
            for number, image in enumerate(images[:4]):
                archive.writestr(zipfile.ZipInfo(f"class {number % 2}/é{number}.png"), image, kind)
            archive.writestr(zipfile.ZipInfo("notes.txt"), "notes")
        archives.append(file.getvalue())
    return archives


def _break_archive(rng: Random, corpus: Sequence[bytes]) -> bytes:
    data = rng.choice(corpus)
    return break_zip(rng, data, corpus) if rng.random() < 0.6 else break_bytes(rng, data, corpus)


def _read_archive(data: bytes, _: Path) -> None:
    found = collect([("upload.zip", data)])
    for problem in found.problems:
        sentence(problem)


# Weights


def _weights(run: Run) -> list[tuple[str, bytes]]:
    net = init_model(TINY, 0)
    own, state = (run.path / "best.pt").read_bytes(), net.state_dict()
    safetensors = EXPORTS["safetensors"].write(TINY, (3, SIDE, SIDE))
    wrapped = {"state_dict": {f"module.{name}": value for name, value in state.items()}, "epoch": 3}
    old = io.BytesIO()
    torch.save(state, old, _use_new_zipfile_serialization=False)
    pickled = [(".pt", data) for data in (own, _pickled(state), _pickled(wrapped))]
    return [*pickled, (".pth", old.getvalue()), (".safetensors", safetensors)]


def _pickled(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _break_weights(rng: Random, corpus: Sequence[tuple[str, bytes]]) -> tuple[str, bytes]:
    suffix, data = rng.choice(corpus)
    others = [other for _, other in corpus]
    match rng.randrange(4):
        case 0 if suffix == ".pt":
            return suffix, break_zip(rng, data, others)
        case 1 | 2 if suffix != ".safetensors":
            with warnings.catch_warnings(action="ignore"):  # of sparse, nested and quantised tensors
                content = break_tree(rng, torch.load(io.BytesIO(data), weights_only=True), _odd_value)
                return suffix, _pickled(content)
        case 1 | 2:
            size = int.from_bytes(data[:8], "little")
            header = break_json(rng, data[8 : 8 + size].decode()).encode()
            return suffix, len(header).to_bytes(8, "little") + header + data[8 + size :]
    return suffix, break_bytes(rng, data, others)


class _Reserve:
    """Pickled as a call of `bytearray` that takes two gigabytes."""

    def __reduce__(self) -> Any:
        return bytearray, (2 << 30,)


def _odd_value(rng: Random) -> Any:
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    makers: list[Callable[[], Any]] = [
        lambda: torch.zeros(1).expand(1 << rng.choice((20, 34, 40))),
        lambda: torch.zeros(
            4, 3, 3, 3, dtype=rng.choice((torch.complex64, torch.int64, torch.bool, torch.float64))
        ),
        lambda: torch.zeros(4, 4).to_sparse(),
        lambda: torch.full((4,), float("nan")),
        lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
        lambda: torch.quantize_per_tensor(torch.zeros(4), 0.1, 0, torch.qint8),
        lambda: torch.zeros(0),
        lambda: torch.tensor(1.0),
        lambda: torch.nn.Parameter(torch.zeros(4)),
        lambda: torch.empty(4, device="meta"),
        lambda: rng.choice(
            (None, True, -1, 0, 10**400, float("nan"), float("inf"), "", "\ud800", "x" * 5000, b"\xff")
        ),
        lambda: rng.choice(([], {}, [None], {"a": 1}, {1: torch.zeros(1)}, deep, (1, 2))),
        lambda: rng.choice((np.float64(1), np.int64(3), np.zeros(3))),
        lambda: _Reserve(),
    ]
    return rng.choice(makers)()


def _read_weights(case: tuple[str, bytes], folder: Path) -> None:
    suffix, data = case
    path = folder / f"weights{suffix}"
    path.write_bytes(data)
    try:
        model = load_outside(path, TINY).model
    except WeightsError as error:
        sentence(str(error))
        model = init_model(TINY, 0)
        load_weights(model, path)
    with torch.inference_mode():
        model(torch.zeros(1, 3, 8, 8))


# Specs, recipes and links


def _break_text(rng: Random, corpus: Sequence[bytes]) -> bytes:
    data = rng.choice(corpus)
    return break_json(rng, data.decode()).encode() if rng.random() < 0.7 else break_bytes(rng, data, corpus)


def _read_spec(data: bytes, _: Path) -> None:
    _use(ModelSpec.from_json(data))


def _use(spec: ModelSpec) -> None:
    """A spec that was read can be named, built and put into a link."""
    sentence(f"The net is {spec.name}.")
    if spec_from_link(spec_to_link(spec)) != spec:
        raise AssertionError("the link of the spec opens another spec")
    if sum(spec.blocks) <= MOST_BLOCKS:
        with torch.device("meta"):
            ResNet(spec)


def _recipes(_: Run) -> list[bytes]:
    own = RECIPES["quick"].replace(variant=SPECS[-1], test_scales=(16, 32), milestones=(1.5, 3.0))
    return [recipe.to_json().encode() for recipe in (*RECIPES.values(), own)]


def _read_recipe(data: bytes, _: Path) -> None:
    _again(TrainConfig.from_json(data))


def _again(config: TrainConfig) -> None:
    """A recipe that was read is written, and read again, as the same."""
    sentence(f"{config.title}.")
    if TrainConfig.from_json(config.to_json()) != config:
        raise AssertionError("the recipe's own JSON opens another recipe")


def _links(_: Run) -> list[tuple[str, str]]:
    changes = [json.dumps(recipe.changes_from(TrainConfig())) for recipe in RECIPES.values()]
    return [*(("spec", spec_to_link(spec)) for spec in SPECS), *(("changes", text) for text in changes)]


def _break_link(rng: Random, corpus: Sequence[tuple[str, str]]) -> tuple[str, str]:
    kind, text = rng.choice(corpus)
    others = [other for its, other in corpus if its == kind]
    if kind == "changes":
        return kind, _break_text(rng, [other.encode() for other in others]).decode(errors="replace")
    if rng.random() < 0.5:
        parts = text.split(".")
        part = rng.randrange(len(parts))
        field = rng.choice(
            ("blocks", "width", "block", "name", "norm", "dilation", "extra_projections", "num_classes")
        )
        odd = rng.choice(
            ("-1", "0", "9" * 400, "1e400", "", "none", "0-0", "1-2-3", "x" * 300, "%ED%A0%80", "٣", "%0A")
        )
        parts[part : part + 1] = [parts[part], f"{field}-{odd}"]
        return kind, ".".join(parts)
    return kind, break_bytes(rng, text.encode(), [other.encode() for other in others]).decode(
        errors="replace"
    )


def _read_link(case: tuple[str, str], _: Path) -> None:
    kind, text = case
    if kind == "spec":
        _use(spec_from_link(text))
    else:  # as the training page reads its link
        _again(
            TrainConfig.from_dict(RECIPES["quick"].to_dict() | read_json(text, "what changes in a recipe"))
        )


# Run folders and event logs

Files = dict[str, bytes | str]  # content, or what lies there in place of a file: "fifo", "folder", "nowhere"


def _folders(run: Run) -> list[Files]:
    return [{path.name: path.read_bytes() for path in sorted(run.path.iterdir()) if path.is_file()}]


def _break_folder(rng: Random, corpus: Sequence[Files]) -> Files:
    files = dict(rng.choice(corpus))
    for _ in range(rng.randint(1, 2)):
        name = rng.choice(
            (
                "config.json",
                "config.json",
                "status.json",
                "status.json",
                "events.jsonl",
                "name.txt",
                "last.pt",
            )
        )
        content = files.get(name, b"")
        if rng.random() < 0.1 or isinstance(content, str):
            files[name] = rng.choice(("fifo", "folder", "nowhere"))
        elif name.endswith(".json") and rng.random() < 0.8:
            files[name] = _json_or_bytes(rng, content)
        elif name == "events.jsonl":
            files[name] = _break_log(rng, [content])
        else:
            files[name] = break_bytes(rng, content, [content])
    return files


def _json_or_bytes(rng: Random, content: bytes) -> bytes:
    try:
        return break_json(rng, content.decode()).encode()
    except (ValueError, RecursionError):  # broken before
        return break_bytes(rng, content, [content])


def _read_folder(files: Files, folder: Path) -> None:
    root = folder / "runs"
    shutil.rmtree(root, ignore_errors=True)
    for name, content in files.items():
        path = root / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        match content:
            case "fifo":
                os.mkfifo(path)
            case "folder":
                path.mkdir()
            case "nowhere":
                path.symlink_to("nowhere")
            case bytes():
                path.write_bytes(content)
    store = RunStore(root)
    for _run, problem in store.damaged():
        sentence(problem)
    for run in store.list():
        sentence(f"{run.name}: {run.status.message}")
        _ = run.versions, run.last_checkpoint, run.best_checkpoint
        Curve("").extend(run.events()[0])
    _again(store.get("run").config)


def _logs(run: Run) -> list[bytes]:
    return [(run.path / "events.jsonl").read_bytes()]


def _break_log(rng: Random, corpus: Sequence[bytes]) -> bytes:
    data = rng.choice(corpus)
    lines = data.splitlines(keepends=True)
    if rng.random() < 0.3 or not lines:
        return break_bytes(rng, data, corpus)
    line = rng.randrange(len(lines))
    lines[line] = _json_or_bytes(rng, lines[line]) + b"\n"
    return b"".join(lines)


def _read_log(data: bytes, folder: Path) -> None:
    (folder / "events.jsonl").write_bytes(data)
    events, offset = Run(folder).events()
    more, end = Run(folder).events(offset)
    if more or end != offset:
        raise AssertionError("events were read twice")
    Curve("").extend(events)


READERS = {
    "image": Reader(_images, _break_image, _read_image, (ImageError,)),
    "zip": Reader(_archives, _break_archive, _read_archive),
    "weights": Reader(_weights, _break_weights, _read_weights, (WeightsError,)),
    "spec": Reader(
        lambda _: [spec.to_json().encode() for spec in SPECS], _break_text, _read_spec, (SchemaError,)
    ),
    "recipe": Reader(_recipes, _break_text, _read_recipe, (SchemaError,)),
    "link": Reader(_links, _break_link, _read_link, (ValueError,)),
    "run folder": Reader(_folders, _break_folder, _read_folder, (RunError,)),
    "event log": Reader(_logs, _break_log, _read_log),
}
