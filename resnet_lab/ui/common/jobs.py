"""Work of more than a second beside the page: its records are shown as they come, and it can be cancelled."""

from __future__ import annotations

import atexit
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from weakref import WeakSet

import streamlit as st

from resnet_lab.ui.common.markdown import duration, escape_markdown

UNSEEN = 300.0  # seconds after which work that nobody looks at ends: its reader has gone
Check = Callable[[], None]
Work = Callable[
    [Check], Iterable[Any]
]  # draws records; it calls the check often, which ends it when that is asked


class Ended(Exception):
    """The reader has cancelled the work, or is gone."""


class Job:
    """`work` about `of` in a thread of its own. It touches no page; the page reads `records`, which only grows.

    `problems` are sentences on what it has to do without.
    """

    def __init__(
        self, work: Work, total: int, of: Any, key: str = "job", problems: Sequence[str] = ()
    ) -> None:
        self.total, self.of, self.key, self.problems = total, of, key, problems
        self.records: list[Any] = []
        self.error = ""
        self._began = self.seen = time.monotonic()  # seen by a page
        self._ended: float | None = None
        self._is_complete = False
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(work,), name="analysis", daemon=True)
        _jobs.add(self)
        self._thread.start()

    def _run(self, work: Work) -> None:
        from resnet_lab.runs.manager import lower_priority

        lower_priority()
        try:
            for record in work(self._check):
                self.records.append(record)
                self._check()
            self._is_complete = not self.is_cancelled
        except Ended:
            pass
        except ValueError as error:  # written for people, as all of the lab's own
            self.error = str(error)
        except Exception as error:
            traceback.print_exc()
            self.error = f"{type(error).__name__}: {error}"
        self._ended = time.monotonic()

    def _check(self) -> None:
        if time.monotonic() - self.seen > UNSEEN:
            self.cancel()
        if self.is_cancelled:
            raise Ended

    @property
    def is_broken(self) -> bool:
        """Whether it has ended before its work was done."""
        return not self.is_active and not self._is_complete

    @property
    def is_active(self) -> bool:
        return self._thread.is_alive()

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    @property
    def seconds(self) -> float:
        """That it has taken up to now."""
        return (self._ended or time.monotonic()) - self._began

    @property
    def seconds_left(self) -> float | None:
        """From the records so far; None before the first."""
        done = len(self.records)
        return self.seconds / done * (self.total - done) if done else None

    def cancel(self) -> None:
        """Asks the work to stop after its current record."""
        self._cancelled.set()

    def wait(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)


_jobs: WeakSet[Job] = WeakSet()


@atexit.register
def end_all() -> None:
    """A thread that is inside torch when the interpreter ends would abort the process."""
    for job in list(_jobs):
        job.cancel()
    for job in list(_jobs):
        job.wait(timeout=5)


def start(key: str, work: Work, total: int, of: Any, problems: Sequence[str] = ()) -> Job:
    """Starts a job of this session about `of`; one of the same key that still runs is cancelled.

    The key begins with the page's name; the session keeps the job as "page.key.job".
    """
    if (before := st.session_state.get(f"{key}.job")) is not None:
        before.cancel()
    job = st.session_state[f"{key}.job"] = Job(work, total, of, key, problems)
    return job


def current(key: str, of: Any) -> Job | None:
    """The job of that key, if it is about `of`; one about something else is cancelled, as nobody watches it."""
    job: Job | None = st.session_state.get(f"{key}.job")
    if job is not None and job.of != of:
        job.cancel()
        return None
    return job


def follow(job: Job, show: Callable[[], None], every: float = 0.5) -> None:
    """Calls `show` now, and again while the job goes on, under a bar with the time left and a Cancel button.

    Only this part of the page is drawn again; once the job has ended the whole page is, so that buttons fit.
    """

    def draw() -> None:
        job.seen = time.monotonic()
        if job.is_active != was_active:
            st.rerun()
        if job.is_active:
            _bar(job)
        elif job.error:
            st.error(escape_markdown(job.error), icon=":material/error:")
        elif job.is_cancelled:
            st.caption("Cancelled; what was found until then is shown.")
        if job.records:
            show()

    for problem in job.problems:
        st.warning(escape_markdown(problem))
    was_active = job.is_active
    st.fragment(draw, run_every=every if was_active else None)()


def _bar(job: Job) -> None:
    done, left = len(job.records), job.seconds_left
    text = f"{done:,} of {job.total:,}" + (f" · {duration(left)} left" if left is not None else "")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(min(done / max(job.total, 1), 1.0), text, width="stretch")
        if st.button("Cancel", icon=":material/close:", disabled=job.is_cancelled, key=f"{job.key}.cancel"):
            job.cancel()
