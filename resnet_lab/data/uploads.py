"""Images out of what a person uploads: single files, folders and zip archives, read in memory alone."""

from __future__ import annotations

import contextlib
import io
import itertools
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath

from resnet_lab.data.names import SUFFIXES, is_hidden, is_image_name, printable

__all__ = ["MEGABYTE", "SUFFIXES", "Limits", "Uploads", "collect"]

MEGABYTE = 10**6
LONGEST = 200  # characters of a name or a reason that is shown
KNOWN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others are unpacked without a bound
Entry = tuple[str, int, Callable[[], bytes]]  # an image's name, its bytes by the header, and how to read it


@dataclass(frozen=True)
class Limits:
    """What one upload may hold: images, bytes of one of them, bytes of all of them, unpacked."""

    images: int = 1000
    bytes_each: int = 50 * MEGABYTE
    bytes_all: int = 300 * MEGABYTE


@dataclass
class Uploads:
    """The images' names, which all differ, with their bytes; and a sentence for each thing that was left out."""

    images: list[tuple[str, bytes]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def collect(files: Iterable[tuple[str, bytes]], limits: Limits = Limits()) -> Uploads:
    """Name and content of each image in `files`, which may be archives; whether it can be read is not asked yet.

    Nothing is written to disk. Images beyond the limits, entries whose path leads out of their archive, and what
    cannot be unpacked are left out; hidden files and folders that systems put there are left out without a word.
    """
    found, taken, spent, over = Uploads(), set[str](), 0, 0
    for name, size, read in _flat(files, limits, found.problems):
        if len(found.images) == limits.images or spent + size > limits.bytes_all:
            over += 1
            continue
        spent += size  # also for what fails: a thousand bad entries cost as much work as good ones
        try:
            content = read()
        except Exception as error:
            found.problems.append(_broken(name, error))
            continue
        found.images.append((_unused(name, taken), content))
    if over:
        found.problems.append(
            f"{over:,} images were left out: at most {limits.images:,} are read at once, and "
            f"{limits.bytes_all // MEGABYTE:,} MB; upload the rest by itself."
        )
    return found


def _flat(files: Iterable[tuple[str, bytes]], limits: Limits, problems: list[str]) -> Iterator[Entry]:
    for name, data in files:
        name = _shown(name)
        try:
            if is_image_name(name) or not zipfile.is_zipfile(io.BytesIO(data)):
                yield name, len(data), partial(bytes, data)
                continue
            with zipfile.ZipFile(io.BytesIO(data)) as packed:
                yield from _unpacked(name, packed, limits, problems)
        except Exception as error:
            problems.append(_broken(name, error))


def _shown(text: str) -> str:
    """As it can be shown and sent; of what nobody reads to its end, both ends."""
    text = printable(text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}…{text[-LONGEST // 2 :]}"


def _broken(name: str, error: Exception) -> str:
    """Python's reader raises all kinds of errors for archives that are damaged, or made to do harm."""
    reason = _shown(" ".join(str(error).split())) or type(error).__name__
    return f"{name} cannot be unpacked ({reason}); pack it again as an ordinary zip file."


def _unpacked(archive: str, packed: zipfile.ZipFile, limits: Limits, problems: list[str]) -> Iterator[Entry]:
    others = 0
    for entry in packed.infolist():
        path = PurePosixPath(_real_name(entry).replace("\\", "/"))
        name = _shown(str(path))
        hidden = any(is_hidden(part) for part in path.parts if part != "..")
        if not path.parts or entry.is_dir() or hidden:
            continue
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            problems.append(f"{archive}: {name} leads out of the archive and was left out.")
        elif not is_image_name(path.name):
            others += 1
        elif entry.flag_bits & 1:
            problems.append(f"{archive} is encrypted; pack it again without a password.")
            return
        elif entry.compress_type not in KNOWN:
            problems.append(
                f"{archive}: {name} is packed in an unusual way; pack it again as an ordinary zip file."
            )
        elif entry.file_size > limits.bytes_each:
            megabytes = f"{entry.file_size / MEGABYTE:,.0f} MB, over {limits.bytes_each / MEGABYTE:,.0f}"
            problems.append(f"{archive}: {name} unpacks to {megabytes}, and was left out.")
        else:
            yield name, entry.file_size, partial(_read, packed, entry)
    if others:
        what = "1 file that is no image was" if others == 1 else f"{others:,} files that are no images were"
        problems.append(f"{archive}: {what} left out.")


def _read(packed: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """No more than the header says, which `ZipFile.read` would unpack first and cut then."""
    with packed.open(entry) as file:
        content = file.read(entry.file_size)
        if file.read(1):
            raise zipfile.BadZipFile("it is longer than its header says")
        return content


def _real_name(entry: zipfile.ZipInfo) -> str:
    """The name in UTF-8 where it was written so without the flag that says it; Python reads that as code page 437."""
    with contextlib.suppress(UnicodeError):
        if not entry.flag_bits & 0x800:
            return entry.filename.encode("cp437").decode()
    return entry.filename


def _unused(name: str, taken: set[str]) -> str:
    """`name`, or "name (2)" where there is one of that name already."""
    numbered = (f"{name} ({count})" for count in itertools.count(2))
    unused = next(free for free in itertools.chain([name], numbered) if free not in taken)
    taken.add(unused)
    return unused
