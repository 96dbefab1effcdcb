"""Text on the page: numbers side by side, durations, and words that users typed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

import streamlit as st

JOINER = "\u2060"  # no width, and no rule of Streamlit's Markdown reads across it
# What Streamlit looks for in the text once Markdown has taken the backslashes away: addresses, icons, arrows, dashes.
LATE = re.compile(
    r"(?<=http)(?=s?:)|(?<=www)(?=\.)|(?<=:)(?=[a-z])|(?<=@)(?=[\w-])|(?<=[-<>~])(?=[-=>])", re.I
)
SIGNS = re.compile(r"[\\`*_{}\[\]()<>#+!|~$:&]|^-|(?<=\d)\.(?=\s|$)")  # the last two: a list


def facts(values: Mapping[str, str]) -> None:
    """Labelled numbers in one dense line (st.metric takes four times the room)."""
    st.html(facts_html(values))


def facts_html(values: Mapping[str, str]) -> str:
    cells = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in values.items())
    return f'<dl class="facts">{cells}</dl>'


def escape_markdown(text: str) -> str:
    """`text` as it is, on one line: a name that a user gave could be a link, load a remote image, or hide."""
    one_line = " ".join(text.encode(errors="replace").decode().split())  # lone surrogates become "?"
    return SIGNS.sub(r"\\\g<0>", LATE.sub(JOINER, one_line))


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}\u00a0%"


def duration(seconds: float) -> str:
    """42 s, 3 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
