"""People who log in by Streamlit's own means (OIDC), in place of a code."""

from __future__ import annotations

import os
from functools import cache
from hashlib import sha256

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from resnet_lab.classroom.people import TEACHER, Person

TEACHERS = "RESNET_LAB_TEACHERS"  # addresses, separated by commas


@cache
def has_login() -> bool:
    """Whether .streamlit/secrets.toml has an [auth] section; read once a process."""
    try:
        return "auth" in st.secrets
    except StreamlitSecretNotFoundError:
        return False


def logged_in() -> Person:
    """Who is logged in; ends the page with a button to do so where nobody is."""
    if not st.user.is_logged_in:
        st.title("ResNet Lab", anchor=False)
        st.button("Log in", type="primary", on_click=st.login)
        st.stop()
    address = str(st.user.get("email") or st.user.get("sub"))
    teachers = {each.strip().casefold() for each in os.environ.get(TEACHERS, "").split(",")}
    if address.casefold() in teachers:
        return Person(TEACHER, is_teacher=True)
    return Person(sha256(address.encode()).hexdigest()[:16])
