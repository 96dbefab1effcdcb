"""`lr > 0.05 test >= 90 tag = homework shapes`: a line of words and comparisons → which runs are meant."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any

Values = Mapping[str, Any]
Filter = Callable[[Values], bool]
TOKEN = re.compile(r'"([^"]*)"?|(<=|>=|!=|[=<>])|([^\s"=<>!]+|!)')
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}
ALIASES = {"tag": "tags", "data": "dataset", "status": "state"}
MOMENT = re.compile(r"\d{4}(-\d\d(-\d\d([ T]\d\d(:\d\d)?)?)?)?")


def parse_filter(text: str, kinds: Mapping[str, type], searched: Sequence[str]) -> Filter:
    """What tells whether a run's values are meant; all parts must hold.

    A word, or several in quotes, stands somewhere in the values named in `searched`. A comparison has a name of
    `kinds`, one of = != < <= > >=, and a number, a word, true, false, none, or a date such as 2026-11-30 or its
    beginning. A list (tags) equals a word that is in it. Upper and lower case are alike.

    Raises:
        ValueError: it cannot be read; the message is a sentence without its full stop.
    """
    tokens = [(quoted or word, sign) for quoted, sign, word in TOKEN.findall(text)]
    parts: list[Filter] = []
    while tokens:
        word, sign = tokens.pop(0)
        if sign:
            raise ValueError(f"“{sign}” stands without a name before it, such as in “lr {sign} 0.1”")
        if not tokens or not tokens[0][1]:
            parts.append(_contains(word, searched))
            continue
        _, sign = tokens.pop(0)
        if not tokens or tokens[0][1]:
            raise ValueError(f"“{word} {sign}” stands without a value behind it")
        parts.append(_comparison(word, sign, tokens.pop(0)[0], kinds))
    return lambda values: all(part(values) for part in parts)


def _contains(word: str, searched: Sequence[str]) -> Filter:
    word = word.casefold()

    def holds(values: Values) -> bool:
        return any(word in _words(values.get(name)).casefold() for name in searched)

    return holds


def _comparison(name: str, sign: str, said: str, kinds: Mapping[str, type]) -> Filter:
    names = {known.casefold(): known for known in kinds} | ALIASES
    if name.casefold() not in names:
        near = get_close_matches(name.casefold(), names, n=1)
        raise ValueError(f"there is no “{name[:40]}”" + (f"; perhaps “{near[0]}” is meant" if near else ""))
    name = names[name.casefold()]
    if said.casefold() == "none" and sign in ("=", "!="):
        return lambda values: (values.get(name) in (None, "", ())) is (sign == "=")
    read = _reader(name, sign, said, kinds[name])

    def holds(values: Values) -> bool:
        value = values.get(name)
        return sign == "!=" if value is None else read(value)

    return holds


def _reader(name: str, sign: str, said: str, kind: type) -> Callable[[Any], bool]:
    """What compares a value of this kind, which is not none, with what was `said`."""
    compare, folded = COMPARE[sign], said.casefold()
    if kind in (int, float):
        try:
            number = float(said.rstrip("%"))
        except ValueError:
            raise ValueError(f"{name} is a number, and “{said[:40]}” is none") from None
        return lambda value: compare(value, number)
    if kind is datetime:
        if not MOMENT.fullmatch(said):
            raise ValueError(f"{name} is a date such as 2026-11-30, and “{said[:40]}” is none")
        moment = said.replace(" ", "T")
        return lambda value: compare(value.isoformat()[: len(moment)], moment)
    if sign not in ("=", "!="):
        raise ValueError(f"{name} is no number; it can be compared by = and !=")
    if kind is bool:
        if folded not in BOOLEANS:
            raise ValueError(f"{name} is true or false, and “{said[:40]}” is neither")
        return lambda value: compare(value, BOOLEANS[folded])
    if kind is tuple:
        return lambda value: compare(folded in {_words(one).casefold() for one in (*value, value)}, True)
    return lambda value: compare(_words(value).casefold(), folded)


def _words(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_words, value))
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
