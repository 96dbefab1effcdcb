"""How quick the pages are: first paint of a fresh server, and page switches, idle and while a run trains.

    python -m benchmarks.pages [switches]

A switch is measured in the browser, from the click on the menu to the new page's heading with the script done.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import FLAGS, READY, VIEWPORT, find_browser, running_server
from resnet_lab.data import load_dataset
from resnet_lab.runs import Run, RunStore
from resnet_lab.training.events import StepEvent
from resnet_lab.training.execution.device import device_name, pick_device

TITLES = ("Architecture", "Training", "Comparison", "Prediction", "Runs")
SERVERS = 5
MAP = "Grad-CAM over the image"  # under the picture, once it is there


def main(switches: int = 60) -> None:
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        data = Path(folder) / "data"
        load_dataset("shapes", root=data), load_dataset("shapes", split="test", root=data)
        browser = playwright.chromium.launch(executable_path=find_browser(playwright), args=FLAGS)
        print(f"{device_name(pick_device('cpu'))}; Chromium {browser.version} on the same machine\n")
        print(f"{'':42}{'n':>4}{'p50':>9}{'p95':>9}{'max':>9}")
        for path in ("", "training"):
            times = [_first_paint(browser, Path(folder), data, path)[0] for _ in range(SERVERS)]
            _print(f"first paint of a fresh server, /{path}", times)
        times = [_first_paint(browser, Path(folder), data, "prediction", MAP)[1] for _ in range(SERVERS)]
        _print("from there to a sample's map, /prediction", times)
        _switches(browser, Path(folder), data, switches)
        browser.close()


def _first_paint(browser: Any, folder: Path, data: Path, path: str, then: str = "") -> tuple[float, float]:
    """Seconds until the heading stands there, and from there until the words of `then` do."""
    with running_server(folder / "empty", data) as address:
        page = browser.new_page(viewport=VIEWPORT)
        began = time.perf_counter()
        page.goto(f"{address}/{path}")
        page.get_by_role("heading", level=1).wait_for()
        painted = time.perf_counter()
        if then:
            page.get_by_text(then, exact=True).wait_for()
        shown = time.perf_counter()
        page.close()
    return painted - began, shown - painted


def _switches(browser: Any, folder: Path, data: Path, count: int) -> None:
    store = RunStore(folder / "runs")
    with running_server(store.root, data) as address:
        page = browser.new_page(viewport=VIEWPORT)
        page.goto(f"{address}/training")
        page.wait_for_selector(READY)
        _click_through(page, 2 * len(TITLES))  # every page imported once
        _print("page switch, idle", _click_through(page, count))
        page.goto(f"{address}/training?recipe=quick")
        page.get_by_role("button", name="Train", exact=True).click()
        page.wait_for_function("(document.querySelector('.live-chart')?.data?.[0]?.x?.length ?? 0) > 20")
        run = store.list()[0]
        alone = _rate(run, 0)
        seen = run.status.step
        _print("page switch, while a run trains", _click_through(page, count))
        print(f"\ntraining: {alone:,.0f} images/s watched, {_rate(run, seen):,.0f} while clicking")
        page.goto(f"{address}/training?run={run.id}")
        if run.status.is_active:
            page.get_by_role("button", name="Stop").click()
            began = time.perf_counter()
            while run.status.is_active:
                time.sleep(0.01)
            print(f"stop: {time.perf_counter() - began:.2f} s from the click to the written checkpoint")


def _rate(run: Run, after: int) -> float:
    points = [e.images_per_second for e in run.events()[0] if isinstance(e, StepEvent) and e.step > after]
    return statistics.median(points) if points else float("nan")


def _click_through(page: Any, count: int) -> list[float]:
    """Goes from page to page by the menu, round and round, with a pause between as a reader makes."""
    times = []
    for i in range(count):
        title = TITLES[i % len(TITLES)]
        link = page.get_by_test_id("stSidebarNavLink").filter(has_text=title)
        began = time.perf_counter()
        link.click()
        page.get_by_role("heading", level=1, name=title).wait_for()
        page.wait_for_selector(READY)
        times.append(time.perf_counter() - began)
        page.wait_for_timeout(150)
    return times


def _print(label: str, times: list[float]) -> None:
    ordered = sorted(times)
    p95 = ordered[min(round(0.95 * len(ordered)), len(ordered) - 1)]
    cells = "".join(f"{1000 * t:>6,.0f} ms" for t in (statistics.median(ordered), p95, ordered[-1]))
    print(f"{label:42}{len(times):>4}{cells}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
