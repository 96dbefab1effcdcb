"""Runs on the page: the current one, its curves, its state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from resnet_lab.classroom.classroom import classroom
from resnet_lab.figures.curves import Axis, Curve, Measure, curve_figure
from resnet_lab.runs import Run, RunError, RunStatus
from resnet_lab.runs.gallery import RecordedRun
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.live_chart import Drawn, Feed, live_chart
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.widgets import problems_said

REFRESH = 1.0  # seconds
Version = tuple[str, int]  # of a run's best net
BADGES: dict[str, tuple[str, str, Any]] = {
    "queued": ("Waiting", ":material/hourglass:", "gray"),
    "running": ("Training", ":material/play_arrow:", "blue"),
    "paused": ("Paused", ":material/pause:", "yellow"),
    "completed": ("Completed", ":material/check:", "green"),
    "stopped": ("Stopped", ":material/stop:", "gray"),
    "failed": ("Failed", ":material/error:", "red"),
    "interrupted": ("Interrupted", ":material/power_off:", "orange"),
}
RECORDED: tuple[str, str, Any] = ("Recorded", ":material/inventory_2:", "violet")  # one of the lab's own


@dataclass
class _Log:
    """How far the events of a run were read, and what they say; shared by all sessions."""

    offset: int = 0
    curve: Curve = field(default_factory=lambda: Curve(""))
    lock: threading.Lock = field(default_factory=threading.Lock)


@st.cache_resource(show_spinner=False, max_entries=200)
def _log(run_id: str) -> _Log:
    return _Log()


def curve(run: Run) -> Curve:
    """The curve up to now. The same object grows; readers only look."""
    log = _log(run.id)
    with log.lock:
        events, log.offset = run.events(log.offset)
        log.curve.extend(events)
        log.curve.name = run.name
        log.curve.plain = run.config.spec.is_plain
        return log.curve


def run_version(run: Run) -> Version:
    """What changes with the run's best checkpoint, as it is when a cache asks."""
    with suppress(OSError):  # it may go meanwhile
        if path := run.best_checkpoint:
            return run.id, path.stat().st_mtime_ns
    return run.id, 0


# How caches tell runs apart whose nets they keep.
BY_VERSION: dict[Any, Any] = dict.fromkeys((Run, RecordedRun), run_version)


def said_by(run: Run) -> tuple[str, int, str]:
    """What changes with its `curve`, which is read now: how caches tell apart what they made of it."""
    curve(run)
    return run.id, _log(run.id).offset, run.name


def curve_charts(
    runs: Sequence[Run], measures: Sequence[Measure], key: str, axis: Axis = "epoch", smoothing: float = 0.6
) -> None:
    """The curves of `runs` in two measures, side by side."""
    said = [said_by(run) for run in runs]
    for measure, column in zip(measures, st.columns(2), strict=True):
        with column:
            live_chart(_drawn(said, measure, axis, smoothing, is_dark(), runs), key=f"{key}.{measure}")


@st.cache_resource(show_spinner=False, max_entries=100)
def _drawn(
    said: list[tuple[str, int, str]],
    measure: Measure,
    axis: Axis,
    smoothing: float,
    dark: bool,
    _runs: Sequence[Run],
) -> Drawn:
    """The figure of curves that have `said` so much: drawn once for all who look at it."""
    figure = curve_figure([curve(run) for run in _runs], measure, axis, smoothing, dark)
    if not any(run.status.is_active for run in _runs):
        return Drawn.of(figure)
    return _feed([run.id for run in _runs], measure, axis, smoothing, dark).next(figure)


@st.cache_resource(show_spinner=False, max_entries=100)
def _feed(*look: Any) -> Feed:
    return Feed()


def follow(runs: Sequence[Run], show: Callable[[], object]) -> None:
    """Calls `show` now, and again while one of the runs goes on; then the whole page is drawn, so that buttons fit."""

    def is_active() -> bool:
        return any(run.status.is_active for run in runs)

    def draw() -> None:
        if is_active() != was_active:
            st.rerun()
        show()

    was_active = is_active()
    st.fragment(draw, run_every=REFRESH if was_active else None)()


def heading(run: Run, status: RunStatus) -> None:
    """Its name and its state; to be called within a row."""
    label, icon, colour = RECORDED if run.is_recorded else BADGES[status.state]
    st.markdown(f"**{escape_markdown(run.name)}**", width="content")
    if classroom().is_open and (owner := classroom().room.name(status.owner)):
        st.caption(f"of {escape_markdown(owner)}", width="content")
    st.badge(label, icon=icon, color=colour)


def attempt(action: Callable[[], object]) -> None:
    """Does it and shows the page anew, or says in one sentence why it cannot be done."""
    with problems_said(RunError, ValueError):
        action()
        st.rerun()


def action(label: str, do: Callable[[], object], icon: str, **look: Any) -> None:
    """A button that attempts it."""
    if st.button(label, icon=f":material/{icon}:", **look):
        attempt(do)


def is_dark() -> bool:
    return st.context.theme.type == "dark"


def pick_run(run_id: str | None) -> Run | None:
    """The run that a link or the session names, else the one in progress, else the newest; None if there is none."""
    if run_id:
        try:
            return navigation.store().get(run_id)
        except RunError as error:
            st.warning(escape_markdown(str(error)))  # it repeats what the link says
    runs = navigation.runs()
    return next((run for run in runs if run.status.state == "running"), runs[0] if runs else None)
