"""What a widget remembers, where its options come and go."""

from __future__ import annotations

from collections.abc import Container

import streamlit as st


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
