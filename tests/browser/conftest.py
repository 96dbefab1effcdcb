"""A fresh server on 127.0.0.1 and a real Chromium."""

import os

import pytest
import torch

from benchmarks.harness import FLAGS, READY, VIEWPORT, find_browser, running_server
from resnet_lab.data import load_dataset
from resnet_lab.models import create_model
from resnet_lab.runs import RunStore
from resnet_lab.training import TrainConfig

NO_BROWSER = (
    "no Chromium found: install Debian's chromium, Google Chrome, or run `playwright install chromium`; "
    "RESNET_LAB_REQUIRE_BROWSER=1 makes this a failure"
)


def pytest_terminal_summary(terminalreporter):
    """The reason, once: pytest would print it for each test, or (as here, with -q) not at all."""
    if any(NO_BROWSER in str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(f"browser tests skipped: {NO_BROWSER}")


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        path = find_browser(playwright)
        if path is None:
            if os.environ.get("RESNET_LAB_REQUIRE_BROWSER") == "1":
                pytest.fail(NO_BROWSER)
            pytest.skip(NO_BROWSER)
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def server(tmp_path, shapes_cache):
    with running_server(tmp_path / "runs", shapes_cache) as address:
        yield address


@pytest.fixture
def runs(tmp_path):
    """Two that can be asked, as good as trained."""
    store, data = RunStore(tmp_path / "runs"), load_dataset("shapes", split="test", limit=10)
    for name in ("resnet20", "plain20"):
        run, model = store.create(TrainConfig(name)), create_model(name, num_classes=10)
        state = {"spec": model.spec.to_json(), "model": model.state_dict(), "classes": list(data.classes)}
        torch.save(state | {"image_size": 32, "mean": data.mean, "std": data.std}, run.path / "best.pt")
        run.set_status(state="completed")


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport=VIEWPORT)
    context.set_default_timeout(60_000)
    page = context.new_page()
    yield page
    context.close()


@pytest.fixture
def visit(page):
    """Opens an address and waits until the app has nothing more to do."""

    def visit(address):
        page.goto(address)
        page.wait_for_selector(READY)
        return page

    return visit
