"""Runs on the page: the current one, its curves, its state."""

from __future__ import annotations

import threading
from collections.abc import Callable

import streamlit as st

from resnet_lab.figures.curves import Curve
from resnet_lab.runs import Run, RunError, RunStatus
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.markdown import escape_markdown

BADGES = {
    "queued": ("Waiting", ":material/hourglass:", "gray"),
    "running": ("Training", ":material/play_arrow:", "blue"),
    "paused": ("Paused", ":material/pause:", "yellow"),
    "completed": ("Completed", ":material/check:", "green"),
    "stopped": ("Stopped", ":material/stop:", "gray"),
    "failed": ("Failed", ":material/error:", "red"),
    "interrupted": ("Interrupted", ":material/power_off:", "orange"),
}


class RunLog:
    """The events of one run, read from where the last reader stopped; shared by all sessions."""

    def __init__(self) -> None:
        self._offset = 0
        self._curve = Curve("")
        self._lock = threading.Lock()

    def curve(self, run: Run) -> Curve:
        """The curve up to now. The same object grows; readers only look."""
        with self._lock:
            events, self._offset = run.events(self._offset)
            self._curve.extend(events)
            self._curve.name = run.name
            self._curve.plain = run.config.spec.is_plain
            return self._curve


@st.cache_resource(show_spinner=False, max_entries=200)
def _log(run_id: str) -> RunLog:
    return RunLog()


def curve(run: Run) -> Curve:
    return _log(run.id).curve(run)


def badge(status: RunStatus) -> None:
    label, icon, colour = BADGES[status.state]
    st.badge(label, icon=icon, color=colour)  # type: ignore[arg-type]


def attempt(action: Callable[[], object]) -> None:
    """Does it and shows the page anew, or says in one sentence why it cannot be done."""
    try:
        action()
    except (RunError, ValueError) as error:
        st.error(escape_markdown(str(error)))
    else:
        st.rerun()


def is_dark() -> bool:
    return st.context.theme.type == "dark"


def pick_run(run_id: str | None) -> Run | None:
    """The run that a link or the session names, else the one in progress, else the newest; None if there is none."""
    store = navigation.store()
    if run_id:
        try:
            return store.get(run_id)
        except RunError as error:
            st.warning(escape_markdown(str(error)))  # it repeats what the link says
    runs = store.list()
    return next((run for run in runs if run.status.state == "running"), runs[0] if runs else None)
