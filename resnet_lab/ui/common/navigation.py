"""What every page stands in: navigation, titles, and the process-wide run store and manager."""

from __future__ import annotations

import gc
import math
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from resnet_lab.classroom.classroom import classroom
from resnet_lab.classroom.people import Person
from resnet_lab.data.datasets import FORMER_NAMES
from resnet_lab.ui.common.login import has_login, logged_in
from resnet_lab.ui.common.shared import shared

if TYPE_CHECKING:
    from resnet_lab.classroom.desk import Desk
    from resnet_lab.runs import Run, RunManager, RunStore

STYLE = Path(__file__).with_name("style.css")
ROOT = Path(__file__).resolve().parents[3]
LOGO = Path(__file__).with_name("logo.png")
PAGES = {  # file name → title, icon, the one line under the title
    "home": ("Home", ":material/home:", ""),
    "architecture": ("Architecture", ":material/account_tree:", "Read a net layer by layer."),
    "training": ("Training", ":material/show_chart:", "Train a net and watch it learn."),
    "comparison": ("Comparison", ":material/compare_arrows:", "Residual against plain, on the same batches."),
    "prediction": (
        "Prediction",
        ":material/image_search:",
        "Ask a net about an image, and see where it looks.",
    ),
    "runs": ("Runs", ":material/folder_open:", "Everything that was trained here."),
}
# What links of before said otherwise, by page. A name in a link is the key of its widget, and a session keeps its
# value when the page is left: two pages that share a name would find each other's answers.
RENAMED = {  # names, and those of today
    "Architecture": {"view": "section", "kinds": "only", "source": "code"},
    "Comparison": {"why": "experiment"},
}
RENAMED_VALUES = {  # by the name of today: values, and those of today
    "Architecture": {"section": {"Take away": "Export"}},
    "Training": {"dataset": FORMER_NAMES},
    "Comparison": {"data": FORMER_NAMES},
    "Prediction": {
        "view": {
            "Answer": "Prediction",
            "Stages": "All stages",
            "Crops": "Test-time crops",
            "Two nets": "Compare",
            "Trust": "Sanity checks",
            "Scores": "Localization",
            "All images": "Batch",
            "All pictures": "Batch",
        }
    },
}
FREE_TEXT = {"folder", "lesson", "run", "filter"}  # names in links whose text is never read as a number


def page_path(name: str) -> str:
    """The path that `st.page_link` and `st.switch_page` take."""
    return f"pages/{name}.py"


def run() -> None:
    """Runs the page that the URL names, inside the lab's navigation (called by app.py)."""
    page = _navigate()
    st.session_state["_in_shell"] = True
    page.run()
    warm_up()
    from resnet_lab.ui.common.classroom import note_view

    note_view(page.url_path or "home")


def begin(title: str) -> None:
    """Sets a page's title and heading; every page calls it first.

    On a server whose first visitor opens, say, /training, Streamlit runs that page alone under a menu of
    its own, because it has not met `st.navigation` yet. Then this sets the navigation up and runs again.
    """
    if not st.session_state.get("_in_shell"):
        st.session_state["_in_shell"] = True  # once: a page that is run by itself must not loop
        _navigate()
        st.rerun()
    rewrite_link(_changes_of_today(title))
    st.set_page_config(page_title=f"{title} · ResNet Lab")
    st.html(STYLE)
    person()  # before anything is drawn
    name, subtitle = next((name, line) for name, (known, _, line) in PAGES.items() if known == title)
    from resnet_lab.ui.common.classroom import class_bar

    class_bar(name)
    if subtitle:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.title(title, anchor=False, width="content")
            st.caption(subtitle)


def _changes_of_today(title: str) -> dict[str, list[str]]:
    """What this page would write otherwise in the address now, as `rewrite_link` takes it."""
    names, values = RENAMED.get(title, {}), RENAMED_VALUES.get(title, {})
    changes: dict[str, list[str]] = {}
    for old in st.query_params:
        name, said = names.get(old, old), st.query_params.get_all(old)
        today = [values.get(name, {}).get(value, value) for value in said]
        if name not in FREE_TEXT and any(map(_is_beyond_numbers, today)):
            today = []
        if name != old:
            changes[old] = []
        if name != old or today != said:
            changes[name] = today
    return changes


def _is_beyond_numbers(text: str) -> bool:
    """An infinity or NaN, at which Streamlit's boxes for whole numbers end the page."""
    try:
        return not math.isfinite(float(text))
    except ValueError:  # it is no number at all, which Streamlit passes over
        return False


def rewrite_link(changes: Mapping[str, list[str]]) -> None:
    """Gives names in the address these values, or takes them out (none); call it before their widgets are drawn.

    Widgets read the address as it was when the page was opened, and Streamlit has no public way to renew that, nor to
    change a name whose widget was drawn before.
    """
    context = get_script_run_ctx()
    if not changes or context is None:
        return
    with context.session_state.query_params() as query:
        for name, values in changes.items():
            query.discard_param_no_forward_msg(name)
            if values:
                query.set_with_no_forward_msg(name, values)
        query._send_query_param_msg()  # to the browser
        query.set_initial_query_params_from_current()


def _navigate() -> st.Page:
    st.set_page_config("ResNet Lab", str(LOGO), layout="wide", initial_sidebar_state=210)
    pages = [
        st.Page(ROOT / page_path(name), title=title, icon=icon, url_path=name, default=name == "home")
        for name, (title, icon, _) in PAGES.items()
    ]
    st.logo(str(LOGO), size="large")
    return st.navigation(pages)


@st.cache_resource(show_spinner=False)
def warm_up() -> threading.Thread:
    """Imports the heavy packages while the reader looks at the first page, which has no need of them."""

    def load() -> None:
        import captum.attr  # noqa: F401
        import torch._dynamo  # noqa: F401 (a second's worth, which the first optimizer would load)
        import torchvision  # noqa: F401

        gc.collect()
        gc.freeze()  # so that later collections do not walk a million objects of torch

    thread = threading.Thread(target=load, name="warm-up", daemon=True)
    thread.start()
    return thread


def open_view(here: str, page: str, query: Mapping[str, list[str]]) -> NoReturn:
    """Leaves this run, on page `here`, for a `page` with that query; also from a part of the page."""
    if page != here:
        st.switch_page(page_path(page), query_params=dict(query))
    changes = {**{name: [] for name in st.query_params}, **query}
    for name in changes:
        st.session_state.pop(name, None)  # its widget reads the address anew
    rewrite_link(changes)
    st.rerun()


def person() -> Person:
    """Who sits at this session; the page ends where the class has let nobody in."""
    if has_login():
        return logged_in()
    known = classroom().person(_cookies())
    if known is None:
        st.error("Your pass has run out. Load this page anew, and type the code of the class.")
        st.stop()
    return known


def _cookies() -> Mapping[str, str]:
    return st.context.cookies if classroom().is_open else {}


def desk() -> Desk:
    """What this session may do with runs; pages change them through it alone."""
    from resnet_lab.classroom.desk import Desk

    return Desk(manager(), person(), classroom())


def store() -> RunStore:
    """The run store of this process."""
    return manager().store


def runs() -> list[Run]:
    """What this session sees: runs of its own or everyone's, newest first, then those that came with the lab."""
    from resnet_lab.runs.gallery import gallery

    own = desk().runs(of_all=shared().sees_all)
    return [*own, *([] if shared().hides_recorded else gallery())]


@st.cache_resource(show_spinner=False)
def manager() -> RunManager:
    """The one manager of this process; what it trains outlives pages and sessions."""
    from resnet_lab.classroom.desk import time_limit
    from resnet_lab.data.roots import roots_from_environment
    from resnet_lab.runs import RunStore, manager_from_environment

    manager = manager_from_environment(RunStore(), classroom().at_once)
    manager.roots = roots_from_environment()
    manager.longest = time_limit
    return manager


def end() -> None:
    """Ends what trains and what measures, and keeps checkpoints; for a server that leaves without Python's `atexit`."""
    from resnet_lab.ui.common import jobs

    jobs.end_all()
    if "resnet_lab.runs.manager" in sys.modules:  # or nothing has trained here
        manager().close()
