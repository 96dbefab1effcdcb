"""A class in a real browser: a teacher, two students, each in a context of their own, and a stranger without a code."""

import asyncio
import http.client
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from benchmarks.harness import READY, VIEWPORT, running_server
from benchmarks.sessions import Session, enter
from resnet_lab.classroom.people import Passes
from resnet_lab.classroom.room import key_of
from resnet_lab.runs import RunStore
from resnet_lab.training import TrainConfig

pytestmark = pytest.mark.browser
CODES = {"RESNET_LAB_CLASS_CODE": "shortcut", "RESNET_LAB_TEACHER_CODE": "identity map"}
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def class_runs(tmp_path_factory):
    return RunStore(tmp_path_factory.mktemp("class") / "runs")


@pytest.fixture(scope="module")
def class_server(class_runs):
    with pytest.MonkeyPatch.context() as patch:
        for name, code in CODES.items():
            patch.setenv(name, code)
        with running_server(class_runs.root, class_runs.root.parent / "data") as address:
            yield address


@pytest.fixture
def come_in(browser, class_server):
    """come_in("shortcut", "Ada") → a page of a new browser that has typed the code."""
    contexts = []

    def come_in(code, name="", viewport=VIEWPORT):
        contexts.append(browser.new_context(viewport=viewport))
        page = contexts[-1].new_page()
        page.goto(class_server)
        page.fill("#code", code)
        page.fill("#name", name)
        page.get_by_role("button", name="Enter").click()
        return page

    yield come_in
    for context in contexts:
        context.close()


def ready(page):
    page.wait_for_selector(READY, timeout=60_000)
    return page


def test_a_class_votes_and_follows(come_in, class_server):
    teacher, ada = ready(come_in("identity map")), ready(come_in("shortcut", "Ada"))
    zoe = ready(come_in("Shortcut ", "Zoe", PHONE))
    teacher.goto(f"{class_server}/?lesson=degradation")
    ready(teacher).get_by_text("Present", exact=True).click()
    ready(ada).get_by_text("Follow the teacher").click()
    ada.wait_for_url("**/?lesson=degradation", timeout=60_000)
    zoe.get_by_role("button", name="Go there").click(timeout=60_000)
    zoe.wait_for_url("**/?lesson=degradation", timeout=60_000)
    for page, choice in (
        (ada, "Neither, within 3 points"),
        (zoe, "The one with 20 layers, by 3 points or more"),
    ):
        ready(page).get_by_text(choice).click()
    teacher.get_by_text("(2 votes)").wait_for(timeout=60_000)

    teacher.get_by_role("link", name="Comparison").click()
    ada.wait_for_url("**/comparison*", timeout=60_000)
    ready(teacher).get_by_text("Depth", exact=True).first.click()
    ada.wait_for_url("**/comparison?experiment=Depth", timeout=60_000)
    ada.get_by_text("This is what the teacher shows.").wait_for(timeout=60_000)
    zoe.get_by_text("The teacher shows").wait_for(timeout=60_000)
    assert zoe.evaluate("document.scrollingElement.scrollWidth") <= PHONE["width"]

    teacher.get_by_role("button", name="Let the class in").click()
    teacher.get_by_text("Code: shortcut").wait_for(timeout=60_000)


def test_a_wrong_code_is_said(come_in):
    page = come_in("wrong", "Eve")
    page.get_by_text("That is not the code of this class.").wait_for(timeout=60_000)
    assert page.input_value("#name") == "Eve"
    assert page.locator("[data-testid=stApp]").count() == 0


def test_a_stranger_reaches_no_page_no_file_and_no_metric(class_server):
    """What the real server answers, asked without the browser's manners."""
    at = urlsplit(class_server)
    paths = [
        "/", "/training", "/home?lesson=cheat", "/media/x.png", "/_stcore/metrics", "/_stcore/host-config",
        "/_stcore/../_stcore/metrics", "//_stcore/metrics", "/static/js/index.js", "/component/x/y.js",
        "/_stcore/health/../metrics", "/_stcore/script-health-check", "/~/+/_stcore/metrics", "/.streamlit/config.toml",
    ]  # fmt: skip
    for path in paths:
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"):
            connection = http.client.HTTPConnection(at.hostname, at.port, timeout=20)
            connection.request(method, path, headers={"Cookie": "resnet_lab_pass=teacher"})
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 401, (method, path, answer.status)
            assert body in (b"", b"The code of the class is needed."), (method, path)
            connection.close()

    socket = class_server.replace("http", "ws") + "/_stcore/stream"
    with pytest.raises(InvalidStatus, match="403"):
        connect(socket, subprotocols=["streamlit"], proxy=None)


def test_a_forged_message_does_not_touch_anothers_run(class_server, class_runs):
    """Zoe presses a button of her own run; Ada sends the same message from her page, which does not offer it."""
    passes = Passes(key_of(class_runs.root), tuple(CODES.values()))
    ada, zoe = (enter(class_server, "shortcut", name) for name in ("Ada", "Zoe"))
    owner = passes.read(zoe.partition("=")[2]).id
    runs = {
        "Ada": class_runs.create(TrainConfig(), owner=owner),
        "Zoe": class_runs.create(TrainConfig(), owner=owner),
    }
    for run in runs.values():
        run.set_status(state="stopped")

    async def press(cookie, run):
        async with Session(class_server, cookie) as session:
            page = await session.open("training", f"run={run.id}")
            (button,) = page.ids("button", "Resume")
            return page.errors + (await session.press(button)).errors

    with ThreadPoolExecutor() as another_thread:  # Playwright keeps a loop in this one
        for cookie, run in ((ada, runs["Ada"]), (zoe, runs["Zoe"])):
            assert another_thread.submit(asyncio.run, press(cookie, run)).result(timeout=200) == []
    assert runs["Ada"].status.state == "stopped"
    assert runs["Zoe"].status.state in ("queued", "running")
    runs["Zoe"].ask("stop")
