"""Which images the prediction page asks about: uploaded ones, the test split, or the camera's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from random import randrange
from typing import Any

import streamlit as st
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
from resnet_lab.data.uploads import MEGABYTE, SUFFIXES, Limits, collect
from resnet_lab.figures.overlay import Box, Mask
from resnet_lab.runs.files import RunError
from resnet_lab.runs.gallery import FOLDER
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.widgets import forget_unless, one_of, problems_said
from resnet_lab.ui.prediction.net import Net, is_of_photographs

SAMPLES = FOLDER / "images"
SOURCES = ("Upload", "Folder", "Test", "Camera")
MOST_MEGABYTES = Limits().bytes_all // MEGABYTE  # of a file
MOST_PROBLEMS = 5  # that are said one by one
TRIED = 20  # uploaded images that are decoded before one is chosen
KEPT = 2  # decoded ones, as one may take 150 MB
FILES = [suffix.removeprefix(".") for suffix in SUFFIXES]
BROKEN = ":material/broken_image:"


class UploadedImages:
    """Images of the reader: `files` has their bytes by their names, `problems` says what cannot be used.

    `key` changes with them, as in `TestImages`.
    """

    def __init__(self, key: str, files: dict[str, bytes], problems: list[str]) -> None:
        self.key, self.files, self.problems = key, files, problems
        self._decoded = lru_cache(KEPT)(lambda name: read_image(self.files[name], name))

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        return list(self.files)[index]

    def truth(self, index: int) -> None:
        return None

    def whole(self, index: int) -> Image.Image:
        """All of an image, RGB. Raises ImageError."""
        return self._decoded(self.name(index))

    def pixels(self, index: int, net: Net) -> Tensor:
        """uint8 (3, side, side), as `net` sees it. Raises ImageError."""
        return net.prepare(self.whole(index))


@dataclass(frozen=True)
class TestImages:
    """The test images of the data that a net was trained on."""

    data: Dataset
    __test__ = False  # pytest takes the name for a test

    @property
    def key(self) -> str:
        return f"{self.data.name} {tuple(self.data.images.shape)}"

    def __len__(self) -> int:
        return len(self.data)

    def name(self, index: int) -> str:
        return f"Test image {index:,}"

    def truth(self, index: int) -> str:
        return self.data.classes[int(self.data.labels[index])]

    def whole(self, index: int) -> Image.Image:
        return Image.fromarray(self.data.images[index].permute(1, 2, 0).numpy())

    def pixels(self, index: int, net: Net) -> Tensor:
        if self.data.images.shape[-1] == net.image_size:
            return net.transform.view(self.data.images[index])
        return net.prepare(self.whole(index))


ImageSet = UploadedImages | TestImages


@dataclass(frozen=True, eq=False)
class InputImage:
    """One of `images`, and what a net sees of it: `pixels`, uint8 (3, side, side), are the `box` of the `whole`.

    `mask`, bool of the size of the whole, is the object where it is to be outlined.
    """

    images: ImageSet
    index: int
    whole: Image.Image
    pixels: Tensor
    box: Box
    mask: Mask | None = None

    @property
    def key(self) -> str:
        """Stands for the image in caches."""
        return f"{self.images.key} {self.index}"

    @property
    def name(self) -> str:
        return self.images.name(self.index)

    @property
    def truth(self) -> str | None:
        """The name of its class, where that is known."""
        return self.images.truth(self.index)


def input_image(net: Net, images: ImageSet, index: int, mask: Mask | None = None) -> InputImage:
    """
    Raises:
        ImageError: it cannot be read.
    """
    whole = images.whole(index)
    return InputImage(images, index, whole, _pixels(net, images, index), net.box(whole), mask)


# How caches tell these apart.
BY_KEY: dict[Any, Any] = dict.fromkeys((Net, UploadedImages, TestImages, InputImage), attrgetter("key"))


@st.cache_resource(max_entries=50, scope="session", show_spinner=False, hash_funcs=BY_KEY)
def _pixels(net: Net, images: ImageSet, index: int) -> Tensor:
    """Scaling a large image takes a while."""
    return images.pixels(index, net)


def choose_images(net: Net) -> ImageSet | None:
    """Asks where the images come from; says what cannot be used. None while there are none."""
    sources = [name for name in SOURCES if name != "Test" or net.dataset]
    source = one_of("Image", sources, key="source", default="Upload")
    if source == "Test":
        return _test_images(net)
    if source == "Camera":
        shot = st.camera_input("Camera", label_visibility="collapsed")
        files, names = [shot] if shot else [], ["The camera's image"]
    else:
        look: dict[str, Any] = {"label": "Images", "type": [*FILES, "zip"], "accept_multiple_files": True}
        if source == "Folder":
            look = {"label": "Folder", "type": FILES, "accept_multiple_files": "directory"}
            look["key"] = "prediction.folder"
        files = st.file_uploader(**look, label_visibility="collapsed", max_upload_size=MOST_MEGABYTES)
        names = [file.name for file in files]
    if not files:
        if source != "Upload" or not is_of_photographs(net.dataset):
            return None
        st.caption("Samples, until you upload images of your own.")
        return _samples()
    key = " ".join(file.file_id for file in files)
    images = _read(key, ((name, file.getvalue()) for name, file in zip(names, files, strict=True)))
    show_problems(images.problems)
    return images if len(images) else None


@st.cache_resource(show_spinner=False)
def _samples() -> UploadedImages:
    """What there is to look at before anything is uploaded; SOURCES.md beside them says whose they are."""
    files = {path.stem.capitalize(): path.read_bytes() for path in sorted(SAMPLES.glob("*.jpg"))}
    return UploadedImages("samples", files, [])


@st.cache_resource(max_entries=2, scope="session", show_spinner="Reading the files …")
def _read(key: str, _files: Iterable[tuple[str, bytes]]) -> UploadedImages:
    """The first images are decoded, so that a bad one is said at once; the others are when they are asked for."""
    found = collect(_files)
    images, broken = UploadedImages(key, dict(found.images), found.problems), []
    for index in reversed(range(min(TRIED, len(images)))):  # the last ones are kept, and the first is shown
        try:
            images.whole(index)
        except ImageError as error:
            del images.files[images.name(index)]
            broken.append(str(error))
    images.problems.extend(reversed(broken))
    return images


def show_problems(problems: Sequence[str]) -> None:
    """The first of them, each in a box."""
    for problem in problems[:MOST_PROBLEMS]:
        st.error(escape_markdown(problem), icon=BROKEN)
    if len(problems) > MOST_PROBLEMS:
        st.error(f"And {len(problems) - MOST_PROBLEMS:,} more.")


def choose_image(images: ImageSet, net: Net) -> InputImage | None:
    """The one to look at; None when it cannot be read, which is said."""
    if isinstance(images, TestImages):
        return _choose_test_image(images, net)
    index = 0
    if len(images) > 1:
        options = range(len(images))
        forget_unless("prediction.shown", options)  # the files before these may have been more
        index = st.selectbox("Show", options, format_func=images.name, key="prediction.shown")
    with problems_said(ImageError, icon=BROKEN), st.spinner("Reading the image …"):
        return input_image(net, images, index)
    return None


def _test_images(net: Net) -> TestImages | None:
    info = DATASETS.get(net.dataset)
    label = f"Download {info.title} ({info.download_mb} MB)" if info else "Look for its folder again"
    with problems_said(RunError, DatasetError, icon=BROKEN):
        navigation.desk().require_open(net.dataset)
        here = is_downloaded(net.dataset)
        if not here and not st.button(label, icon=":material/download:"):
            return None
        data = test_split(net.dataset, net.image_size)
        if not here:
            st.rerun()  # without the button
        return TestImages(data)
    return None


def _choose_test_image(images: TestImages, net: Net) -> InputImage:
    count, masks = len(images), images.data.masks
    forget_unless("index", range(count))  # the net before this one may have had more of them
    with st.container(horizontal=True, vertical_alignment="bottom"):
        index = st.number_input(
            f"Number (0 to {count - 1:,})", 0, count - 1, 0, key="index", bind="query-params"
        )
        st.button(
            "Another",
            icon=":material/shuffle:",
            on_click=lambda: st.session_state.update(index=randrange(count)),
        )
    outlined = masks is not None and st.toggle("Outline the object", key="outline", bind="query-params")
    mask = masks[index].numpy() if outlined and masks is not None else None
    return input_image(net, images, index, mask)


@st.cache_resource(max_entries=2, show_spinner="Reading the test images …")
def test_split(dataset: str, image_size: int) -> Dataset:
    return load_dataset(dataset, split="test", image_size=image_size)
