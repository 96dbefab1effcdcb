"""A figure that grows, for all who watch it: whole now and then, and between that what was added to the last whole."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

MOST_ADDED = 1_500  # bytes, then all of the figure is sent once
Added = tuple[int, list[Any], list[Any]]


class Drawn(NamedTuple):
    """A figure as it goes to the browser: one that the browser may have, and what is new since.

    `added` has for each line where it goes on, and the x and y from there.
    """

    whole: str
    height: int  # pixels
    name: str  # of the whole
    added: tuple[Added, ...] = ()

    def for_whom_has(self, name: str) -> dict[str, Any]:
        """As JSON, without the whole where it is there already."""
        return self._asdict() | ({"whole": None} if name == self.name else {})


class Feed:
    """One figure for one look; its `next` are its moments."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: dict[str, Any] | None = None
        self._drawn = Drawn("", 0, "")

    def next(self, figure: go.Figure) -> Drawn:
        """The figure of this moment; it begins anew where it changed otherwise than by growing, or has grown much."""
        whole = figure.to_json()
        shown = json.loads(whole)
        with self._lock:
            added = None if self._shown is None else growth(self._shown, shown)
            if added is None or len(json.dumps(added)) > MOST_ADDED:
                self._shown, added = shown, ()
                self._drawn = Drawn(whole, figure.layout.height or 400, secrets.token_hex(4))
            return self._drawn._replace(added=added)


def growth(before: dict[str, Any], now: dict[str, Any]) -> tuple[Added, ...] | None:
    """What makes `before` to `now`, two figures as plotly's JSON; None where they differ in more than their points."""

    def rest(figure: dict[str, Any]) -> Any:
        lines = [{k: v for k, v in line.items() if k not in ("x", "y")} for line in figure["data"]]
        return lines, {k: v for k, v in figure.items() if k != "data"}

    if rest(before) != rest(now):
        return None
    added: list[Added] = []
    for old, new in zip(before["data"], now["data"], strict=True):
        same = min(_alike(old["x"], new["x"]), _alike(old["y"], new["y"]))
        added.append((same, new["x"][same:], new["y"][same:]))
    return tuple(added)


def _alike(before: Sequence[Any], now: Sequence[Any]) -> int:
    """How many items they begin with in common."""
    pairs = enumerate(zip(before, now, strict=False))
    return next((i for i, (old, new) in pairs if old != new), min(len(before), len(now)))
