"""The few SVG shapes that the diagram is made of, as strings; every text is escaped."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import NamedTuple

FONT = "'Source Sans', 'Source Sans 3', system-ui, sans-serif"


@dataclass(frozen=True)
class Ink:
    """The colours of one diagram: text, the page behind it, the accent of residual or plain nets.

    Padding and projection shortcuts have colours of their own, or else the accent.
    """

    text: str
    page: str
    accent: str
    pad: str = ""
    projection: str = ""

    def of(self, shortcut: str) -> str:
        """The colour of a shortcut, as `BlockShape` calls it."""
        return {"pad": self.pad, "projection": self.projection}.get(shortcut) or self.accent


class Rect(NamedTuple):
    x: float
    y: float
    width: float
    height: float

    @property
    def shape(self) -> str:
        return f'x="{self.x:.1f}" y="{self.y:.1f}" width="{self.width:.1f}" height="{self.height:.1f}"'


class Target(NamedTuple):
    """What a shape stands for: the words that the pointer shows, and the path that a click chooses."""

    title: str = ""
    path: str = ""

    @property
    def attributes(self) -> str:
        if not self.path:
            return ""
        path, label = escape(self.path, quote=True), escape(self.title, quote=True)
        return f' data-path="{path}" role="button" tabindex="0" aria-label="{label}"'

    @property
    def tooltip(self) -> str:
        return f"<title>{escape(self.title)}</title>" if self.title else ""


def text(x: float, y: float, words: str, ink: Ink, size: float = 13, **style: str | float) -> str:
    """Centred on x unless `anchor` says otherwise; `y` is the baseline."""
    anchor = style.pop("anchor", "middle")
    more = "".join(f' {key}="{value}"' for key, value in style.items())
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" '
        f'fill="{ink.text}" pointer-events="none"{more}>{escape(words)}</text>'
    )


def bold(x: float, y: float, words: str, ink: Ink) -> str:
    return text(x, y, words, ink, 15, **{"font-weight": 600})


def muted(x: float, y: float, words: str, ink: Ink, size: float = 11.5) -> str:
    return text(x, y, words, ink, size, opacity=0.75)


def box(rect: Rect, ink: Ink, target: Target, strong: bool = False) -> str:
    """A layer or a block; `strong` where the map shrinks."""
    look = f'fill="{ink.accent}" fill-opacity="{0.3 if strong else 0.13}" stroke="{ink.accent}" stroke-width="1.3"'
    return f'<rect {rect.shape} rx="4" {look}{target.attributes}>{target.tooltip}</rect>'


def patch(rect: Rect, ink: Ink, colour: str, target: Target) -> str:
    """A box that hides the line below it: in the page's own colour, whichever theme."""
    look = f'fill="{ink.page}" stroke="{colour}" stroke-width="1.3"'
    return f'<rect {rect.shape} rx="4" {look}{target.attributes}>{target.tooltip}</rect>'


def card(rect: Rect, ink: Ink) -> str:
    look = f'fill="{ink.text}" fill-opacity="0.03" stroke="{ink.text}" stroke-opacity="0.22"'
    return f'<rect {rect.shape} rx="7" {look}/>'


def line(x1: float, y1: float, x2: float, y2: float, ink: Ink, arrow: bool = False) -> str:
    """The way through the net; an arrow has its head at (x2, y2)."""
    stroke = f'stroke="{ink.text}" stroke-opacity="0.6" stroke-width="1.4"'
    head = ""
    if arrow and x1 == x2:
        head = f"M{x2 - 3.5:.1f} {y2 - 5:.1f}L{x2:.1f} {y2:.1f}L{x2 + 3.5:.1f} {y2 - 5:.1f}"
    elif arrow:
        head = f"M{x2 - 5:.1f} {y2 - 3.5:.1f}L{x2:.1f} {y2:.1f}L{x2 - 5:.1f} {y2 + 3.5:.1f}"
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}{head}" fill="none" {stroke}/>'


def arc(path: str, dash: str, colour: str, width: float = 2.2, is_cut: bool = False) -> str:
    """A shortcut; of one that is cut the two ends alone, faint."""
    look = f'stroke="{colour}" stroke-width="{width:g}" stroke-linecap="round"'
    if is_cut:
        look, dash = f'{look} stroke-opacity="0.6" pathLength="100"', "24 52"
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{path}" fill="none" {look}{dashes}/>'


def plus(x: float, y: float, radius: float, ink: Ink, target: Target = Target()) -> str:  # noqa: B008
    """⊕, where a shortcut joins; drawn, because fonts disagree about the sign."""
    r = radius * 0.55
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{ink.accent}" fill-opacity="0.2" '
        f'stroke="{ink.accent}" stroke-width="1.4"{target.attributes}>{target.tooltip}</circle>'
        f'<path d="M{x - r:.1f} {y:.1f}h{2 * r:.1f}M{x:.1f} {y - r:.1f}v{2 * r:.1f}" pointer-events="none" '
        f'stroke="{ink.accent}" stroke-width="1.6"/>'
    )


def document(width: float, height: float, label: str, parts: list[str], chosen: tuple[str, ...] = ()) -> str:
    """The image; it scales with the page, up to a fifth more than its own width.

    The shapes whose path is in `chosen` have a strong edge.
    """
    paths = ",".join(f'[data-path="{escape(path, quote=True)}"]' for path in chosen)
    style = f"<style>{paths}{{stroke-width:3.2;fill-opacity:.42}}</style>" if chosen else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(label, quote=True)}" font-family="{FONT}" '
        f'style="width:100%;max-width:{width * 1.2:g}px;display:block">{style}{"".join(parts)}</svg>'
    )
