"""Pickles read as data: nothing that a file names is imported or called.

`torch.load(weights_only=True)` keeps code out, yet a small file can still ask it for gigabytes, or for a hash that
takes minutes. Here every opcode costs no more than the bytes it was written with (docs/decisions/weights-files.md).
"""

from __future__ import annotations

import pickletools
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

MAX_PICKLE = 32 << 20  # bytes; resnet1202 with AdamW's state takes 1.8 MB
FEW_OPCODES = 1_000_000  # that any pickle may have
OPCODE_BYTES = 20  # of its file, for each opcode more
MAX_BITS = 1024  # of a whole number
MAX_DEPTH = 100
MAX_SHORT = 1024  # characters, or arguments, of what may be copied each time that it is referred to


class DamagedError(ValueError):
    """What a file holds contradicts itself or goes beyond a bound; the message ends a sentence on the file."""


@dataclass(frozen=True)
class Foreign:
    """Something in a pickle that is no plain data: only its name is kept, e.g. argparse.Namespace."""

    name: str


def read_pickle(stream: BinaryIO, size: int, makers: Makers, persistent: Callable[[Any], Any]) -> Any:
    """The object that starts at the stream's position, which is then behind it.

    Dicts, lists, tuples, text, bytes, numbers, NumPy's scalars (as Python numbers) and what `makers` make become what
    they were; every other object becomes `Foreign`, whatever it would have done.

    Args:
        stream: all in memory.
        size: of the whole file in bytes.
        makers: by qualified name, functions that take the arguments in the file.
        persistent: takes a persistent id.

    Raises:
        DamagedError, ValueError, LookupError, TypeError, struct.error: it is no pickle, or is damaged.
    """
    reader = _Reader(_MAKERS | makers, persistent)
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if count > FEW_OPCODES + size // OPCODE_BYTES:
            raise DamagedError("its pickle is too long")
        if opcode.name not in _OPCODES:
            raise DamagedError(f"its pickle has the opcode {opcode.name}")
        _OPCODES[opcode.name](reader, argument)
    _measure(result := reader.stack.pop(), 0, {})
    return result


def children(node: Any) -> Any:
    """What a container holds, or nothing."""
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list | tuple) else ()


class _Reader:
    """The stack machine of the pickle format (CPython's pickletools.py describes each opcode)."""

    def __init__(self, makers: Makers, persistent: Callable[[Any], Any]) -> None:
        self.makers, self.persistent = makers, persistent
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stacks below each open mark
        self.memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        if type(value) is int and value.bit_length() > MAX_BITS:
            raise DamagedError("it has a number beyond all bounds")
        self.stack.append(value)

    def put(self, key: int | None) -> None:
        self.memo[len(self.memo) if key is None else key] = self.stack[-1]

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def to_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def take(self, count: int) -> list[Any]:
        return [self.stack.pop() for _ in range(count)][::-1]

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Foreign):
            raise DamagedError("it appends to something that is no list")

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            target.update(_pairs(items))
        elif not isinstance(target, Foreign):
            raise DamagedError("it sets items of something that is no dict")

    def call(self, function: Any, arguments: Any) -> None:
        if not isinstance(function, Foreign):
            raise DamagedError("it calls something that is no function")
        maker = self.makers.get(function.name)
        known = maker and isinstance(arguments, tuple) and len(arguments) <= MAX_SHORT
        made = maker(*arguments) if maker and known else None
        self.stack.append(function if made is None else made)

    def name_only(self, name: str) -> None:
        self.to_mark()
        self.push(Foreign(name))

    def instance(self) -> None:
        """A class and the arguments for it, as old pickles write them."""
        function, *arguments = self.to_mark()
        self.call(function, tuple(arguments))


Makers = dict[str, Callable[..., Any]]
_PUSHED = (
    "INT LONG LONG1 LONG4 BININT BININT1 BININT2 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE "
    "SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8"
)
_OPCODES: dict[str, Callable[[_Reader, Any], object]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda r, _: None),
    **dict.fromkeys(_PUSHED.split(), _Reader.push),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Reader.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda r, key: r.push(r.memo[key])),
    "NONE": lambda r, _: r.push(None),
    "NEWTRUE": lambda r, _: r.push(True),
    "NEWFALSE": lambda r, _: r.push(False),
    "MARK": lambda r, _: r.mark(),
    "POP": lambda r, _: r.stack.pop() if r.stack else r.to_mark(),
    "POP_MARK": lambda r, _: r.to_mark(),
    "DUP": lambda r, _: r.push(r.stack[-1]),
    "EMPTY_LIST": lambda r, _: r.push([]),
    "EMPTY_TUPLE": lambda r, _: r.push(()),
    "EMPTY_DICT": lambda r, _: r.push({}),
    "EMPTY_SET": lambda r, _: r.push(Foreign("builtins.set")),
    "LIST": lambda r, _: r.push(r.to_mark()),
    "TUPLE": lambda r, _: r.push(tuple(r.to_mark())),
    "DICT": lambda r, _: r.push(_pairs(r.to_mark())),
    "FROZENSET": lambda r, _: r.name_only("builtins.frozenset"),
    "TUPLE1": lambda r, _: r.push(tuple(r.take(1))),
    "TUPLE2": lambda r, _: r.push(tuple(r.take(2))),
    "TUPLE3": lambda r, _: r.push(tuple(r.take(3))),
    "APPEND": lambda r, _: r.append(r.take(1)),
    "APPENDS": lambda r, _: r.append(r.to_mark()),
    "ADDITEMS": lambda r, _: r.append(r.to_mark()),
    "SETITEM": lambda r, _: r.set_items(r.take(2)),
    "SETITEMS": lambda r, _: r.set_items(r.to_mark()),
    "GLOBAL": lambda r, name: r.push(Foreign(name.replace(" ", "."))),
    "STACK_GLOBAL": lambda r, _: r.push(_named(*r.take(2))),
    "REDUCE": lambda r, _: r.call(*r.take(2)),
    "NEWOBJ": lambda r, _: r.call(*r.take(2)),
    "NEWOBJ_EX": lambda r, _: r.call(*r.take(3)[:2]),
    "OBJ": lambda r, _: r.instance(),
    "INST": lambda r, name: r.name_only(name.replace(" ", ".")),
    "BUILD": lambda r, _: r.stack.pop(),  # attributes: a state dict's _metadata, or those of a foreign object
    "BINPERSID": lambda r, _: r.push(r.persistent(r.stack.pop())),
}


def _pairs(items: list[Any]) -> dict[Any, Any]:
    """A dict of keys and values in turn; one left over is a damage that the next check finds."""
    return {_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def _key(key: Any) -> Hashable:
    """Only keys that are hashed in no time and cannot be made to collide; others become `Foreign`."""
    if type(key) in (str, bytes, bool, type(None), Foreign) or (type(key) is int and abs(key) < 1 << 60):
        return key
    return Foreign(type(key).__name__)


def _measure(node: Any, depth: int, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Size and height of a container when it is written out in full; each is visited once.

    Raises:
        DamagedError: they go beyond the bounds: lists of lists of the same list grow without end.
    """
    size = height = 0
    if depth <= MAX_DEPTH and id(node) not in known:
        for item in children(node):
            size += 1 + (len(item) if isinstance(item, str | bytes) else 0)
            if isinstance(item, dict | list | tuple) and item:
                inner = _measure(item, depth + 1, known)
                size, height = size + inner[0], max(height, inner[1] + 1)
        known[id(node)] = size, height
    size, height = known.get(id(node), (0, 0))
    if size > MAX_PICKLE or depth + height > MAX_DEPTH:
        raise DamagedError("its lists are nested beyond all bounds")
    return size, height


def _named(module: str, name: str) -> Foreign:
    if len(module) + len(name) > MAX_SHORT:
        raise DamagedError("it names an object at endless length")
    return Foreign(f"{module}.{name}")


def _dict(pairs: Any = None) -> dict[Any, Any]:
    """An OrderedDict. Python 2 wrote its pairs as a list; they are moved, so that a list cannot fill many dicts."""
    if pairs is None:
        return {}
    result = {_key(key): value for key, value in pairs}
    pairs.clear()
    return result


def _encoded(text: str, encoding: str = "") -> bytes | None:
    """Bytes, as protocol 2 writes them; other codecs could take quadratic time."""
    return text.encode("latin1") if encoding == "latin1" and len(text) <= MAX_SHORT else None


def _dtype(code: Any, *_: Any) -> Any:
    simple = isinstance(code, str) and re.fullmatch("[fiu][1248]|b1", code)
    return np.dtype(code) if simple else None


def _scalar(dtype: Any, data: Any = b"") -> Any:
    return np.frombuffer(data, dtype)[0].item() if isinstance(dtype, np.dtype) else None


_MAKERS: Makers = {
    "collections.OrderedDict": _dict,
    "collections.defaultdict": lambda *_: {},
    "_codecs.encode": _encoded,
    "numpy.dtype": _dtype,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
}
