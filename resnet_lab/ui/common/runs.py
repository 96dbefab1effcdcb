"""Runs on the page: the current one, its curves, its state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from resnet_lab.classroom.classroom import classroom
from resnet_lab.figures.curves import Curve
from resnet_lab.runs import Run, RunError, RunStatus
from resnet_lab.runs.gallery import RecordedRun
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.widgets import problems_said

REFRESH = 1.0  # seconds
LOOK = 2.0
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


def rerun_when_changed(runs: Sequence[Run]) -> None:
    """Draws the page anew once a run is in another state, or tells of more than points; call it at the end."""

    def words() -> list[Any]:
        told = [(run.status.state, run.status.message, run.asked, curve(run)) for run in runs]
        return [(*said, len(c.notices), len(c.modes), c.started, c.test) for *said, c in told]

    def look() -> None:
        if words() != before:
            st.rerun()

    before = words()
    st.fragment(look, run_every=LOOK if any(run.status.is_active for run in runs) else None)()


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
