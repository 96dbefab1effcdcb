"""What lies in a folder of images, by names and headers alone: classes, files, and what is left out."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from resnet_lab.data.base import DatasetError, balanced_order
from resnet_lab.data.names import is_hidden, is_image_name, is_system_name, printable
from resnet_lab.data.preprocess import ImageError, read_size
from resnet_lab.data.scan import (
    Files,
    ImageFile,
    Scan,
    count_were,
    has_classes,
    has_images,
    images_in,
    name_counts,
    scan_folders,
)

TEST_FRACTION = 0.2  # where the folder itself has no test part
PARTS = {  # names of folders, in any letter case, and which part of the data they hold
    "train": "train", "training": "train",
    "test": "test", "testing": "test",
    "val": "val", "valid": "val", "validation": "val",
}  # fmt: skip


@dataclass(frozen=True)
class Listing:
    """What lies in the folder; each split is in an order whose prefixes are balanced."""

    folder: Path
    classes: tuple[str, ...]
    files: dict[str, list[ImageFile]]  # by split
    labels: dict[str, Tensor]  # by split, int64 (N,)
    notes: tuple[str, ...]


def list_folder(folder: Path) -> Listing:
    """Find the classes and files of a folder: class folders, or parts (train with test or val) that hold them.

    What counts is what torchvision's ImageFolder takes: each folder is a class, with all its sub-folders, also
    those behind links; but hidden ones (`.name`, `__MACOSX`) are not, and a folder that is reached twice in one
    class, by a link, is read once. A class with nothing that can be opened to train on is left out of both splits.

    Raises:
        DatasetError: the folder is missing or cannot be read, or fewer than two classes are left, or there are
            other classes to test with than to train on.
    """
    shown = printable(str(folder))
    try:
        try:
            is_folder = stat.S_ISDIR(os.stat(folder).st_mode)
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: no path at all
            raise DatasetError(f"There is no folder {shown}; check the path.") from error
        if not is_folder:
            raise DatasetError(f"{shown} is a file, not a folder; unpack it, or name the folder it lies in.")
        return _list(folder)
    except OSError as error:
        name = printable(os.fsdecode(error.filename or folder))
        raise DatasetError(f"{name} cannot be read ({error.strerror}); check its rights.") from error


def why_unreadable(files: Iterable[ImageFile]) -> str:
    """What is wrong with the first of the files if none can be opened, by their headers; "" if one can."""
    first = ""
    for file in files:
        try:
            read_size(Path(file.path), os.path.basename(file.path))
            return ""
        except ImageError as error:
            first = first or str(error)
    return first


def _list(folder: Path) -> Listing:
    directories = [folder / name for name in sorted(os.listdir(folder)) if os.path.isdir(folder / name)]
    parts = {part: [d for d in directories if PARTS.get(d.name.lower()) == part] for part in PARTS.values()}
    beside = [d for d in directories if d.name.lower() not in PARTS and not is_system_name(d.name)]
    test = None
    if _is_divided(parts, beside):
        train, test, notes = _read_parts(folder, parts, beside)
    else:
        scan = scan_folders([folder])
        train, notes = _require_classes(scan), list(scan.notes())
        notes += [
            f"'{path.name}' was taken for a class, as others lie beside it; if it holds the classes, name that folder."
            for path in parts["train"]
            if has_classes(path)
        ]
    unreadable = {name: reason for name, files in train.items() if (reason := why_unreadable(files))}
    notes += _require_readable(folder, train, test or {}, unreadable)
    train = {name: files for name, files in train.items() if name not in unreadable}
    if test is None:
        train, test = _divide(train)
        notes.append(
            f"{printable(str(folder))} has no labelled test part, so {TEST_FRACTION:.0%} of each class were held back "
            "for it."
        )
    return _ordered(folder, {"train": train, "test": test}, notes)


def _is_divided(parts: Mapping[str, list[Path]], beside: list[Path]) -> bool:
    """Whether the folder holds parts. A class may be called "train" or "test": then others lie beside it."""
    testing = parts["test"] + parts["val"]
    if not parts["train"] + testing:
        return False
    if not any(has_images(path) for path in beside if not is_hidden(path.name)):
        return True
    return any(map(has_classes, parts["train"])) and any(map(has_images, testing))


def _read_parts(
    folder: Path, parts: Mapping[str, list[Path]], beside: list[Path]
) -> tuple[Files, Files | None, list[str]]:
    """Training files, test files unless they have to come out of those, and notes."""
    if not parts["train"]:
        raise DatasetError(
            f"{printable(str(folder))} has a part to test with and none to train with; call that one 'train'."
        )
    scan = scan_folders(parts["train"])
    train, notes = _require_classes(scan), list(scan.notes())
    notes += Scan([folder], loose=sum(map(is_image_name, os.listdir(folder)))).notes()
    unused = {printable(path.name): count for path in beside if (count := sum(1 for _ in images_in(path)))}
    if unused:
        notes.append(
            f"{count_were(sum(unused.values()))} left out for lying beside the parts: {name_counts(unused)}."
        )
    labelled: dict[str, Scan] = {}
    for part in ("test", "val"):
        scan = scan_folders(parts[part])
        if scan.full.keys() & train.keys() or len(scan.full) > 1:
            labelled[part] = scan
        elif count := scan.loose + sum(map(len, scan.files.values())):
            notes.append(
                f"{count_were(count)} left out for lying in {scan.place} without the folders of their classes."
            )
    if not labelled:
        return train, None, notes
    scan = labelled.get("test") or labelled["val"]
    _require_same_classes(folder, set(train), set(scan.full))
    notes += scan.notes()
    if "test" not in labelled:
        notes.append(f"{scan.place} is used as the test part, as no other has the folders of the classes.")
    elif "val" in labelled:
        counts = {name: len(files) for name, files in labelled["val"].full.items()}
        notes.append(
            f"{count_were(sum(counts.values()))} left out with {labelled['val'].place}, as {scan.place} is the test "
            f"part and validation takes a share of the training images: {name_counts(counts)}."
        )
    return train, scan.full, notes


def _require_classes(scan: Scan) -> Files:
    """Files of the classes that have any. Raises DatasetError if these are fewer than two."""
    full = scan.full
    if not full:
        where = f" {count_were(scan.loose)} found, but in no class folder." if scan.loose else ""
        raise DatasetError(
            f"No images were found in {scan.place}; put them into one sub-folder for each class.{where}"
        )
    if len(full) == 1:
        raise DatasetError(
            f"{scan.place} holds images of one class only, '{next(iter(full))}'; a net needs at least two to "
            "choose from, so add a folder for another, or name that folder itself if it holds the classes."
        )
    return full


def _require_same_classes(folder: Path, train: set[str], test: set[str]) -> None:
    for extra, has, lacks in ((train - test, "train", "test"), (test - train, "test", "train")):
        if extra:
            names = ", ".join(f"'{name}'" for name in sorted(extra)[:3])
            raise DatasetError(
                f"In {printable(str(folder))}, {has} has images of {names} and {lacks} has none; give both the same "
                "classes."
            )


def _require_readable(folder: Path, train: Files, test: Files, unreadable: Mapping[str, str]) -> list[str]:
    """Notes on the classes in `unreadable` (with the reason). Raises DatasetError if fewer than two others remain."""
    if not unreadable:
        return []
    count, reason = sum(len(train[name]) for name in unreadable), next(iter(unreadable.values()))
    left = [name for name in train if name not in unreadable]
    if not left:
        raise DatasetError(f"None of the {count:,} images in {printable(str(folder))} is readable: {reason}")
    if len(left) == 1:
        raise DatasetError(
            f"{printable(str(folder))} is left with one class, '{left[0]}', and a net needs at least two: none of the "
            f"images of {name_counts({name: len(train[name]) for name in unreadable})} is readable: {reason}"
        )
    return [
        f"Class '{name}' was left out{f', and {len(test[name]):,} images to test with' if name in test else ''}: "
        f"none of its {len(train[name]):,} images to train on is readable: {reason}"
        for name, reason in unreadable.items()
    ]


def _divide(by_class: Files) -> tuple[Files, Files]:
    """Split (train, test) by a hash of the file names: adding an image moves few others."""
    train, test = {}, {}
    for name, files in by_class.items():
        if len(files) < 2:
            raise DatasetError(f"Class '{name}' has only one image; it needs two, one of them to test with.")
        ordered = sorted(files, key=lambda file: hashlib.sha256(os.fsencode(file.name)).digest())
        count = max(1, round(len(files) * TEST_FRACTION))
        test[name], train[name] = ordered[:count], ordered[count:]
    return train, test


def _ordered(folder: Path, splits: Mapping[str, Files], notes: Iterable[str]) -> Listing:
    classes = tuple(sorted(splits["train"]))
    files, labels = {}, {}
    for split, of_class in splits.items():
        every = [(file, label) for label, name in enumerate(classes) for file in of_class[name]]
        by_label = torch.tensor([label for _, label in every])
        order = balanced_order(by_label, seed=0)
        files[split], labels[split] = [every[i][0] for i in order.tolist()], by_label[order]
    return Listing(folder, classes, files, labels, tuple(notes))
