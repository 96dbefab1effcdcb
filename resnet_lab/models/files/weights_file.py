"""What is in a weights file, whoever wrote it: named by its content, read without running code, bounded by its size."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

import torch
from safetensors import safe_open
from torch import Tensor

from resnet_lab.models.files.pickles import MAX_PICKLE, DamagedError, Foreign, children
from resnet_lab.models.files.tensor_pool import TensorPool

MAX_DIRECTORY = 8 << 20  # bytes of a zip's table of contents; resnet1202 with AdamW's state takes 1.5 MB
MAX_PATH = 200  # characters
CHUNK = 1 << 20
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of torch.save's format before 1.6
ADVICE = "save model.state_dict() instead"
OF_TORCH = "choose weights that torch.save or safetensors wrote"
KINDS = {  # how files begin that are taken for weights, as patterns
    rb"\x89HDF": f"an HDF5 file, as Keras writes it; {OF_TORCH}",
    rb"\x08[\x01-\x1f][\x12\x1a\x22\x3a\x42]": f"an ONNX graph; {OF_TORCH}",
    rb"GGUF": f"a GGUF file; {OF_TORCH}",
    rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!|.{257}ustar": "an archive; unpack it first",
    rb"version https://git-lfs": "a Git LFS pointer, not the file itself; fetch that with git lfs pull",
    rb"\s*<": "a web page or XML, not the file itself; download it again",
    rb"\s*[{\[]": f"JSON text; {OF_TORCH}",
}
ZIPS = {  # by the end of an entry's name
    "constants.pkl": "a TorchScript archive",
    ".weights.h5": "a Keras archive",
    ".npy": "a NumPy archive (.npz)",
    "archive_format": "a program of torch.export",
}
FOREIGN_TENSORS = {
    "_rebuild_sparse_tensor": "a sparse tensor",
    "_rebuild_qtensor": "a quantised tensor",
    "_rebuild_nested_tensor": "a nested tensor",
    "_rebuild_meta_tensor_no_storage": "a tensor without values (meta)",
    "_reconstruct": "a NumPy array",
}


class WeightsError(ValueError):
    """A weights file that cannot be used; the message is one sentence that names the file and the reason."""


def read_weights(path: Path, check: Callable[[Any], object] | None = None) -> Any:
    """The content of a weights file on the CPU: dicts, lists, numbers and text, with tensors in them.

    Other Python objects beside the tensors are not made; `Foreign` stands in their place. Memory and time are bounded
    by the file's size: no tensor is larger than its data, and all together claim at most twice the file.

    Args:
        check: gets the content before the values are read, when tensors have shapes and dtypes alone, and raises
            where these do not fit.

    Raises:
        WeightsError: the file is missing, cut short, damaged, or something else than weights.
    """
    with contextlib.ExitStack() as stack:
        with _in_one_sentence(path.name):
            if not path.is_file():
                raise WeightsError(f"{path.name} is not there; choose an existing weights file.")
            if path.stat().st_size == 0:
                raise WeightsError(f"{path.name} is empty; save or download it again.")
            file = stack.enter_context(_BoundedFile(path))
            content, fill = _open(file, path)
        if refused := _foreign_alone(content):
            raise WeightsError(f"{path.name} {foreign_reason(refused)}.")
        if check:
            check(content)
        with _in_one_sentence(path.name):
            fill()
    return content


def read_metadata(path: Path) -> dict[str, str]:
    """The texts in the header of a safetensors file; nothing for other files.

    Raises:
        WeightsError: the file cannot be read, or its header is damaged.
    """
    with _in_one_sentence(path.name), _BoundedFile(path) as file:
        if not _is_safetensors(file.read(9), path.stat().st_size):
            return {}
        with safe_open(path, "pt") as header:
            return header.metadata() or {}


def mappings(content: Any) -> Iterator[tuple[str, dict[Any, Any]]]:
    """Every dict in the content once, outer ones first, each with its path ("model.state_dict.", "" for the whole)."""
    todo, seen = deque([("", content)]), set()
    while todo:
        path, node = todo.popleft()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, dict):
            yield path, node
        inside = node.items() if isinstance(node, dict) else enumerate(children(node))
        nested = [(key, value) for key, value in inside if isinstance(value, dict | list | tuple) and value]
        todo += [(f"{path}{str(key)[:MAX_PATH]}."[:MAX_PATH], value) for key, value in nested]


def foreign_reason(value: Foreign) -> str:
    """Why this object cannot be weights, as the end of a sentence on the file."""
    if kind := FOREIGN_TENSORS.get(value.name.rpartition(".")[2]):
        return f"has {kind} where a plain one belongs; {ADVICE}"
    return f"holds Python objects besides tensors ({value.name:.80}), which could run code, and is refused; {ADVICE}"


def _foreign_alone(content: Any) -> Foreign | None:
    """A foreign object of a file that has no named tensor besides."""
    if isinstance(content, Foreign):
        return content
    held = [item for _, mapping in mappings(content) for item in mapping.items()]
    if any(isinstance(key, str) and isinstance(value, Tensor) for key, value in held):
        return None
    return next((value for _, value in held if isinstance(value, Foreign)), None)


Opened = tuple[Any, Callable[[], None]]  # the content, and what reads the values of its tensors


def _open(file: BinaryIO, path: Path) -> Opened:
    head, pool = file.read(512), TensorPool(path.stat().st_size)
    file.seek(0)
    if _is_safetensors(head, pool.size):
        return _open_safetensors(path)
    if head.startswith(b"PK\x03\x04"):
        return _open_zip(file, pool, path.name)
    if head.startswith(b"\x80"):  # a pickle of protocol 2 or later
        return _open_legacy(file, pool, path.name)
    for magic, kind in KINDS.items():
        if re.match(magic, head, re.DOTALL):
            raise WeightsError(f"{path.name} is {kind}.")
    raise WeightsError(f"{path.name} is cut short or is no weights file; save or download it again.")


def _is_safetensors(head: bytes, size: int) -> bool:
    """Eight bytes that say how long the JSON behind them is."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= min(size - 8, MAX_DIRECTORY)


def _open_safetensors(path: Path) -> Opened:
    mapped = safe_open(path, "pt")
    lazy = {name: mapped.get_tensor(name) for name in mapped.keys()}  # noqa: SIM118
    content = {name: torch.empty_like(tensor) for name, tensor in lazy.items()}

    def fill() -> None:  # a copy: a mapped file that is cut later would end the process
        for name, tensor in content.items():
            tensor.copy_(lazy[name])

    return content, fill


def _open_zip(file: BinaryIO, pool: TensorPool, name: str) -> Opened:
    """The format of torch.save since 1.6: a pickle, and an uncompressed entry for each storage."""
    archive = zipfile.ZipFile(file)
    entries = {info.filename: info for info in archive.infolist()}
    for end, kind in ZIPS.items():
        if any(entry.endswith(end) for entry in entries):
            raise WeightsError(f"{name} is {kind}; {ADVICE}.")
    roots = [entry.removesuffix("data.pkl") for entry in entries if re.fullmatch("[^/]+/data.pkl", entry)]
    if not roots:
        raise WeightsError(f"{name} is a zip of other things than weights; {ADVICE}.")
    root = roots[0]
    if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
        raise DamagedError("its zip is compressed, as torch.save never does")
    if sum(info.file_size for info in archive.infolist()) > pool.size:
        raise DamagedError("its zip claims more than the file holds")
    if entries[f"{root}data.pkl"].file_size > MAX_PICKLE:
        raise DamagedError("its pickle is too long")
    if f"{root}byteorder" in entries:
        _check_order(archive.read(f"{root}byteorder") == b"little")
    with archive.open(f"{root}data.pkl") as source:
        content = pool.unpickle(io.BytesIO(b"".join(iter(lambda: source.read(CHUNK), b""))))

    def fill() -> None:
        for key, storage in pool.storages.items():
            entry = f"{root}data/{key}"
            if entries[entry].file_size != len(storage.memory):
                raise DamagedError("a tensor's data have another size than it says")
            with archive.open(entry) as source:
                _fill(storage.memory, source)

    return content, fill


def _open_legacy(file: BinaryIO, pool: TensorPool, name: str) -> Opened:
    """The format of torch.save before 1.6: five pickles, then the storages, each behind its length."""
    stream = io.BytesIO(b"".join(file.read(CHUNK) for _ in range(MAX_PICKLE // CHUNK)))
    first = pool.unpickle(stream)
    if isinstance(first, Foreign):
        raise WeightsError(f"{name} {foreign_reason(first)}.")
    if first != MAGIC or pool.unpickle(stream) != PROTOCOL:
        raise WeightsError(f"{name} is a pickle, but no weights file that torch.save wrote; {ADVICE}.")
    _check_order(pool.unpickle(stream)["little_endian"])
    content, keys = pool.unpickle(stream), pool.unpickle(stream)
    if sorted(keys) != sorted(pool.storages):
        raise DamagedError("its tensors and its data do not go together")

    def fill() -> None:
        file.seek(stream.tell())
        for key in keys:
            storage = pool.storages[key]
            if int.from_bytes(file.read(8), "little") * storage.dtype.itemsize != len(storage.memory):
                raise DamagedError("a tensor's data have another size than it says")
            _fill(storage.memory, file)

    return content, fill


class _BoundedFile(io.FileIO):
    """Reads are small and positions in the file, whatever its bytes say (zipfile reads a table of contents at once)."""

    def seek(self, position: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_SET and position < 0:
            raise DamagedError("a part of it begins before its start")
        return super().seek(position, whence)

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            size = MAX_DIRECTORY
        if size > MAX_DIRECTORY:
            raise DamagedError("its table of contents is too long")
        return super().read(size) or b""


def _fill(memory: Tensor, source: IO[bytes]) -> None:
    left = memoryview(memory.numpy())
    while left:
        if not (chunk := source.read(min(CHUNK, len(left)))):
            raise DamagedError("its data end early")
        left[: len(chunk)] = chunk
        left = left[len(chunk) :]


def _check_order(little: bool) -> None:
    if little != (sys.byteorder == "little"):
        raise DamagedError("it was saved on a machine with another byte order")


@contextlib.contextmanager
def _in_one_sentence(name: str) -> Iterator[None]:
    try:
        yield
    except WeightsError:
        raise
    except OSError as error:
        raise WeightsError(f"{name} cannot be read: {error.strerror or error}.") from None
    except DamagedError as error:
        raise WeightsError(f"{name} is cut short or damaged: {error}; save or download it again.") from None
    except Exception as error:  # zipfile, pickletools, safetensors and torch raise anything on damaged bytes
        raise WeightsError(
            f"{name} is cut short or is no weights file ({type(error).__name__}); save or download it again."
        ) from None
