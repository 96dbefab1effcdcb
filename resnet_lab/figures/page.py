"""Text, tables and figures → one HTML file that opens without a network."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

STYLE = """
body { font: 17px/1.5 system-ui, sans-serif; color: #1B1F24; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.8rem } h2 { font-size: 1.25rem; margin-top: 2rem }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .3rem .9rem; border-bottom: 1px solid #E3E8ED }
td { text-align: right; font-variant-numeric: tabular-nums } td:first-child, th:first-child { text-align: left }
figcaption, .small { color: #57606A; font-size: .9rem } figure { margin: 1.5rem 0 }
"""


Cell: TypeAlias = str | int | float | None


@dataclass(frozen=True)
class Heading:
    text: str


@dataclass(frozen=True)
class Alert:
    """A sentence that must not be overlooked."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of one kind; the first one's keys are the heads, with units. None: not known."""

    rows: Sequence[Mapping[str, Cell]]


@dataclass(frozen=True)
class Chart:
    figure: go.Figure
    caption: str = ""


@dataclass(frozen=True)
class Row:
    """Charts beside each other where there is room, with one caption for all."""

    charts: Sequence[Chart]
    caption: str = ""


Part: TypeAlias = str | Heading | Alert | Table | Chart | Row


def html_page(title: str, parts: Sequence[Part]) -> str:
    """The whole file as text; plotly.js is in it once (about 5 MB), so nothing is loaded from elsewhere.

    A string among `parts` is a paragraph. All text is taken as it is, not as HTML.
    """
    body = "\n".join(_part(part) for part in parts)
    library = f"<script>{get_plotlyjs()}</script>" if any(isinstance(p, Chart | Row) for p in parts) else ""
    end = f'<p class="small">Made by ResNet Lab on {time.strftime("%d %B %Y")}.</p>'
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style>{library}</head>\n<body><h1>{escape(title)}</h1>\n{body}\n{end}</body></html>\n"
    )


def _part(part: Part) -> str:
    match part:
        case Heading(text):
            return f"<h2>{escape(text)}</h2>"
        case Alert(text):
            return f"<p><strong>{escape(text)}</strong></p>"
        case Table([]):
            return ""
        case Table(rows):
            heads = "".join(f"<th>{escape(name)}</th>" for name in rows[0])
            lines = ("".join(f"<td>{escape(cell_text(row[name]))}</td>" for name in rows[0]) for row in rows)
            return f"<table><tr>{heads}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
        case Row(charts, caption):
            return "\n".join(map(_part, charts)) + f'<p class="small">{escape(caption)}</p>'
        case Chart(figure, caption):
            chart = figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False})
            return f"<figure>{chart}<figcaption>{escape(caption)}</figcaption></figure>"
        case _:
            return f"<p>{escape(part)}</p>"


def cell_text(value: Cell) -> str:
    """A cell as it is to be read: 1,234 or 0.1234, and – for what is not known."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return value if isinstance(value, str) else f"{value:,}"
