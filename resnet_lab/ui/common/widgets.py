"""What several pages ask, say and hand out in the same way."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import streamlit as st

from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.markdown import escape_markdown

T = TypeVar("T")


def forget_unless(key: str, options: Container[object]) -> None:
    """Call it before the widget of this `key`: Streamlit ends the page at a value that is not offered any more.

    Of several values those that are still offered stay.
    """
    value = st.session_state.get(key)
    if isinstance(value, list):
        if any(one not in options for one in value):
            st.session_state[key] = [one for one in value if one in options]
    elif value is not None and value not in options:
        del st.session_state[key]


def from_link(name: str, read: Callable[[str], T], what: str, instead: str = "") -> T | None:
    """What `read` makes of this name in the address; where it cannot, the page says so and the name leaves it."""
    try:
        return read(st.query_params[name])
    except ValueError as error:
        st.error(f"{what} cannot be read: {escape_markdown(str(error))}.{instead}")
        st.query_params.pop(name, None)
        return None


def keep_in_link(name: str, value: str) -> None:
    """Writes a value into the address, unless it stands there already; "" takes its name out."""
    if not value:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != value:
        st.query_params[name] = value


def options_of(labels: Mapping[Any, str]) -> dict[str, Any]:
    """What a widget offers, and the words for it."""
    return {"options": list(labels), "format_func": labels.__getitem__}


def one_of(label: str, options: Sequence[str], key: str, default: str, **look: Any) -> str:
    """A segmented control whose `key` is its name in the link, and of which one is always chosen.

    Streamlit takes an empty `?key=` for nothing chosen, although that is not offered.
    """
    navigation.rewrite_link({key: []} if st.query_params.get(key) == "" else {})
    forget_unless(key, options)
    return st.segmented_control(
        label, options, default=default, key=key, bind="query-params", required=True, **look
    )


def one_titled(label: str, titles: Mapping[str, str], key: str, **look: Any) -> str:
    """A box of titles, one of which is chosen; returns its name. The link has the title, and may have the name."""
    if (said := st.query_params.get(key, "")) in titles:
        navigation.rewrite_link({key: [titles[said]]})
    names = {title: name for name, title in titles.items()}
    return names[st.selectbox(label, list(names), key=key, bind="query-params", **look)]


def download(label: str, write: Callable[[], bytes | str], name: str, mime: str, **look: Any) -> None:
    """Calls `write` at the press. Without a rerun: it would take the file away before the browser fetches it."""
    st.download_button(label, write, name, mime, icon=":material/download:", on_click="ignore", **look)


@contextmanager
def problems_said(*kinds: type[Exception], icon: str | None = None) -> Iterator[None]:
    """What ends with one of these exceptions is left there, and the page says why in one sentence."""
    try:
        yield
    except kinds as error:
        st.error(escape_markdown(str(error)), icon=icon)
