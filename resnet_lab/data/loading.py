"""One split of a data set as tensors: drawn, downloaded or decoded once, then read from the cache."""

import contextlib
import os
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from resnet_lab.data import shapes
from resnet_lab.data.base import Dataset, DatasetError, Progress, balanced_order
from resnet_lab.data.cache import Record, cache_path, load_or_build
from resnet_lab.data.datasets import DATASETS, MAX_SIZE, MIN_SIZE, DatasetInfo, current_name
from resnet_lab.data.downloads import read_torchvision
from resnet_lab.data.folder import folder_info, load_folder

SPLITS = ("train", "test")

# Two sequences of drawings; (seed, index) decides the image, so the splits have none in common.
SHAPE_SEEDS = {"train": 1, "test": 2}


def data_root(root: str | Path | None = None) -> Path:
    """The data folder: `root`, else $RESNET_LAB_DATA, else `data`."""
    return Path(root or os.environ.get("RESNET_LAB_DATA") or "data")


def dataset_info(name: str, root: str | Path | None = None) -> DatasetInfo:
    """What is known of a data set without loading it; for `folder:<path>` from its file names.

    A relative folder is looked for in the working directory, then in the data folder.

    Raises:
        DatasetError: the name is unknown, or the folder is not fit to use.
    """
    if (folder := folder_of(name, root)) is not None:
        return replace(folder_info(folder), name=name)
    if current_name(name) not in DATASETS:
        known = ", ".join(DATASETS)
        raise DatasetError(f"There is no data set '{name}'; choose one of {known}, or folder:<path>.")
    return DATASETS[current_name(name)]


def is_downloaded(name: str, root: str | Path | None = None) -> bool:
    """Whether `load_dataset` can do without the network.

    Raises:
        DatasetError: the name is unknown.
    """
    if (folder := folder_of(name, root)) is not None:
        return os.path.isdir(folder)
    info, place = dataset_info(name), data_root(root)
    if not info.torchvision or (place / info.archive).exists():
        return True
    return all(_torchvision_cache(info, split, place).is_file() for split in SPLITS)


def load_dataset(
    name: str,
    split: str = "train",
    *,
    root: str | Path | None = None,
    image_size: int | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Load one split, "train" or "test", of a data set of `DATASETS` or of `folder:<path>`.

    What takes time, a download, drawing or decoding, is done once and cached under `root` (see `data_root`);
    `progress` is told of it, and may raise to cancel it. `image_size` asks for another side than the data
    set's own. `limit` takes at most so many images, always the same, as many of each class as can be. A
    folder without train/ and test/ gives a fifth of each class to the test split.

    Raises:
        DatasetError: one sentence on what is wrong with the data or the request, and what to do.
    """
    if split not in SPLITS:
        raise DatasetError(f"There is no split '{split}'; it is train or test.")
    if limit is not None and limit < 1:
        raise DatasetError(f"The number of images is limited to {limit}; it must be 1 or more.")
    if image_size is not None and not MIN_SIZE <= image_size <= MAX_SIZE:
        raise DatasetError(f"The image size is {image_size}; it must lie between {MIN_SIZE} and {MAX_SIZE}.")
    place = data_root(root)
    if (folder := folder_of(name, root)) is not None:
        return replace(load_folder(folder, split, place, image_size, limit, progress), name=name)
    info = dataset_info(name)
    size = image_size or info.image_size
    if info.torchvision:
        return _load_torchvision(info, split, place, size, limit, progress)
    count = info.train_count if split == "train" else info.test_count
    return _load_shapes(info, split, place, size, min(limit or count, count), progress)


def folder_of(name: str, root: str | Path | None = None) -> Path | None:
    """The folder that a data set's name stands for; None for one of `DATASETS`.

    Raises:
        DatasetError: there is no path behind "folder:".
    """
    if not name.startswith("folder:"):
        return None
    if not (path := name.removeprefix("folder:")):
        raise DatasetError("There is no path behind 'folder:'; name a folder.")
    with contextlib.suppress(ValueError):  # a null byte behind a ~
        path = os.path.expanduser(path)
    folder = Path(path)
    inside = data_root(root) / folder
    return inside if not os.path.exists(folder) and os.path.isdir(inside) else folder


def _load_shapes(
    info: DatasetInfo, split: str, root: Path, size: int, count: int, progress: Progress | None
) -> Dataset:
    # The mark is planted where a net learns and missing where it is tested: a net that cheats is caught.
    watermark = info.name == "shapes_watermark" and split == "train"
    seed = SHAPE_SEEDS[split]

    def build() -> Record:
        drawn = shapes.draw_shapes(seed, count, size, watermark, progress)
        return dict(zip(("images", "masks", "labels"), drawn, strict=True))

    # Label and index go round together, so the first `count` images are balanced as they are.
    path = cache_path(root, f"shapes-{split}", shapes.GENERATOR_VERSION, seed, count, size, watermark)
    record, notes = load_or_build(path, {"images", "masks", "labels"}, build)
    fields = record | {"classes": info.classes, "mean": info.mean, "std": info.std, "notes": notes}
    return Dataset(info.name, split, **fields)


def _torchvision_cache(info: DatasetInfo, split: str, root: Path) -> Path:
    return cache_path(root, f"{info.name}-{split}", 1)


def _load_torchvision(
    info: DatasetInfo, split: str, root: Path, size: int, limit: int | None, progress: Progress | None
) -> Dataset:
    def build() -> Record:
        return dict(zip(("images", "labels"), read_torchvision(info, split, root, progress), strict=True))

    record, notes = load_or_build(_torchvision_cache(info, split, root), {"images", "labels"}, build)
    images, labels = record["images"], record["labels"]
    if limit is not None:
        chosen = balanced_order(labels, seed=0)[:limit]
        images, labels = images[chosen], labels[chosen]
    if images.shape[-1] != size:
        images = _resize(images, size)
        notes += (f"The images were resized from {info.image_size} to {size} pixels a side.",)
    return Dataset(info.name, split, images, labels, info.classes, info.mean, info.std, notes=notes)


def _resize(images: Tensor, size: int) -> Tensor:
    """uint8 (N, 3, H, W) to uint8 (N, 3, size, size), in pieces, since the float copy is four times larger."""
    pieces = (
        F.interpolate(piece.float(), size=(size, size), mode="bicubic", antialias=True).round().clamp(0, 255)
        for piece in images.split(1000)
    )
    return torch.cat([piece.to(torch.uint8) for piece in pieces])
