"""A data set from a folder of pictures, one sub-folder a class."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from resnet_lab.data.base import Dataset, DatasetError, DatasetInfo, Progress, balanced_order
from resnet_lab.data.cache import Record, cache_path, load_or_build
from resnet_lab.data.preprocess import FORMATS, ImageError, image_to_tensor, read_image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
TEST_FRACTION = 0.2  # where the folder itself has no test part
FALLBACK_SIZE = 64  # where the pictures have no common small size
LARGEST_KEPT_SIZE = 224
SIZE_SAMPLE, STATISTICS_SAMPLE = 64, 1000  # pictures looked at for the size, and for mean and std
MEMORY_LIMIT_GB = 8
CHUNK = 64  # pictures per task of the thread pool

PLACEHOLDER_MEAN, PLACEHOLDER_STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)  # until pictures are decoded


class PictureFile(NamedTuple):
    path: str
    name: str
    size: int  # bytes
    mtime_ns: int


@dataclass(frozen=True)
class Listing:
    """What lies in the folder, by name alone; each split is in an order whose prefixes are balanced."""

    folder: Path
    classes: tuple[str, ...]
    files: dict[str, list[PictureFile]]  # by split
    labels: dict[str, Tensor]  # by split, int64 (N,)
    notes: tuple[str, ...]

    def common_size(self) -> int | None:
        """The side that a sample of the training pictures share, if they are square and not large."""
        sizes = set()
        for file in self.files["train"][:SIZE_SAMPLE]:
            try:
                with Image.open(file.path, formats=FORMATS) as image:
                    sizes.add(image.size)
            except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
                continue  # decoding will count it among the unreadable
        width, height = sizes.pop() if len(sizes) == 1 else (0, 1)
        return width if width == height <= LARGEST_KEPT_SIZE else None


def folder_info(folder: Path) -> DatasetInfo:
    """What can be told of a folder without decoding. `mean` and `std` are placeholders here; a loaded
    Dataset has the measured ones. Raises DatasetError as `load_folder` does.
    """
    listing = list_folder(folder)
    return DatasetInfo(
        name=f"folder:{folder}",
        title=folder.resolve().name,
        classes=listing.classes,
        image_size=listing.common_size() or FALLBACK_SIZE,
        train_count=len(listing.files["train"]),
        test_count=len(listing.files["test"]),
        download_mb=0,
        mean=PLACEHOLDER_MEAN,
        std=PLACEHOLDER_STD,
        note=" ".join(listing.notes) or f"Pictures from {folder}.",
    )


def load_folder(
    folder: Path, split: str, root: Path, image_size: int | None, limit: int | None, progress: Progress | None
) -> Dataset:
    """Decode one split of a folder to squares of `image_size`; see `load_dataset` for the arguments.

    Raises DatasetError if the folder is missing, is empty, has pictures of fewer than two classes, has other
    classes to test than to train, or holds nothing readable, or more than fits in memory.
    """
    listing = list_folder(folder)
    common = listing.common_size()
    size = image_size or common or FALLBACK_SIZE
    available = len(listing.files[split])
    count = min(limit or available, available)
    sample = min(STATISTICS_SAMPLE, len(listing.files["train"]))  # the same one for both splits

    def decode() -> Record:
        return _decode(listing, split, count, size, progress)

    def measure() -> Record:
        return _statistics(_decode(listing, "train", sample, size, None)["images"])

    path = cache_path(root, f"folder-{split}", *_key(listing, split, count, size))
    record, notes = load_or_build(path, {"images", "labels", "resized", "unreadable"}, decode)
    path = cache_path(root, "folder-statistics", *_key(listing, "train", sample, size))
    statistics, _ = load_or_build(path, {"mean", "std"}, measure)
    if image_size is None and common is None:
        notes += (f"The pictures have no common size up to {LARGEST_KEPT_SIZE}; {size} × {size} was chosen.",)
    return Dataset(
        name=f"folder:{folder}",
        split=split,
        images=record["images"],
        labels=record["labels"],
        classes=listing.classes,
        mean=tuple(statistics["mean"]),
        std=tuple(statistics["std"]),
        notes=listing.notes + _decoding_notes(record, count, size) + notes,
    )


def list_folder(folder: Path) -> Listing:
    """Find the classes and files of a folder. Raises DatasetError."""
    if not folder.exists():
        raise DatasetError(f"There is no folder {folder}; check the path.")
    if not folder.is_dir():
        raise DatasetError(f"{folder} is a file, not a folder; unpack it, or name the folder it lies in.")
    try:
        divided = (folder / "train").is_dir()
        train, notes = _scan(folder / "train" if divided else folder)
        if divided and (folder / "test").is_dir():
            test, test_notes = _scan(folder / "test")
            _require_same_classes(folder, set(train), set(test))
            notes += test_notes
        else:
            train, test = _divide(train)
            notes += (
                f"{folder} has no test part, so {TEST_FRACTION:.0%} of each class were held back for it.",
            )
    except OSError as error:
        raise DatasetError(
            f"{error.filename} cannot be read ({error.strerror}); check its rights."
        ) from error
    classes = tuple(sorted(train))
    files, labels = {}, {}
    for split, by_class in (("train", train), ("test", test)):
        every = [file for name in classes for file in by_class[name]]
        counts = torch.tensor([len(by_class[name]) for name in classes])
        by_label = torch.arange(len(classes)).repeat_interleave(counts)
        order = balanced_order(by_label, seed=0)
        files[split], labels[split] = [every[i] for i in order.tolist()], by_label[order]
    return Listing(folder, classes, files, labels, notes)


def _scan(folder: Path) -> tuple[dict[str, list[PictureFile]], tuple[str, ...]]:
    """The picture files of each class folder, sorted by name, and notes on classes without any."""
    found = {}
    with os.scandir(folder) as entries:
        names = sorted(
            entry.name for entry in entries if entry.is_dir() and not entry.name.startswith((".", "_"))
        )
    for name in names:
        found[name] = list(_pictures(folder / name))
    full = {name: files for name, files in found.items() if files}
    if not full:
        raise DatasetError(
            f"No pictures were found in {folder}; put them into one sub-folder for each class."
        )
    if len(full) == 1:
        raise DatasetError(
            f"{folder} holds pictures of one class only, '{next(iter(full))}'; a net needs at least two to "
            "choose from, so add a folder for another."
        )
    notes = tuple(
        f"Class '{name}' was left out: {folder / name} has no pictures." for name in found.keys() - full
    )
    return full, notes


def _pictures(folder: Path) -> Iterator[PictureFile]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = entry.name
            if name.lower().endswith(SUFFIXES) and not name.startswith(".") and entry.is_file():
                status = entry.stat()
                yield PictureFile(entry.path, name, status.st_size, status.st_mtime_ns)


def _require_same_classes(folder: Path, train: set[str], test: set[str]) -> None:
    for extra, has, lacks in ((train - test, "train", "test"), (test - train, "test", "train")):
        if extra:
            names = ", ".join(f"'{name}'" for name in sorted(extra)[:3])
            raise DatasetError(
                f"In {folder}, {has} has pictures of {names} and {lacks} has none; give both the same classes."
            )


def _divide(
    by_class: dict[str, list[PictureFile]],
) -> tuple[dict[str, list[PictureFile]], dict[str, list[PictureFile]]]:
    """Split (train, test) by a hash of the file names: adding a picture moves few others."""
    train, test = {}, {}
    for name, files in by_class.items():
        if len(files) < 2:
            raise DatasetError(
                f"Class '{name}' has only one picture; it needs two, one of them to test with."
            )
        ordered = sorted(files, key=lambda file: hashlib.sha256(file.name.encode()).digest())
        count = max(1, round(len(files) * TEST_FRACTION))
        test[name], train[name] = ordered[:count], ordered[count:]
    return train, test


def _key(listing: Listing, split: str, count: int, size: int) -> tuple[object, ...]:
    digest = hashlib.sha256()
    for file in listing.files[split][:count]:
        digest.update(f"{file.path}\0{file.size}\0{file.mtime_ns}\n".encode())
    return str(listing.folder.resolve()), listing.classes, size, digest.hexdigest()


def _decode(listing: Listing, split: str, count: int, size: int, progress: Progress | None) -> Record:
    """Decode with threads (Pillow lets go of the interpreter lock while it decodes). Raises DatasetError."""
    _require_memory(count, size)
    files = listing.files[split][:count]
    images = torch.empty(count, 3, size, size, dtype=torch.uint8)
    problems: list[str | None] = [None] * count
    resized = torch.zeros(count, dtype=torch.bool)

    def decode_chunk(start: int) -> None:
        for i, file in enumerate(files[start : start + CHUNK], start):
            try:
                image = read_image(Path(file.path), file.name)
            except ImageError as error:
                problems[i] = str(error)
                continue
            resized[i] = image.size != (size, size)
            images[i] = image_to_tensor(image, size)

    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        _wait([pool.submit(decode_chunk, start) for start in range(0, count, CHUNK)], count, progress)
    finally:
        pool.shutdown(cancel_futures=True)  # when `progress` raises to cancel, the rest is dropped
    readable = torch.tensor([problem is None for problem in problems])
    if not readable.any():
        raise DatasetError(f"None of the {count:,} pictures in {listing.folder} is readable: {problems[0]}")
    return {
        "images": images if readable.all() else images[readable],
        "labels": listing.labels[split][:count][readable],
        "resized": int(resized.sum()),
        "unreadable": int((~readable).sum()),
    }


def _require_memory(count: int, size: int) -> None:
    gigabytes = count * 3 * size * size / 1e9
    if gigabytes > MEMORY_LIMIT_GB:
        raise DatasetError(
            f"{count:,} pictures of {size} × {size} would take {gigabytes:.0f} GB of memory; choose a smaller "
            "picture size or fewer pictures."
        )


def _wait(tasks: list[Future[None]], count: int, progress: Progress | None) -> None:
    for done, task in enumerate(as_completed(tasks), 1):
        task.result()
        if progress:
            pictures = min(done * CHUNK, count)
            progress(pictures / count, f"Reading pictures: {pictures:,} of {count:,}")


def _statistics(images: Tensor) -> Record:
    """Mean and standard deviation of each channel over all pixels, in 0..1."""
    values = images.transpose(0, 1).flatten(1).double() / 255  # (3, N·H·W)
    return {"mean": values.mean(dim=1).tolist(), "std": values.std(dim=1).clamp(min=1e-3).tolist()}


def _decoding_notes(record: Record, count: int, size: int) -> tuple[str, ...]:
    notes = []
    if record["resized"]:
        notes.append(f"{record['resized']:,} of {count:,} pictures were resized to {size} × {size}.")
    if record["unreadable"]:
        notes.append(f"{record['unreadable']:,} of {count:,} pictures were unreadable and left out.")
    return tuple(notes)
