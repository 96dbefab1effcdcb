"""The prediction page's parts: the net that is asked, the picture, the answer, and where the net looked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from random import randrange
from typing import Any

import streamlit as st
import torch
from PIL import Image
from torch import Tensor

from resnet_lab.data import (
    DATASETS,
    Dataset,
    DatasetError,
    ImageError,
    image_to_tensor,
    is_downloaded,
    load_dataset,
    read_image,
)
from resnet_lab.figures.overlay import Mask, Pixels
from resnet_lab.models import VARIANTS, ResNet, WeightsError, imagenet_weights
from resnet_lab.runs import Run, RunError, load_run_model
from resnet_lab.ui import shell
from resnet_lab.ui.runs import remember
from resnet_lab.ui.text import plain

IMAGENET = [name for name, spec in VARIANTS.items() if spec.stem == "imagenet" and not spec.is_plain]
SOURCES = ("Upload", "Test picture", "Camera")
FILES = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif"]


@dataclass(frozen=True)
class Net:
    """A model in eval mode, with what it takes to show it a picture.

    `key` changes with the weights, and stands for the net in caches. `prepare` turns an RGB picture of any size
    into uint8 (3, H, W). `dataset` is the one it was trained on here, "" for torchvision's weights.
    """

    key: str
    model: ResNet
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    prepare: Callable[[Image.Image], Tensor]
    dataset: str = ""
    image_size: int = 224


@dataclass(frozen=True)
class Picture:
    """What the net sees: (H, W, 3). `truth` is the class's name and `mask` the object, where they are known."""

    name: str
    pixels: Pixels
    truth: str | None = None
    mask: Mask | None = None


def choose_net() -> Net | None:
    """Asks which net; None while there is none, or when it cannot be read (which is said)."""
    runs = {run.id: run for run in shell.store().list() if run.best_checkpoint}
    options = [*runs, *IMAGENET]
    chosen = st.selectbox(
        "Net", options, _wanted(options), lambda i: _title(i, runs), key="net", placeholder="Choose a net"
    )
    if chosen is None:
        return None
    try:
        if chosen not in runs:
            st.query_params["run"] = chosen
            return _choose_imagenet(chosen)
        remember(chosen)
        path = runs[chosen].best_checkpoint
        return _trained(chosen, path.stat().st_mtime_ns if path else 0)
    except (RunError, WeightsError, OSError) as error:
        st.error(plain(str(error)))
        return None


def _wanted(options: list[str]) -> int | None:
    """Where the net of the link or of the session stands, else the newest run; None where nothing was trained."""
    linked = st.query_params.get("run")
    if linked and linked not in options:
        st.warning(plain(f"There is no run {linked!r} with a checkpoint; it may have been deleted."))
    for wanted in (linked, st.session_state.get("run")):
        if wanted in options:
            return options.index(wanted)
    return 0 if len(options) > len(IMAGENET) else None


def _title(option: str, runs: Mapping[str, Run]) -> str:
    if option not in runs:
        return f"{option}, ImageNet"
    created = datetime.fromtimestamp(runs[option].status.created)
    is_today = created.date() == datetime.now().date()
    return f"{runs[option].name} · {created.strftime('%H:%M' if is_today else '%d %b')}"  # the box is narrow


@st.cache_resource(max_entries=4, show_spinner="Reading the net …")
def _trained(run_id: str, changed: int) -> Net:
    trained = load_run_model(shell.store().get(run_id))
    return Net(
        key=f"{run_id} {changed}",
        model=trained.model,
        classes=trained.classes,
        mean=trained.mean,
        std=trained.std,
        prepare=partial(image_to_tensor, size=trained.image_size),
        dataset=trained.dataset,
        image_size=trained.image_size,
    )


def _choose_imagenet(variant: str) -> Net | None:
    """The net with torchvision's weights; a button asks before they are downloaded, for they are large."""
    from torchvision.models import get_model_weights

    weights = get_model_weights(variant).DEFAULT
    here = (Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name).is_file()
    label = f"Download the weights ({weights.meta['_file_size']:,.0f} MB)"
    if not here and not st.button(label, icon=":material/download:", type="primary"):
        st.caption("They are not on this machine yet; afterwards they work without a network.")
        return None
    net = _imagenet(variant)
    if not here:
        st.rerun()  # without the button
    return net


@st.cache_resource(max_entries=4, show_spinner="Getting torchvision's weights …")
def _imagenet(variant: str) -> Net:
    found = imagenet_weights(variant)
    return Net(
        key=f"{variant} {found.tag}",
        model=found.model,
        classes=found.categories,
        mean=tuple(found.transform.mean),
        std=tuple(found.transform.std),
        prepare=partial(_imagenet_pixels, transform=found.transform),
    )


def _imagenet_pixels(image: Image.Image, transform: Any) -> Tensor:
    """torchvision's preset up to the normalisation: short side to 232 or 256, the middle 224 × 224."""
    from torchvision.transforms import functional as F

    # The preset scales the whole picture before it cuts: a 1 × 1,000,000 one would need gigabytes.
    width, height = image.size
    longest = 4 * min(width, height)
    image = F.center_crop(image, [min(height, longest), min(width, longest)])
    image = F.resize(image, transform.resize_size, transform.interpolation, antialias=transform.antialias)
    return F.pil_to_tensor(F.center_crop(image, transform.crop_size))


def choose_picture(net: Net) -> tuple[Picture | None, list[str]]:
    """Asks for pictures; returns the one to look at, and a sentence for each that cannot be used."""
    sources = [name for name in SOURCES if name != "Test picture" or net.dataset]
    if st.session_state.get("source") not in sources:
        st.session_state.pop("source", None)  # the net before this one had a test split
    source = st.segmented_control(
        "Picture",
        sources,
        default="Upload",
        key="source",
        bind="query-params",
        required=True,
    )
    if source == "Test picture":
        return _test_picture(net)
    if source == "Camera":
        shot = st.camera_input("Camera", label_visibility="collapsed")
        return _first_of(net, [("The camera's picture", shot.getvalue())] if shot else [])
    files = st.file_uploader("Pictures", FILES, accept_multiple_files=True, label_visibility="collapsed")
    return _first_of(net, [(file.name, file.getvalue()) for file in files])


def _first_of(net: Net, files: list[tuple[str, bytes]]) -> tuple[Picture | None, list[str]]:
    """The picture that the reader picks of those that can be read; the first to begin with."""
    read = [(name, _pixels(net.key, name, data, net)) for name, data in files]
    problems = [pixels for _, pixels in read if isinstance(pixels, str)]
    pictures = [Picture(name, pixels) for name, pixels in read if not isinstance(pixels, str)]
    if len(pictures) < 2:
        return (pictures[0] if pictures else None), problems
    # No key: another set of files is another widget, and begins at the first again.
    chosen = st.selectbox("Show", range(len(pictures)), format_func=lambda i: pictures[i].name)
    return pictures[chosen], problems


@st.cache_data(max_entries=100, scope="session", show_spinner="Reading the picture …")
def _pixels(key: str, name: str, data: bytes, _net: Net) -> Pixels | str:
    """The picture as the net sees it, or the sentence that says why there is none."""
    try:
        return _net.prepare(read_image(data, name)).permute(1, 2, 0).numpy()
    except ImageError as error:
        return str(error)


def _test_picture(net: Net) -> tuple[Picture | None, list[str]]:
    try:
        here = is_downloaded(net.dataset)
        if not here and not st.button(_download_label(net.dataset), icon=":material/download:"):
            return None, []
        data = _test_split(net.dataset, net.image_size)
        if not here:
            st.rerun()  # without the button
    except DatasetError as error:
        return None, [str(error)]
    if st.session_state.get("index", 0) >= len(data):
        del st.session_state["index"]  # the net before this one had more of them
    with st.container(horizontal=True, vertical_alignment="bottom"):
        index = st.number_input(
            f"Number (0 to {len(data) - 1:,})", 0, len(data) - 1, 0, key="index", bind="query-params"
        )
        st.button("Another", icon=":material/shuffle:", on_click=_pick_any, args=(len(data),))
    outlined = data.masks is not None and st.toggle("Outline the object", key="outline", bind="query-params")
    return Picture(
        name=f"Test picture {index:,}",
        pixels=data.images[index].permute(1, 2, 0).numpy(),
        truth=data.classes[int(data.labels[index])],
        mask=data.masks[index].numpy() if outlined and data.masks is not None else None,
    ), []


def _download_label(dataset: str) -> str:
    if dataset not in DATASETS:
        return "Look for its folder again"
    return f"Download {DATASETS[dataset].title} ({DATASETS[dataset].download_mb} MB)"


def _pick_any(count: int) -> None:
    st.session_state["index"] = randrange(count)


@st.cache_resource(max_entries=2, show_spinner="Reading the test pictures …")
def _test_split(dataset: str, image_size: int) -> Dataset:
    return load_dataset(dataset, split="test", image_size=image_size)
