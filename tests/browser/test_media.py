"""What the server keeps of a session that is gone (docs/decisions/media.md)."""

import time
import urllib.error
import urllib.request

import pytest

from benchmarks.harness import READY

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
SOON = 2  # seconds after which a session that was left may be closed


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """For the server, which is started after this."""
    monkeypatch.setenv("STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL", str(SOON))


def is_served(address):
    """Else the server knows it no more; any other answer is an error."""
    try:
        urllib.request.urlopen(address).close()
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return False
    return True


def visit_and_leave(browser, address, pictures=0):
    """A session of its own; returns the addresses of the images that it showed."""
    context = browser.new_context()
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector(READY)
    page.wait_for_function(f"document.querySelectorAll('[data-testid=stImage] img').length >= {pictures}")
    shown = page.eval_on_selector_all("[data-testid=stImage] img", "all => all.map(one => one.src)")
    context.close()
    return shown


def test_pictures_go_with_their_session_when_the_next_one_has_come_and_gone(runs, server, browser):
    shown = visit_and_leave(browser, f"{server}/prediction?source=Test", pictures=3)
    assert len(shown) == 3
    assert all(map(is_served, shown))
    time.sleep(SOON + 1)
    deadline = time.monotonic() + 30
    while any(map(is_served, shown)):
        assert time.monotonic() < deadline
        visit_and_leave(browser, f"{server}/runs")
