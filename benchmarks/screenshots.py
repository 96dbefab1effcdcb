"""Takes the images of docs/guide.md from the app itself, with real runs.

python -m benchmarks.screenshots runs data

The first folder must hold a finished resnet20 on shapes and on a folder, and a race of resnet32 and plain32.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.harness import FLAGS, READY, ROOT, VIEWPORT, find_browser, running_server
from resnet_lab.data.shapes import draw_shape
from resnet_lab.runs import RunStore


def _nothing(page: Any) -> None:
    pass


def _upload(page: Any) -> None:
    data = io.BytesIO()
    Image.fromarray(draw_shape(seed=11, index=3, size=200)[0]).save(data, "PNG")
    file: Any = {"name": "my picture.png", "mimeType": "image/png", "buffer": data.getvalue()}
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files([file])


def _below_the_diagram(page: Any) -> None:
    page.get_by_test_id("stButtonGroup").first.scroll_into_view_if_needed()
    page.mouse.move(700, 400)
    page.mouse.wheel(0, 420)


def _measure(page: Any) -> None:
    page.get_by_role("button", name="Check with a real step").click()
    page.get_by_text("Time of the step").wait_for(timeout=60_000)
    _below_the_diagram(page)


def _gradients(page: Any) -> None:
    page.get_by_text("what is said").wait_for(timeout=60_000)
    page.mouse.move(700, 400)
    page.mouse.wheel(0, 300)


def _job(button: str) -> Callable[[Any], None]:
    """Presses it, waits until the work beside the page is done, and looks at the charts."""

    def act(page: Any) -> None:
        page.get_by_role("button", name=button, exact=True).click()
        page.wait_for_timeout(2000)
        page.get_by_role("button", name="Cancel").first.wait_for(state="detached", timeout=300_000)
        page.mouse.move(700, 400)
        page.mouse.wheel(0, 420)

    return act


def _predicted(page: Any) -> None:
    page.get_by_text("The residual net is ahead by 10 to 25 points").click()
    page.get_by_text("Measured:").wait_for(timeout=60_000)


VIEWS: dict[str, tuple[str, Callable[[Any], None]]] = {
    "home": ("", _nothing),
    "architecture": ("architecture?variant=resnet50", _nothing),
    "explain": ("architecture?variant=resnet50&at=layer2.0.conv2", _below_the_diagram),
    "memory": ("architecture?variant=resnet50&section=Memory&batch=8", _measure),
    "beside": ("architecture?variant=resnet34&section=Side+by+side", _below_the_diagram),
    "build": ("architecture?spec=resnet50.name-my_resnet50.groups-8.dilation-0-1-1", _nothing),
    "published": ("architecture?variant=resnet50&section=Published", _below_the_diagram),
    "source": ("architecture?variant=resnet20&section=Export&code=true", _below_the_diagram),
    "training": ("training?run={shapes}", _nothing),
    "training-cifar10-jpeg": ("training?run={folder}", _nothing),
    "comparison": ("comparison", _nothing),
    "gradients": ("comparison?experiment=Gradients", _gradients),
    "lesion": ("comparison?experiment=Lesion", _job("Remove each in turn")),
    "surface": ("comparison?experiment=Surface", _job("Compute")),
    "lesson": ("?lesson=shortcut", _predicted),
    "prediction": ("prediction?run={shapes}&source=Test&index=3", _nothing),
    "stages": ("prediction?run={shapes}&source=Test&index=3&view=All+stages", _nothing),
    "two-nets": ("prediction?run={shapes}&source=Test&index=3&view=Compare", _nothing),
    "trust": (
        "prediction?run={shapes}&source=Test&index=3&view=Sanity+checks",
        _job("Check with random weights"),
    ),
    "scores": ("prediction?run={shapes}&source=Test&view=Localization", _job("Score")),
    "all-pictures": (
        "prediction?run={shapes}&source=Test&view=Batch",
        _job("Predict 1,000 images"),
    ),
    "upload": ("prediction?run={shapes}", _upload),
    "runs": ("runs", _nothing),
}


def main(runs: str, data: str) -> None:
    from playwright.sync_api import sync_playwright

    nets = [run for run in RunStore(runs).list() if run.config.spec.name == "resnet20"]
    best = sorted(nets, key=lambda run: run.status.test_accuracy or 0.0)
    names = {
        "shapes": next(run.id for run in reversed(best) if run.config.dataset == "shapes"),
        "folder": next(run.id for run in reversed(best) if run.config.dataset.startswith("folder:")),
    }
    with (
        running_server(Path(runs).resolve(), Path(data).resolve()) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_browser(playwright), args=FLAGS)
        for scheme in ("light", "dark"):
            for name, (path, act) in VIEWS.items():
                page = browser.new_page(viewport=VIEWPORT, color_scheme=scheme)
                page.goto(f"{address}/{path.format(**names)}")
                page.wait_for_selector(READY)
                page.wait_for_timeout(1500)  # charts and images arrive after the script is done
                act(page)
                page.wait_for_timeout(1500)
                page.screenshot(path=ROOT / "docs" / "images" / f"{name}-{scheme}.png")
                page.close()
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
