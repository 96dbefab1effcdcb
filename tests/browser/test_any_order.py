"""From each page to each other one, in one session, after touching what is there."""

import itertools
import random

import pytest
from playwright.sync_api import TimeoutError as TooLong
from playwright.sync_api import expect

from benchmarks.harness import READY

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
TITLES = {
    "Home": "ResNet Lab",
    "Architecture": "Architecture",
    "Training": "Training",
    "Comparison": "Comparison",
    "Prediction": "Prediction",
    "Runs": "Runs",
}
TOUCHES = 4  # of a page before it is left
SETTLE = 60_000  # ms
# What a reader may press again and again; other buttons start work, or lead elsewhere.
TOUCHABLE = (
    "[data-testid=stButtonGroup] button:enabled:visible, [data-testid=stCheckbox]:visible label, "
    "[data-testid=stNumberInputStepUp]:enabled:visible, [data-testid=stRadio]:visible label"
)


def every_pair(pages):
    """A way that passes from each to each other once and ends where it began (Hierholzer 1873)."""
    ahead = {page: [other for other in pages if other != page] for page in pages}
    way, stack = [], [pages[0]]
    while stack:
        if ahead[stack[-1]]:
            stack.append(ahead[stack[-1]].pop())
        else:
            way.append(stack.pop())
    return way[::-1]


def test_the_way_passes_from_each_page_to_each_other():
    way = every_pair(list(TITLES))
    assert sorted(itertools.pairwise(way)) == sorted(itertools.permutations(TITLES, 2))


def settled(page, title):
    page.wait_for_selector(READY, timeout=SETTLE)
    if title != "Home":  # a lesson there has a title of its own
        expect(page.get_by_role("heading", level=1)).to_have_text(TITLES[title], timeout=SETTLE)
    page.wait_for_selector(READY, timeout=SETTLE)
    assert page.get_by_test_id("stException").count() == 0, page.get_by_test_id(
        "stException"
    ).first.inner_text()


def press(button):
    """Click, unless the button goes away meanwhile: an earlier press may take effect only now."""
    try:
        button.click(timeout=SETTLE / 4)
    except TooLong:
        if button.count():
            raise


def touch(page, title, choose, folder):
    """One of the page's widgets; `folder` holds a file that is no image."""
    if title == "Home" and (begin := page.get_by_role("button", name="Begin")).count():
        press(begin.nth(choose.randrange(begin.count())))
    elif title == "Prediction" and choose.random() < 0.3 and page.get_by_test_id("stFileUploader").count():
        upload = page.get_by_test_id("stFileUploaderDropzoneInput").first
        whole = upload.get_attribute("webkitdirectory") is not None
        upload.set_input_files(folder if whole else folder / "letter.png")
    elif (found := page.locator(TOUCHABLE)).count():
        press(found.nth(choose.randrange(found.count())))
    page.wait_for_timeout(100)  # until the press has reached the server
    page.wait_for_selector(READY, timeout=SETTLE)


def test_each_page_after_each_other(runs, server, visit, page, tmp_path):
    choose, folder = random.Random(0), tmp_path / "folder"
    folder.mkdir()
    (folder / "letter.png").write_bytes(b"Dear image")
    first, *way = every_pair(list(TITLES))
    visit(server)
    settled(page, first)
    for before, title in zip([first, *way], way, strict=False):
        for _ in range(TOUCHES):
            touch(page, before, choose, folder)
        settled(page, before)
        page.get_by_test_id("stSidebarNavLink").filter(has_text=title).click()
        settled(page, title)
