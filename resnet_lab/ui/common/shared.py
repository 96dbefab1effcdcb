"""What the pages hand to one another: the run and the net last chosen, and the runs to compare.

Everything else that a session keeps belongs to one page and carries its name ("prediction.index"), so that no
page meets a value that another one left behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from resnet_lab.models import ModelSpec  # torch comes with it, and the first page needs none

KEY = "shared"


@dataclass
class Shared:
    """Of one session."""

    run: str | None = None
    spec: ModelSpec | None = None
    compared: tuple[str, ...] | None = None


def chosen_run() -> str | None:
    """The id of the run looked at last, on whatever page."""
    return _shared().run


def choose_run(run_id: str) -> None:
    """Puts the run into the link, and into the session because the menu's links drop the query."""
    st.query_params["run"] = run_id
    _shared().run = run_id


def chosen_spec() -> ModelSpec | None:
    """The net that was built on Architecture and not given up since."""
    return _shared().spec


def choose_spec(spec: ModelSpec | None) -> None:
    """Keeps the net that is being built; None gives it up."""
    _shared().spec = spec


def compare_runs(run_ids: Sequence[str]) -> None:
    """Comparison begins with these runs when it is opened next."""
    _shared().compared = tuple(run_ids)


def runs_to_compare() -> tuple[str, ...] | None:
    """What `compare_runs` left, once; None where it left nothing."""
    shared = _shared()
    compared, shared.compared = shared.compared, None
    return compared


def _shared() -> Shared:
    shared: Shared = st.session_state.setdefault(KEY, Shared())
    return shared
