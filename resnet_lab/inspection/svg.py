"""The few SVG shapes that the diagram is made of, as strings; every text is escaped."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

FONT = "'Source Sans', 'Source Sans 3', system-ui, sans-serif"


@dataclass(frozen=True)
class Ink:
    """The colours of one diagram: text, the page behind it, and the accent of residual or plain nets."""

    text: str
    page: str
    accent: str


def text(x: float, y: float, words: str, ink: Ink, size: float = 13, **style: str | float) -> str:
    """Centred on x unless `anchor` says otherwise; `y` is the baseline."""
    anchor = style.pop("anchor", "middle")
    more = "".join(f' {key}="{value}"' for key, value in style.items())
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" '
        f'fill="{ink.text}"{more}>{escape(words)}</text>'
    )


def muted(x: float, y: float, words: str, ink: Ink, size: float = 11.5) -> str:
    return text(x, y, words, ink, size, opacity=0.75)


def box(
    x: float, y: float, width: float, height: float, ink: Ink, title: str = "", strong: bool = False
) -> str:
    """A layer or a block; the title is what the pointer shows."""
    shape = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="4"'
    look = f'fill="{ink.accent}" fill-opacity="{0.3 if strong else 0.13}" stroke="{ink.accent}" stroke-width="1.3"'
    return f"<rect {shape} {look}>{f'<title>{escape(title)}</title>' if title else ''}</rect>"


def patch(x: float, y: float, width: float, height: float, ink: Ink, title: str) -> str:
    """A box that hides the line below it: in the page's own colour, whichever theme."""
    shape = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="4"'
    return (
        f'<rect {shape} fill="{ink.page}" stroke="{ink.accent}" stroke-width="1.3">'
        f"<title>{escape(title)}</title></rect>"
    )


def card(x: float, y: float, width: float, height: float, ink: Ink) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="7" '
        f'fill="{ink.text}" fill-opacity="0.03" stroke="{ink.text}" stroke-opacity="0.22"/>'
    )


def line(x1: float, y1: float, x2: float, y2: float, ink: Ink, arrow: bool = False) -> str:
    """The way through the net; an arrow has its head at (x2, y2)."""
    stroke = f'stroke="{ink.text}" stroke-opacity="0.6" stroke-width="1.4"'
    head = ""
    if arrow and x1 == x2:
        head = f"M{x2 - 3.5:.1f} {y2 - 5:.1f}L{x2:.1f} {y2:.1f}L{x2 + 3.5:.1f} {y2 - 5:.1f}"
    elif arrow:
        head = f"M{x2 - 5:.1f} {y2 - 3.5:.1f}L{x2:.1f} {y2:.1f}L{x2 - 5:.1f} {y2 + 3.5:.1f}"
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}{head}" fill="none" {stroke}/>'


def arc(path: str, dash: str, ink: Ink, width: float = 2.2) -> str:
    look = f'stroke="{ink.accent}" stroke-width="{width:g}" stroke-linecap="round"'
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{path}" fill="none" {look}{dashes}/>'


def plus(x: float, y: float, radius: float, ink: Ink) -> str:
    """⊕, where a shortcut joins; drawn, because fonts disagree about the sign."""
    r = radius * 0.55
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{ink.accent}" fill-opacity="0.2" '
        f'stroke="{ink.accent}" stroke-width="1.4"/>'
        f'<path d="M{x - r:.1f} {y:.1f}h{2 * r:.1f}M{x:.1f} {y - r:.1f}v{2 * r:.1f}" '
        f'stroke="{ink.accent}" stroke-width="1.6"/>'
    )


def document(width: float, height: float, label: str, parts: list[str]) -> str:
    """The picture; it scales with the page, up to a fifth more than its own width."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(label, quote=True)}" font-family="{FONT}" '
        f'style="width:100%;max-width:{width * 1.2:g}px;display:block">{"".join(parts)}</svg>'
    )
