"""Text on the page: numbers side by side, durations, and words that users typed."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import streamlit as st


def facts(values: Mapping[str, str]) -> None:
    """Labelled numbers in one dense line (st.metric takes four times the room)."""
    cells = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in values.items())
    st.html(f'<dl class="facts">{cells}</dl>')


def plain(text: str) -> str:
    """`text` with Markdown switched off: names given by users could load remote pictures."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()<>#+!|~$:" else c for c in text)


def percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def duration(seconds: float) -> str:
    """42 s, 3 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
