"""Takes the pictures of docs/guide.md from the app itself, with real runs.

python -m benchmarks.screenshots RUNS DATA

RUNS must hold a finished resnet20 and a race of resnet32 and plain32 (`train --recipe quick`, then the Race button,
or `train --recipe race-32` with each of the two variants).
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.harness import FLAGS, READY, ROOT, VIEWPORT, find_browser, running_server
from resnet_lab.runs import RunStore

VIEWS = {
    "home": "",
    "architecture": "architecture?variant=resnet50",
    "training": "training?run={run}",
    "comparison": "comparison",
    "prediction": "prediction?run={run}&source=Test+picture&index=3",
    "runs": "runs",
}


def main(runs: str, data: str) -> None:
    from playwright.sync_api import sync_playwright

    newest = next(run for run in RunStore(runs).list() if run.config.spec.name == "resnet20")
    with (
        running_server(Path(runs).resolve(), Path(data).resolve()) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_browser(playwright), args=FLAGS)
        for scheme in ("light", "dark"):
            for name, path in VIEWS.items():
                page = browser.new_page(viewport=VIEWPORT, color_scheme=scheme)
                page.goto(f"{address}/{path.format(run=newest.id)}")
                page.wait_for_selector(READY)
                page.wait_for_timeout(2500)  # charts and pictures arrive after the script is done
                page.screenshot(path=ROOT / "docs" / "images" / f"{name}-{scheme}.png")
                page.close()
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
