"""Ways to break a file: each takes a `Random` and something valid, and gives something that may be anything."""

from __future__ import annotations

import copy
import io
import json
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Any

DEEP = 100_000  # brackets within brackets
BOMB = 600 << 20  # bytes that a deflated entry unpacks to
# JSON as text, since Python could not write some of it.
ODD_JSON = (
    "null", "true", "false", "0", "-1", "1", "1.5", "-0.5", "1e400", "-1e400", "1e-400", "NaN", "Infinity", "1e308",
    "9" * 400, "7" * 5000, "2147483648", "18446744073709551616", "[]", "{}", '""', "[[]]", "[null]", '{"a": 1}',
    '"1"', '"nan"', '"../.."', '"\\u0000"', '"\\ud800"', '"' + "x" * 300 + '"', '"' + "x" * 100_000 + '"',
    '"[a](http://b)\\n#"', "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, "[1, 2, 3, 4, 5, 6, 7, 8]",
)  # fmt: skip
ODD_BYTES = (
    b"\0" * 64, b"\xff" * 64, b"1e400", b"9" * 400, b"NaN", b"[" * 5000, b"\xed\xa0\x80", b"\n", b"\r\n\r\n", b"PK\3\4",
    b'"', b"{", b"\\ud800", b"\x80\x02", b"%00", b"-", b".", b"_",
)  # fmt: skip
ODD_NAMES = (
    "../x.png", "/x.png", "C:\\x.png", "\0.png", "x" * 5000 + ".png", ".png", "a/" * 500 + "x.png", "é.png", "x",
)  # fmt: skip


def break_bytes(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One to four changes; `others` are files from which a piece may come."""
    for _ in range(rng.randint(1, 4)):
        data = rng.choice(_BYTES)(rng, data, others)
    return data


def _flip(rng: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    broken = bytearray(data)
    for _flip in range(rng.choice((1, 2, 16)) if data else 0):
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
    return bytes(broken)


def _cut(rng: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: rng.randint(0, len(data))]


def _leave_out(rng: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    begin, end = _span(rng, data)
    return data[:begin] + data[end:]


def _splice(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others)
    begin, end = _span(rng, other)
    place, rest = _span(rng, data)
    return data[:place] + other[begin:end] + data[rest:]


def _swap(rng: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    a, b, c, d = sorted(rng.randint(0, len(data)) for _place in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _insert(rng: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    place = rng.randint(0, len(data))
    return data[:place] + rng.choice(ODD_BYTES) + data[place:]


def _number(rng: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """An extreme number where one of 1, 2, 4 or 8 bytes may be."""
    size = rng.choice((1, 2, 4, 8))
    value = rng.choice((0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1))
    place = rng.randint(0, max(len(data) - size, 0))
    return data[:place] + value.to_bytes(size, rng.choice(("little", "big"))) + data[place + size :]


def _span(rng: Random, data: bytes) -> tuple[int, int]:
    a, b = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
    return a, b


_BYTES = (_flip, _cut, _leave_out, _splice, _swap, _insert, _number)


def break_png(rng: Random, png: bytes, others: Sequence[bytes]) -> bytes:
    """One chunk broken under a checksum that fits, twice or not at all; or all of them in another order."""
    chunks, place = [], 8
    while place + 12 <= len(png):
        end = place + 8 + struct.unpack(">I", png[place : place + 4])[0]
        chunks.append(png[place + 4 : end])  # kind and content
        place = end + 4
    number = rng.randrange(len(chunks))
    kind, content = chunks[number][:4], chunks[number][4:]
    match rng.randrange(4):
        case 0:
            chunks.insert(number, chunks[number])
        case 1:
            del chunks[number]
        case 2:
            rng.shuffle(chunks)
        case _:
            chunks[number] = kind + break_bytes(rng, content, others)
    return png[:8] + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


def break_tree(rng: Random, tree: Any, odd: Callable[[Random], Any]) -> Any:
    """A copy of dicts and lists within each other, with one to three values odd, gone, twice or elsewhere."""
    tree = {"root": copy.deepcopy(tree)}
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(tree))
        where, key = rng.choice(places)
        match rng.randrange(6):
            case 0:
                del where[key]
            case 1 if isinstance(where, list):
                where.insert(key, copy.deepcopy(where[key]))
            case 2 if isinstance(where, dict):
                where[f"{key}x" if isinstance(key, str) else 1] = where.pop(key)
            case 3:
                other, its = rng.choice(places)
                if its in other if isinstance(other, dict) else its < len(other):
                    where[key] = copy.deepcopy(other[its])
            case _:
                where[key] = odd(rng)
        tree.setdefault("root", odd(rng))
    return tree["root"]


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in which a value lies; no deeper than a person would go."""
    found, open_ = [], [tree]
    while open_:
        container = open_.pop()
        keys = list(container) if isinstance(container, dict) else range(len(container))
        found += [(container, key) for key in keys]
        open_ += [container[key] for key in keys if isinstance(container[key], dict | list)]
    return found


def break_json(rng: Random, text: str) -> str:
    """JSON whose values are not what they were."""
    marks: dict[str, str] = {}

    def odd(rng: Random) -> str:
        mark = f"odd value {len(marks)} of this text"
        marks[mark] = rng.choice(ODD_JSON)
        return mark

    broken = json.dumps(break_tree(rng, json.loads(text), odd))
    for mark, value in marks.items():
        broken = broken.replace(f'"{mark}"', value)
    return broken


def break_zip(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """An archive whose entries, or what its directory says of them, are not what they were."""
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        entries = [(entry.filename, packed.read(entry)) for entry in packed.infolist()]
    place = rng.randrange(len(entries))
    name, content = entries[place]
    match rng.randrange(8):
        case 0:
            entries[place] = (rng.choice(ODD_NAMES), content)
        case 1:
            entries.append(entries[place])
        case 2:
            del entries[place]
        case 3:
            entries[place] = (name, rng.choice(others))
        case 4:
            return _patched(rng, data)
        case 5 if rng.random() < 0.1:
            return _bomb(name)
        case _:
            entries[place] = (name, break_bytes(rng, content, others))
    packed_again = io.BytesIO()
    kind = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    quiet = warnings.catch_warnings(action="ignore")  # of a name that comes twice
    with quiet, zipfile.ZipFile(packed_again, "w", kind) as packed:
        for name, content in entries:
            packed.writestr(zipfile.ZipInfo(name), content, kind)
    return packed_again.getvalue()


def _patched(rng: Random, data: bytes) -> bytes:
    """One field of a header says something else: sizes, method, flags, offsets, the number of entries."""
    header, fields = rng.choice(((b"PK\3\4", 30), (b"PK\1\2", 46), (b"PK\5\6", 22)))
    places = [i for i in range(len(data) - 3) if data[i : i + 4] == header]
    place = rng.choice(places or [0]) + rng.randrange(4, fields, 2)
    size = rng.choice((2, 4))
    value = rng.choice((0, 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1, rng.randrange(2**16)))
    return data[:place] + value.to_bytes(size, "little") + data[place + size :]


@cache
def _bomb(name: str) -> bytes:
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w") as entry,
    ):
        for _ in range(BOMB >> 20):
            entry.write(bytes(1 << 20))
    return packed.getvalue()
