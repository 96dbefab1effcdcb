"""What lies in a folder of images, by names and headers alone: classes, files, and what is left out."""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from resnet_lab.data.base import DatasetError, balanced_order
from resnet_lab.data.names import class_name, is_hidden, is_image_name, is_system_name, printable
from resnet_lab.data.preprocess import ImageError, read_size

TEST_FRACTION = 0.2  # where the folder itself has no test part
PARTS = {  # names of folders, in any letter case, and which part of the data they hold
    "train": "train", "training": "train",
    "test": "test", "testing": "test",
    "val": "val", "valid": "val", "validation": "val",
}  # fmt: skip
# Labels and leftovers that lie beside images; any other file that is no image is said to be left out.
COMPANIONS = (".txt", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".md", ".ini", ".db")
MOST_CLASSES_NAMED = 20


class ImageFile(NamedTuple):
    path: str
    name: str  # with the sub-folders of its class, in one normal form: what the split goes by
    size: int  # bytes
    mtime_ns: int


Files = dict[str, list[ImageFile]]  # by class


@dataclass(frozen=True)
class Listing:
    """What lies in the folder; each split is in an order whose prefixes are balanced."""

    folder: Path
    classes: tuple[str, ...]
    files: dict[str, list[ImageFile]]  # by split
    labels: dict[str, Tensor]  # by split, int64 (N,)
    notes: tuple[str, ...]


@dataclass
class Scan:
    """The class folders in `folders`, which are read as one, and what was passed over in them."""

    folders: list[Path]
    files: Files = field(default_factory=dict)  # of a class without images: []
    loose: int = 0  # images in no class folder
    hidden: Counter[str] = field(default_factory=Counter)  # images, by class or hidden folder
    others: Counter[str] = field(default_factory=Counter)  # files of other kinds, by class
    suffixes: set[str] = field(default_factory=set)  # of those

    @property
    def place(self) -> str:
        return " and ".join(printable(str(folder)) for folder in self.folders)

    @property
    def full(self) -> Files:
        return {name: files for name, files in self.files.items() if files}

    def notes(self) -> Iterator[str]:
        for name in sorted(self.files.keys() - self.full.keys()):
            yield f"Class '{name}' was left out: {printable(str(self.folders[0]))}/{name} has no pictures."
        if self.loose:
            yield f"{_were(self.loose)} left out for lying in {self.place} itself, in no class folder."
        if self.hidden:
            yield f"{_were(self.hidden.total())} left out for hidden names: {name_counts(self.hidden)}."
        if self.others:
            kinds = ", ".join(sorted(self.suffixes))
            were = _were(self.others.total(), "file")
            yield f"{were} left out for being of another kind ({kinds}): {name_counts(self.others)}."


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
        is_folder = stat.S_ISDIR(os.stat(folder).st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: no path at all
        raise DatasetError(f"There is no folder {shown}; check the path.") from error
    except OSError as error:
        raise _unreadable(folder, error) from error
    if not is_folder:
        raise DatasetError(f"{shown} is a file, not a folder; unpack it, or name the folder it lies in.")
    try:
        return _list(folder)
    except OSError as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: OSError) -> DatasetError:
    name = printable(os.fsdecode(error.filename or folder))
    return DatasetError(f"{name} cannot be read ({error.strerror}); check its rights.")


def why_unreadable(files: Iterable[ImageFile]) -> str:
    """What is wrong with the first of the files if none can be opened, by their headers; "" if one can."""
    first = ""
    for file in files:
        try:
            read_size(Path(file.path), os.path.basename(file.path))
        except ImageError as error:
            first = first or str(error)
        else:
            return ""
    return first


def name_counts(counts: Mapping[str, int]) -> str:
    """'owls' 30, 'cats' 2: the most first."""
    named = sorted(((name, n) for name, n in counts.items() if n), key=lambda item: (-item[1], item[0]))
    text = ", ".join(f"'{name}' {count:,}" for name, count in named[:MOST_CLASSES_NAMED])
    rest = len(named) - MOST_CLASSES_NAMED
    return text + (f" and {rest:,} more classes" if rest > 0 else "")


def _were(count: int, thing: str = "picture") -> str:
    return f"1 {thing} was" if count == 1 else f"{count:,} {thing}s were"


def _list(folder: Path) -> Listing:
    directories = [folder / name for name in sorted(os.listdir(folder)) if os.path.isdir(folder / name)]
    parts = {part: [d for d in directories if PARTS.get(d.name.lower()) == part] for part in PARTS.values()}
    beside = [d for d in directories if d.name.lower() not in PARTS and not is_system_name(d.name)]
    test = None
    if _is_divided(parts, beside):
        train, test, notes = _read_parts(folder, parts, beside)
    else:
        scan = _scan([folder])
        train, notes = _require_classes(scan), list(scan.notes())
        notes += [
            f"'{path.name}' was taken for a class, as others lie beside it; if it holds the classes, name that folder."
            for path in parts["train"]
            if _has_classes(path)
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
    if not any(_has_images(path) for path in beside if not is_hidden(path.name)):
        return True
    return any(map(_has_classes, parts["train"])) and any(map(_has_images, testing))


def _read_parts(
    folder: Path, parts: Mapping[str, list[Path]], beside: list[Path]
) -> tuple[Files, Files | None, list[str]]:
    """Training files, test files unless they have to come out of those, and notes."""
    if not parts["train"]:
        raise DatasetError(
            f"{printable(str(folder))} has a part to test with and none to train with; call that one 'train'."
        )
    scan = _scan(parts["train"])
    train, notes = _require_classes(scan), list(scan.notes())
    notes += Scan([folder], loose=sum(map(is_image_name, os.listdir(folder)))).notes()
    unused = {printable(path.name): count for path in beside if (count := sum(1 for _ in _images(path)))}
    if unused:
        notes.append(f"{_were(sum(unused.values()))} left out for lying beside the parts: {name_counts(unused)}.")
    labelled: dict[str, Scan] = {}
    for part in ("test", "val"):
        scan = _scan(parts[part])
        if scan.full.keys() & train.keys() or len(scan.full) > 1:
            labelled[part] = scan
        elif count := scan.loose + sum(map(len, scan.files.values())):
            notes.append(f"{_were(count)} left out for lying in {scan.place} without the folders of their classes.")
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
            f"{_were(sum(counts.values()))} left out with {labelled['val'].place}, as {scan.place} is the test part and "
            f"validation takes a share of the training pictures: {name_counts(counts)}."
        )
    return train, scan.full, notes


def _scan(folders: list[Path]) -> Scan:
    scan = Scan(folders)
    for folder in folders:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
        for name in names:
            path = folder / name
            if not os.path.isdir(path):
                scan.loose += is_image_name(name)
            elif not is_hidden(name):
                _scan_class(scan, class_name(name), path)
            elif count := sum(1 for _ in _images(path)):
                scan.hidden[printable(name)] += count
    return scan


def _scan_class(scan: Scan, name: str, path: Path) -> None:
    files = scan.files.setdefault(name, [])
    for entry, within, hidden in _walk(path):
        if not is_image_name(entry.name):
            if not hidden and not entry.name.lower().endswith(COMPANIONS):
                scan.others[name] += 1
                scan.suffixes.add(printable(os.path.splitext(entry.name)[1].lower()) or "no suffix")
        elif hidden:
            scan.hidden[name] += 1
        else:
            try:
                status = entry.stat()
            except OSError:  # a link that leads nowhere; decoding will count it among the unreadable
                status = entry.stat(follow_symlinks=False)
            files.append(ImageFile(entry.path, within, status.st_size, status.st_mtime_ns))
    files.sort(key=lambda file: file.name)


def _walk(top: Path) -> Iterator[tuple[os.DirEntry[str], str, bool]]:
    """All files below `top`: their entry, path from there (NFC, with slashes), and whether that is hidden."""
    waiting, seen = [(os.fspath(top), "", False)], set()
    while waiting:
        path, within, hidden = waiting.pop()
        status = os.stat(path)
        if (status.st_dev, status.st_ino) in seen:  # by a link
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                name = unicodedata.normalize("NFC", entry.name)
                if not _is_directory(entry):
                    yield entry, within + name, hidden or is_hidden(name)
                elif not is_system_name(name):
                    waiting.append((entry.path, f"{within}{name}/", hidden or is_hidden(name)))


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _images(folder: Path) -> Iterator[os.DirEntry[str]]:
    if not is_system_name(folder.name):
        yield from (entry for entry, _, hidden in _walk(folder) if is_image_name(entry.name) and not hidden)


def _has_images(folder: Path) -> bool:
    return any(True for _ in _images(folder))


def _has_classes(folder: Path) -> bool:
    paths = [folder / name for name in os.listdir(folder) if not is_hidden(name)]
    return any(_has_images(path) for path in paths if os.path.isdir(path))


def _require_classes(scan: Scan) -> Files:
    """Files of the classes that have any. Raises DatasetError if these are fewer than two."""
    full = scan.full
    if not full:
        where = f" {_were(scan.loose)} found, but in no class folder." if scan.loose else ""
        raise DatasetError(
            f"No pictures were found in {scan.place}; put them into one sub-folder for each class.{where}"
        )
    if len(full) == 1:
        raise DatasetError(
            f"{scan.place} holds pictures of one class only, '{next(iter(full))}'; a net needs at least two to "
            "choose from, so add a folder for another, or name that folder itself if it holds the classes."
        )
    return full


def _require_same_classes(folder: Path, train: set[str], test: set[str]) -> None:
    for extra, has, lacks in ((train - test, "train", "test"), (test - train, "test", "train")):
        if extra:
            names = ", ".join(f"'{name}'" for name in sorted(extra)[:3])
            raise DatasetError(
                f"In {printable(str(folder))}, {has} has pictures of {names} and {lacks} has none; give both the same "
                "classes."
            )


def _require_readable(folder: Path, train: Files, test: Files, unreadable: Mapping[str, str]) -> list[str]:
    """Notes on the classes in `unreadable` (with the reason). Raises DatasetError if fewer than two others remain."""
    if not unreadable:
        return []
    count, reason = sum(len(train[name]) for name in unreadable), next(iter(unreadable.values()))
    left = [name for name in train if name not in unreadable]
    if not left:
        raise DatasetError(f"None of the {count:,} pictures in {printable(str(folder))} is readable: {reason}")
    if len(left) == 1:
        raise DatasetError(
            f"{printable(str(folder))} is left with one class, '{left[0]}', and a net needs at least two: none of the "
            f"pictures of {name_counts({name: len(train[name]) for name in unreadable})} is readable: {reason}"
        )
    return [
        f"Class '{name}' was left out{f', and {len(test[name]):,} pictures to test with' if name in test else ''}: "
        f"none of its {len(train[name]):,} pictures to train on is readable: {reason}"
        for name, reason in unreadable.items()
    ]


def _divide(by_class: Files) -> tuple[Files, Files]:
    """Split (train, test) by a hash of the file names: adding a picture moves few others."""
    train, test = {}, {}
    for name, files in by_class.items():
        if len(files) < 2:
            raise DatasetError(
                f"Class '{name}' has only one picture; it needs two, one of them to test with."
            )
        ordered = sorted(files, key=lambda file: hashlib.sha256(os.fsencode(file.name)).digest())
        count = max(1, round(len(files) * TEST_FRACTION))
        test[name], train[name] = ordered[:count], ordered[count:]
    return train, test


def _ordered(folder: Path, splits: Mapping[str, Files], notes: Iterable[str]) -> Listing:
    classes = tuple(sorted(splits["train"]))
    files, labels = {}, {}
    for split, of_class in splits.items():
        every = [file for name in classes for file in of_class[name]]
        counts = torch.tensor([len(of_class[name]) for name in classes])
        by_label = torch.arange(len(classes)).repeat_interleave(counts)
        order = balanced_order(by_label, seed=0)
        files[split], labels[split] = [every[i] for i in order.tolist()], by_label[order]
    return Listing(folder, classes, files, labels, tuple(notes))
