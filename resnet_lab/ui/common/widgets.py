"""What a widget remembers, where its options come and go."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import streamlit as st

from resnet_lab.ui.common import navigation


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


def one_of(label: str, options: Sequence[str], key: str, default: str, **look: Any) -> str:
    """A segmented control whose `key` is its name in the link, and of which one is always chosen.

    Streamlit takes an empty `?key=` for nothing chosen, although that is not offered.
    """
    navigation.rewrite_link({key: []} if st.query_params.get(key) == "" else {})
    forget_unless(key, options)
    return st.segmented_control(
        label, options, default=default, key=key, bind="query-params", required=True, **look
    )
