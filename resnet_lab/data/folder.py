"""A data set from a folder of images, one sub-folder a class."""

import contextlib
import hashlib
import os
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

import torch

from resnet_lab.data.base import Dataset, DatasetError, Progress
from resnet_lab.data.cache import Record, cache_path, load_or_build
from resnet_lab.data.datasets import DatasetInfo
from resnet_lab.data.listing import Listing, list_folder, why_unreadable
from resnet_lab.data.names import printable
from resnet_lab.data.preprocess import ImageError, decoded_image, image_to_tensor, read_size
from resnet_lab.data.scan import ImageFile, name_counts

DECODER_VERSION = 2  # part of the cache's key: to be raised when `read_image` gives other pixels than before
FALLBACK_SIZE = 64  # where the images have no common small size
LARGEST_KEPT_SIZE = 224
SIZE_SAMPLE, STATISTICS_SAMPLE = 64, 1000  # images looked at for the size, and for mean and std
MEMORY_LIMIT_GB = 8
MUCH_CUT = 0.25  # of an image's area; how many lose more than this by the centre crop is said
CHUNK = 64  # images per task of the thread pool

PLACEHOLDER = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)  # mean and std, until images are decoded


def folder_info(folder: Path) -> DatasetInfo:
    """What can be told of a folder without decoding. `mean` and `std` are placeholders; a loaded Dataset has its own.

    Raises:
        DatasetError: as `load_folder`.
    """
    listing = list_folder(folder)
    mean, std = PLACEHOLDER
    return DatasetInfo(
        name=f"folder:{folder}",
        title=printable(folder.resolve().name),
        classes=listing.classes,
        image_size=_common_size(listing) or FALLBACK_SIZE,
        train_count=len(listing.files["train"]),
        test_count=len(listing.files["test"]),
        mean=mean,
        std=std,
        note=" ".join(listing.notes) or f"Images from {printable(str(folder))}.",
    )


def load_folder(
    folder: Path, split: str, root: Path, image_size: int | None, limit: int | None, progress: Progress | None
) -> Dataset:
    """Decode one split of a folder to squares of `image_size`; see `load_dataset` for the arguments.

    Raises:
        DatasetError: as `list_folder`; or a class has nothing readable in a split, or the images take more
            memory than is allowed.
    """
    listing = list_folder(folder)
    _require_readable_test(listing)
    common = _common_size(listing)
    size = image_size or common or FALLBACK_SIZE
    available = len(listing.files[split])
    count = min(limit or available, available)
    sample = min(STATISTICS_SAMPLE, len(listing.files["train"]))  # the same one for both splits

    def measure() -> Record:
        images = _decode(listing, "train", sample, size, None)["images"]
        values = images.transpose(0, 1).flatten(1).double() / 255  # (3, N·H·W)
        return {"mean": values.mean(dim=1).tolist(), "std": values.std(dim=1).clamp(min=1e-3).tolist()}

    path = cache_path(root, f"folder-{split}", *_key(listing, split, count, size))
    keys = {"images", "labels", "resized", "lost", "unreadable", "reason"}
    record, notes = load_or_build(path, keys, partial(_decode, listing, split, count, size, progress))
    _require_each_class(listing, split, record)
    path = cache_path(root, "folder-statistics", *_key(listing, "train", sample, size))
    statistics, _ = load_or_build(path, {"mean", "std"}, measure)
    if image_size is None and common is None:
        notes += (f"The images have no common size up to {LARGEST_KEPT_SIZE}; {size} × {size} was chosen.",)
    return Dataset(
        name=f"folder:{folder}",
        split=split,
        images=record["images"],
        labels=record["labels"],
        classes=listing.classes,
        mean=tuple(statistics["mean"]),
        std=tuple(statistics["std"]),
        notes=listing.notes + _decoding_notes(listing.classes, record, size) + notes,
    )


def _common_size(listing: Listing) -> int | None:
    """The side that a sample of the training images share, if they are square and not large."""
    sizes = set()
    for file in listing.files["train"][:SIZE_SAMPLE]:
        with contextlib.suppress(ImageError):  # decoding will count it among the unreadable
            sizes.add(read_size(Path(file.path), file.name))
    width, height = sizes.pop() if len(sizes) == 1 else (0, 1)
    return width if width == height <= LARGEST_KEPT_SIZE else None


def _require_readable_test(listing: Listing) -> None:
    """That a class has nothing to test with is said before an hour of training, not after. Raises DatasetError."""
    files = defaultdict(list)
    for file, label in zip(listing.files["test"], listing.labels["test"].tolist(), strict=True):
        files[listing.classes[label]].append(file)
    for name, of_class in files.items():
        if reason := why_unreadable(of_class):
            raise DatasetError(f"None of the {len(of_class):,} test images of '{name}' is readable: {reason}")


def _require_each_class(listing: Listing, split: str, record: Record) -> None:
    """Headers can be good and what lies behind them bad, in all images of a class. Raises DatasetError."""
    kept = record["labels"].bincount(minlength=len(listing.classes))
    for name, good, bad in zip(listing.classes, kept.tolist(), record["unreadable"].tolist(), strict=True):
        if bad and not good:
            what = f"{bad:,} {'test' if split == 'test' else 'training'} images of '{name}'"
            raise DatasetError(f"None of the {what} is readable: {record['reason']}")


def _key(listing: Listing, split: str, count: int, size: int) -> tuple[object, ...]:
    digest = hashlib.sha256()
    for file in listing.files[split]:
        digest.update(os.fsencode(f"{file.path}\0{file.size}\0{file.mtime_ns}\n"))
    return DECODER_VERSION, str(listing.folder.resolve()), listing.classes, size, count, digest.hexdigest()


class _Rows:
    """What images are decoded into: each into a row of its own, in any thread."""

    def __init__(self, count: int, size: int) -> None:
        self.size = size
        self.images = torch.empty(count, 3, size, size, dtype=torch.uint8)
        self.resized = torch.zeros(count, dtype=torch.bool)
        self.lost = torch.zeros(count)  # share of the area that the centre crop cut off
        self.readable = torch.ones(count, dtype=torch.bool)

    def read(self, files: Mapping[int, ImageFile]) -> dict[int, str]:
        """Decode a file into each of these rows; returns what is wrong with those that cannot be read."""
        problems = {}
        for row, file in files.items():
            path = Path(file.path)
            try:
                with decoded_image(path, path.name) as image:
                    self.images[row] = image_to_tensor(image, self.size)
                    self.resized[row] = image.size != (self.size, self.size)
                    self.lost[row] = 1 - min(image.size) / max(image.size)
            except ImageError as error:
                problems[row] = str(error)
        return problems


def _decode(listing: Listing, split: str, count: int, size: int, progress: Progress | None) -> Record:
    """The first `count` images of a split; in the place of an unreadable one, another of its class if there is one.

    Returns `images` uint8 (N, 3, size, size) and `labels` int64 (N,); `resized`, how many had another size; `lost`
    float32 (N,), the share of each image's area that the centre crop cut off; `unreadable` int64 (classes,), and
    `reason`, what is wrong with the first of those.

    Raises:
        DatasetError: none is readable, or they take too much memory.
    """
    if (gigabytes := count * 3 * size * size / 1e9) > MEMORY_LIMIT_GB:
        raise DatasetError(
            f"{count:,} images of {size} × {size} would take {gigabytes:.0f} GB of memory; choose a smaller "
            "image size or fewer images."
        )
    files, labels = listing.files[split], listing.labels[split].tolist()
    rows = _Rows(count, size)
    spares: dict[int, deque[ImageFile]] = defaultdict(deque)  # by label
    for file, label in zip(files[count:], labels[count:], strict=True):
        spares[label].append(file)
    unreadable, reason = torch.zeros(len(listing.classes), dtype=torch.int64), ""
    todo = dict(enumerate(files[:count]))
    while todo:
        problems = _in_threads(rows.read, todo, count, progress)
        todo = {}
        for row, problem in sorted(problems.items()):
            unreadable[labels[row]] += 1
            reason = reason or problem
            if spare := spares[labels[row]]:
                todo[row] = spare.popleft()
            else:
                rows.readable[row] = False
    if not rows.readable.any():
        folder = printable(str(listing.folder))
        raise DatasetError(f"None of the {count:,} images in {folder} is readable: {reason}")
    return {
        "images": rows.images if rows.readable.all() else rows.images[rows.readable],
        "labels": listing.labels[split][:count][rows.readable],
        "resized": int(rows.resized[rows.readable].sum()),
        "lost": rows.lost[rows.readable],
        "unreadable": unreadable,
        "reason": reason,
    }


def _in_threads(
    read: Callable[[dict[int, ImageFile]], dict[int, str]],
    files: dict[int, ImageFile],
    count: int,
    progress: Progress | None,
) -> dict[int, str]:
    """`read` for all files, in chunks. Pillow lets go of the interpreter lock while it decodes."""
    items = list(files.items())
    chunks = [dict(items[start : start + CHUNK]) for start in range(0, len(items), CHUNK)]
    problems = {}
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        for done, task in enumerate(as_completed([pool.submit(read, chunk) for chunk in chunks]), 1):
            problems.update(task.result())
            if progress:
                pictures = min(done * CHUNK, count)
                progress(pictures / count, f"Reading images: {pictures:,} of {count:,}")
    finally:
        pool.shutdown(cancel_futures=True)  # when `progress` raises to cancel, the rest is dropped
    return problems


def _decoding_notes(classes: tuple[str, ...], record: Record, size: int) -> tuple[str, ...]:
    count, cut, notes = len(record["labels"]), record["lost"][record["lost"] > 0], []
    if record["resized"]:
        notes.append(f"{record['resized']:,} of {count:,} images were resized to {size} × {size}.")
    if len(cut):
        many = int((cut > MUCH_CUT).sum())
        notes.append(
            f"{len(cut):,} of {count:,} images lost their sides to the centre crop, at most {cut.max():.0%} of the "
            f"area{f'; {many:,} of them lost more than {MUCH_CUT:.0%}' if many else ''}."
        )
    unreadable = dict(zip(classes, record["unreadable"].tolist(), strict=True))
    if total := sum(unreadable.values()):
        notes.append(
            f"{total:,} of {count + total:,} images were unreadable and left out: {name_counts(unreadable)}."
        )
    return tuple(notes)
