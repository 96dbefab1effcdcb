"""A class predicts together: everyone's choice is counted, and the teacher sees bars before the reveal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from resnet_lab.classroom.classroom import classroom
from resnet_lab.figures.votes import votes_figure
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.live_chart import live_chart
from resnet_lab.ui.common.runs import is_dark

EVERY = 2.0  # seconds


def count_vote(lesson: str, choices: Sequence[str], expected: str | None) -> None:
    """Takes a student's choice over; the teacher's own does not count."""
    person = navigation.person()
    if classroom().is_open and not person.is_teacher and expected is not None:
        classroom().room.vote(lesson, person, choices.index(expected))


def votes_view(lesson: str, choices: Sequence[str]) -> None:
    """For the teacher: how many of the class expect what, as it comes in."""
    if classroom().is_open and navigation.person().is_teacher:
        st.fragment(partial(_votes, lesson, choices), run_every=EVERY)()


def _votes(lesson: str, choices: Sequence[str]) -> None:
    room = classroom().room
    votes = room.votes(lesson)
    count = votes.total()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**The class expects** ({count:,} {'vote' if count == 1 else 'votes'})", width="content")
        if st.button("Begin anew", icon=":material/restart_alt:", key="home.votes.anew", disabled=not count):
            room.forget_votes(lesson)
            st.rerun(scope="fragment")
    live_chart(votes_figure(choices, votes, is_dark()), key=f"home.votes.{lesson}")
