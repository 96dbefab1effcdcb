"""Names of files and folders from outside: which ones are images, and how they are shown."""

import unicodedata

from PIL import Image

# What `read_image` opens. "MPO" is a JPEG with further images behind it, as many phones write them.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
SUFFIXES = tuple(sorted(s for s, kind in Image.registered_extensions().items() if kind in (*FORMATS, "MPO")))
# Left behind by macOS, Synology, Windows and ext4; never a class.
SYSTEM_FOLDERS = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}


def is_image_name(name: str) -> bool:
    """Whether the suffix, in any letter case, is one of `FORMATS`."""
    return name.lower().endswith(SUFFIXES) and not is_system_name(name)


def is_system_name(name: str) -> bool:
    """Whether a system put it there: its folders, and macOS's companion of each file, `._name`."""
    return name in SYSTEM_FOLDERS or name.startswith("._")


def is_hidden(name: str) -> bool:
    """Whether a file or folder of that name is passed over. Names that begin with `_` count as usual."""
    return name.startswith(".") or name in SYSTEM_FOLDERS


def printable(name: str) -> str:
    """The name as it can be shown, stored and sent: no control characters, no undecodable bytes, one line.

    Bytes that are not UTF-8 (Python keeps them as lone surrogates) become \\xf1 and the like.
    """
    unseen = ("Cc", "Cs", "Zl", "Zp")  # categories of Unicode
    return "".join(_escaped(c) if unicodedata.category(c) in unseen else c for c in name)


def class_name(folder: str) -> str:
    """The class that a folder stands for. macOS writes é as two characters (NFD), others as one (NFC)."""
    return printable(unicodedata.normalize("NFC", folder))


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else repr(character)[1:-1]
