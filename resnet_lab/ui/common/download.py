"""A button that writes its file when it is pressed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st


def download(label: str, write: Callable[[], bytes | str], name: str, mime: str, **look: Any) -> None:
    """Calls `write` at the press. Without a rerun: it would take the file away before the browser fetches it."""
    st.download_button(label, write, name, mime, icon=":material/download:", on_click="ignore", **look)
