"""Which images the prediction page asks about: uploaded ones, the test split, or the camera's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    is_downloaded,
    load_dataset,
    read_image,
)
from resnet_lab.data.uploads import MEGABYTE, SUFFIXES, Limits, Uploads, collect
from resnet_lab.figures.overlay import Box, Mask, Pixels, middle_square
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.widgets import forget_unless, one_of
from resnet_lab.ui.prediction.net import Net

SOURCES = ("Upload", "Folder", "Test", "Camera")
MOST_MEGABYTES = Limits().bytes_all // MEGABYTE  # of a file
MOST_PROBLEMS = 5  # that are said one by one
TRIED = 20  # uploaded images that are decoded before one is chosen
FILES = [suffix.removeprefix(".") for suffix in SUFFIXES]


@dataclass(frozen=True)
class Picture:
    """What the net sees: (H, W, 3). `key` stands for the image in caches, `image` is the whole of it, in which the
    net sees `box`.

    `truth` is the class's name and `mask` the object in `image`, where they are known.
    """

    key: str
    name: str
    pixels: Pixels
    image: Image.Image
    box: Box
    truth: str | None = None
    mask: Mask | None = None


@dataclass(frozen=True)
class Uploaded:
    """Images of the reader, with their bytes; `key` changes with them, as in `TestSplit`."""

    key: str
    files: list[tuple[str, bytes]]
    truths = None

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.files]

    def image(self, index: int) -> Image.Image:
        name, data = self.files[index]
        return read_image(data, name)

    def pixels(self, index: int, net: Net) -> Tensor:
        """uint8 (3, H, W), as `net` sees it. Raises ImageError."""
        return net.prepare(self.image(index))


@dataclass(frozen=True)
class TestSplit:
    """The test images of the data that a net was trained on."""

    data: Dataset
    __test__ = False  # pytest takes the name for a test

    @property
    def key(self) -> str:
        return f"{self.data.name} {tuple(self.data.images.shape)}"

    @property
    def names(self) -> list[str]:
        return [f"Test image {i:,}" for i in range(len(self.data))]

    @property
    def truths(self) -> list[str]:
        return [self.data.classes[i] for i in self.data.labels.tolist()]

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self.data.images[index].permute(1, 2, 0).numpy())

    def pixels(self, index: int, net: Net) -> Tensor:
        if self.data.images.shape[-1] == net.image_size:
            return net.transform.view(self.data.images[index])
        return net.prepare(self.image(index))


Gallery = Uploaded | TestSplit


def choose_gallery(net: Net) -> Gallery | None:
    """Asks where the images come from; says what cannot be used. None while there are none."""
    sources = [name for name in SOURCES if name != "Test" or net.dataset]
    source = one_of("Image", sources, key="source", default="Upload")
    if source == "Test":
        return _test_gallery(net)
    if source == "Camera":
        shot = st.camera_input("Camera", label_visibility="collapsed")
        return Uploaded(shot.file_id, [("The camera's image", shot.getvalue())]) if shot else None
    if source == "Folder":
        files = st.file_uploader(
            "Folder",
            FILES,
            accept_multiple_files="directory",
            key="prediction.folder",
            label_visibility="collapsed",
            max_upload_size=MOST_MEGABYTES,
        )
    else:
        files = st.file_uploader(
            "Images",
            [*FILES, "zip"],
            accept_multiple_files=True,
            label_visibility="collapsed",
            max_upload_size=MOST_MEGABYTES,
        )
    if not files:
        return None
    key = " ".join(file.file_id for file in files)
    found = _collected(key, files)
    show_problems(found.problems)
    return Uploaded(key, found.pictures) if found.pictures else None


def show_problems(problems: Sequence[str]) -> None:
    """The first of them, each in a box."""
    for problem in problems[:MOST_PROBLEMS]:
        st.error(escape_markdown(problem), icon=":material/broken_image:")
    if len(problems) > MOST_PROBLEMS:
        st.error(f"And {len(problems) - MOST_PROBLEMS:,} more.")


@st.cache_resource(max_entries=2, scope="session", show_spinner="Reading the files …")
def _collected(key: str, _files: list[Any]) -> Uploads:
    """The first images are decoded, so that a bad one is said at once; the others are when they are asked for."""
    found = collect((file.name, file.getvalue()) for file in _files)
    for picture in found.pictures[:TRIED]:
        try:
            read_image(picture[1], picture[0])
        except ImageError as error:
            found.pictures.remove(picture)
            found.problems.append(str(error))
    return found


def choose_picture(gallery: Gallery, net: Net) -> Picture | None:
    """The one to look at; None when it cannot be read, which is said."""
    if isinstance(gallery, TestSplit):
        return _test_picture(gallery, net)
    index = 0
    if len(gallery.files) > 1:
        names = gallery.names
        forget_unless("prediction.shown", range(len(names)))  # the files before these may have been more
        index = st.selectbox("Show", range(len(names)), format_func=names.__getitem__, key="prediction.shown")
    name, _ = gallery.files[index]
    key = f"{gallery.key} {index}"
    try:
        image = _image(key, gallery, index)
    except ImageError as error:
        st.error(escape_markdown(str(error)), icon=":material/broken_image:")
        return None
    return Picture(key, name, _seen(net.key, key, net, image), image, box_of(net, image))


def box_of(net: Net, image: Image.Image) -> Box:
    """The part of the image that the net sees."""
    return middle_square(*image.size, net.side / net.image_size)


@st.cache_data(max_entries=50, scope="session", show_spinner=False)
def _seen(net_key: str, key: str, _net: Net, _image: Image.Image) -> Pixels:
    """What the net sees of an image; scaling a large one takes a while."""
    return _net.prepare(_image).permute(1, 2, 0).numpy()


@st.cache_resource(max_entries=3, scope="session", show_spinner="Reading the image …")
def _image(key: str, _gallery: Uploaded, index: int) -> Image.Image:
    """The whole image; only the last ones are kept, as one may take 150 MB."""
    return _gallery.image(index)


def _test_gallery(net: Net) -> TestSplit | None:
    try:
        here = is_downloaded(net.dataset)
        if not here and not st.button(_download_label(net.dataset), icon=":material/download:"):
            return None
        data = test_split(net.dataset, net.image_size)
        if not here:
            st.rerun()  # without the button
    except DatasetError as error:
        st.error(escape_markdown(str(error)), icon=":material/broken_image:")
        return None
    return TestSplit(data)


def _test_picture(gallery: TestSplit, net: Net) -> Picture:
    data = gallery.data
    forget_unless("index", range(len(data)))  # the net before this one may have had more of them
    with st.container(horizontal=True, vertical_alignment="bottom"):
        index = st.number_input(
            f"Number (0 to {len(data) - 1:,})", 0, len(data) - 1, 0, key="index", bind="query-params"
        )
        st.button("Another", icon=":material/shuffle:", on_click=_pick_any, args=(len(data),))
    outlined = data.masks is not None and st.toggle("Outline the object", key="outline", bind="query-params")
    image = gallery.image(index)
    return Picture(
        key=f"{gallery.key} {index}",
        name=f"Test image {index:,}",
        pixels=gallery.pixels(index, net).permute(1, 2, 0).numpy(),
        image=image,
        box=box_of(net, image),
        truth=data.classes[int(data.labels[index])],
        mask=data.masks[index].numpy() if outlined and data.masks is not None else None,
    )


def _download_label(dataset: str) -> str:
    if dataset not in DATASETS:
        return "Look for its folder again"
    return f"Download {DATASETS[dataset].title} ({DATASETS[dataset].download_mb} MB)"


def _pick_any(count: int) -> None:
    st.session_state["index"] = randrange(count)


@st.cache_resource(max_entries=2, show_spinner="Reading the test images …")
def test_split(dataset: str, image_size: int) -> Dataset:
    return load_dataset(dataset, split="test", image_size=image_size)


def as_batch(pixels: Pixels) -> Tensor:
    """(H, W, 3) → uint8 (1, 3, H, W)."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]
