"""What the pages hand to one another: the run and the net last chosen, and the runs to compare.

Everything else that a session keeps belongs to one page and carries its name ("prediction.index"), so that no
page meets a value that another one left behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from resnet_lab.models import ModelSpec  # torch comes with it, and the first page needs none

KEY = "shared"


@dataclass
class Shared:
    """Of one session."""

    run: str | None = None  # the id of the one looked at last, on whatever page
    spec: ModelSpec | None = None  # the net that was built on Architecture and not given up since
    hides_recorded: bool = False  # the runs that came with the lab
    sees_all: bool = False  # a student: the runs of everybody, not theirs alone
    follows: bool = False  # a student: the teacher, while something is presented
    compared: tuple[str, ...] = ()  # runs with which Comparison begins when it is opened next


def shared() -> Shared:
    return st.session_state.setdefault(KEY, Shared())


def choose_run(run_id: str) -> None:
    """Puts the run into the link, and into the session because the menu's links drop the query."""
    st.query_params["run"] = run_id
    shared().run = run_id
