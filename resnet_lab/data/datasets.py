"""The data sets by name."""

import os
from pathlib import Path

from torch import Tensor

from resnet_lab.data import shapes
from resnet_lab.data.base import Dataset, DatasetError, DatasetInfo, Progress
from resnet_lab.data.cache import Record, cache_path, load_or_build

_SHAPES = {
    "classes": shapes.SHAPES, "image_size": 32, "train_count": 8000, "test_count": 2000, "download_mb": 0,
    "mean": (0.49, 0.49, 0.49), "std": (0.26, 0.26, 0.26),
}  # fmt: skip
DATASETS: dict[str, DatasetInfo] = {
    info.name: info
    for info in (
        DatasetInfo("shapes", "Shapes", **_SHAPES, note="Ten shapes drawn by code, each with its mask."),
    )
}

# Two sequences of drawings; (seed, index) decides the picture, so the splits have none in common.
SHAPE_SEEDS = {"train": 1, "test": 2}


def data_root(root: str | Path | None = None) -> Path:
    """The data folder: `root`, else $RESNET_LAB_DATA, else `data`."""
    return Path(root or os.environ.get("RESNET_LAB_DATA") or "data")


def load_dataset(
    name: str,
    split: str = "train",
    *,
    root: str | Path | None = None,
    image_size: int | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Dataset:
    info = DATASETS[name]
    size = image_size or info.image_size
    count = min(limit or 10**9, info.train_count if split == "train" else info.test_count)
    return _load_shapes(info, split, data_root(root), size, count, progress)


def _load_shapes(
    info: DatasetInfo, split: str, root: Path, size: int, count: int, progress: Progress | None
) -> Dataset:
    shortcut = info.name == "shapes_shortcut" and split == "train"
    seed = SHAPE_SEEDS[split]

    def build() -> Record:
        images, masks, labels = shapes.draw_shapes(seed, count, size, shortcut, progress)
        return {"images": images, "masks": masks, "labels": labels}

    path = cache_path(root, f"shapes-{split}", shapes.GENERATOR_VERSION, seed, count, size, shortcut)
    record, notes = load_or_build(path, {"images", "masks", "labels"}, build)
    images: Tensor = record["images"]
    return Dataset(
        info.name, split, images, record["labels"], info.classes, info.mean, info.std, record["masks"], notes
    )
