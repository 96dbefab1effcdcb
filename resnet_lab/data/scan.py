"""Images in class folders: found by name alone, with all that is passed over."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from resnet_lab.data.names import class_name, is_hidden, is_image_name, is_system_name, printable

# Labels and leftovers that lie beside images; any other file that is no image is said to be left out.
COMPANIONS = (".txt", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".md", ".ini", ".db")
MOST_CLASSES_NAMED = 20


class ImageFile(NamedTuple):
    path: str
    name: str  # with the sub-folders of its class, in one normal form: what the split goes by
    size: int  # bytes
    mtime_ns: int


Files = dict[str, list[ImageFile]]  # by class


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
            yield f"Class '{name}' was left out: {printable(str(self.folders[0]))}/{name} has no images."
        if self.loose:
            yield f"{count_were(self.loose)} left out for lying in {self.place} itself, in no class folder."
        if self.hidden:
            yield f"{count_were(self.hidden.total())} left out for hidden names: {name_counts(self.hidden)}."
        if self.others:
            kinds = ", ".join(sorted(self.suffixes))
            were = count_were(self.others.total(), "file")
            yield f"{were} left out for being of another kind ({kinds}): {name_counts(self.others)}."


def name_counts(counts: Mapping[str, int]) -> str:
    """'owls' 30, 'cats' 2: the most first."""
    named = sorted(((name, n) for name, n in counts.items() if n), key=lambda item: (-item[1], item[0]))
    text = ", ".join(f"'{name}' {count:,}" for name, count in named[:MOST_CLASSES_NAMED])
    rest = len(named) - MOST_CLASSES_NAMED
    return text + (f" and {rest:,} more classes" if rest > 0 else "")


def count_were(count: int, thing: str = "image") -> str:
    return f"1 {thing} was" if count == 1 else f"{count:,} {thing}s were"


def scan_folders(folders: list[Path]) -> Scan:
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
            elif count := sum(1 for _ in images_in(path)):
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


def images_in(folder: Path) -> Iterator[os.DirEntry[str]]:
    if not is_system_name(folder.name):
        yield from (entry for entry, _, hidden in _walk(folder) if is_image_name(entry.name) and not hidden)


def has_images(folder: Path) -> bool:
    return any(True for _ in images_in(folder))


def has_classes(folder: Path) -> bool:
    paths = [folder / name for name in os.listdir(folder) if not is_hidden(name)]
    return any(has_images(path) for path in paths if os.path.isdir(path))
