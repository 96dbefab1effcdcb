"""What a class sees on every page: who one is, what the teacher shows, and the teacher's own controls."""

from __future__ import annotations

from functools import partial
from urllib.parse import parse_qs, urlencode

import segno
import streamlit as st

from resnet_lab.classroom.classroom import classroom
from resnet_lab.classroom.room import LONGEST_NAME
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.markdown import escape_markdown
from resnet_lab.ui.common.server import class_address
from resnet_lab.ui.common.shared import shared

EVERY = 3.0  # seconds, after which a student's page looks for what the teacher shows
SEEN = "classroom.seen"  # what a student has followed, in the session


def class_bar(page: str) -> None:
    """Draws it in the sidebar and above the `page`, in a class; nothing where the lab has one user."""
    if not classroom().is_open:
        return
    with st.sidebar:
        if navigation.person().is_teacher:
            _teacher()
        else:
            _student()
    if not navigation.person().is_teacher:
        st.fragment(partial(_banner, page), run_every=EVERY)()


def _teacher() -> None:
    desk = navigation.desk()
    presents = st.toggle(
        "Present",
        bool(desk.room.view),
        key="classroom.present",
        help="Everyone's pages lead to the view that you are on.",
        persist_state="session",
    )
    if not presents and desk.room.view:
        desk.present("")
    paused = st.toggle(
        "Pause the queue",
        desk.manager.is_paused,
        key="classroom.paused",
        help="Runs that wait go on waiting; those under way go on.",
    )
    if paused != desk.manager.is_paused:
        desk.pause_queue(paused)
    if st.button("Let the class in", icon=":material/qr_code_2:", key="classroom.let_in"):
        _let_in()


@st.dialog("Let the class in")
def _let_in() -> None:
    codes, address = classroom().codes, class_address()
    assert codes is not None
    st.image(segno.make(address, micro=False).svg_data_uri(scale=8, border=2, light="white"), width="stretch")
    st.subheader(escape_markdown(address), anchor=False)
    st.subheader(f"Code: {escape_markdown(codes.student)}", anchor=False)


def _student() -> None:
    room, person = classroom().room, navigation.person()
    name = st.text_input("Your name", room.name(person.id), max_chars=LONGEST_NAME, key="classroom.name")
    if name != room.name(person.id):
        room.rename(person, name)
    shared().follows = st.toggle(
        "Follow the teacher",
        shared().follows,
        key="classroom.follows",
        help="Your page changes with the teacher's while something is presented.",
    )
    if navigation.manager().is_paused:
        st.caption(":material/pause: The teacher has paused the queue.")


def note_view(page: str) -> None:
    """Called at the end of a page: while the teacher presents, this is what everyone is led to."""
    if not classroom().is_open or not navigation.person().is_teacher:
        return
    if st.session_state.get("classroom.present"):
        query = urlencode(
            [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]
        )
        navigation.desk().present(f"{page}?{query}")


def _banner(page: str) -> None:
    """A line that leads a student to what is presented, or takes them there."""
    view = classroom().room.view
    if not view:
        st.session_state.pop(SEEN, None)
        return
    shown, _, query = view.partition("?")
    if shown not in navigation.PAGES:
        return
    if shared().follows and st.session_state.get(SEEN) != view:
        st.session_state[SEEN] = view
        navigation.open_view(page, shown, parse_qs(query))
    if page == shown and all(st.query_params.get_all(name) == said for name, said in parse_qs(query).items()):
        st.caption(":material/cast: This is what the teacher shows.")
        return
    title = navigation.PAGES[shown][0]
    with st.container(horizontal=True, vertical_alignment="center", border=True):
        st.markdown(f":material/cast: The teacher shows **{title}**.", width="content")
        if st.button("Go there", key="classroom.go", type="primary"):
            navigation.open_view(page, shown, parse_qs(query))
