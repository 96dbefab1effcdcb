from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from resnet_lab.runs import manager as manager_module

APP = Path(__file__).parents[2] / "app.py"


@pytest.fixture(autouse=True)
def _fresh_process(monkeypatch):
    """Each test has a process of its own, as far as Streamlit's caches go; its workers end with it."""
    managers = []
    start = manager_module.RunManager.__init__

    def remember(self, store):
        start(self, store)
        managers.append(self)

    monkeypatch.setattr(manager_module.RunManager, "__init__", remember)
    st.cache_resource.clear()
    yield
    for manager in managers:
        manager.close(timeout=30)
    st.cache_resource.clear()


@pytest.fixture
def open_page():
    """open_page("training", run="…") → the page as a session that came by the menu sees it."""

    def open_page(name, **query):
        at = AppTest.from_file(APP, default_timeout=60)
        at.run()
        for key, value in query.items():
            at.query_params[key] = value
        return at.switch_page(f"pages/{name}.py").run()

    return open_page
