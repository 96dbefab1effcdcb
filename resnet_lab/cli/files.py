"""Files that a command is given, or writes."""

from __future__ import annotations

from pathlib import Path


def read_file(path: Path) -> bytes:
    """
    Raises:
        ValueError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({type(error).__name__})") from None


def write_file(path: Path, content: bytes, about: str = "") -> None:
    """Whole or not at all; then it tells the file's size, after what there is to say `about` it.

    Raises:
        ValueError: it cannot be written.
    """
    from resnet_lab.runs.files import write_atomically  # here, as it brings torch

    try:
        write_atomically(path, content)
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror})") from None
    print(f"{path}: {about}{len(content) / 1e6:,.1f} MB")
