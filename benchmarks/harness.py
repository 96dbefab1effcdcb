"""A server of the lab and a headless browser, for the benchmarks and for tests/browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
READY = '[data-testid="stApp"][data-test-script-state="notRunning"][data-test-connection-state="CONNECTED"]'
VIEWPORT: Any = {"width": 1280, "height": 720}


def find_browser(playwright: Any) -> str | None:
    """The path of an installed Chromium or Chrome, else of Playwright's own; None where there is neither."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    installed = next((path for name in names if (path := shutil.which(name))), None)
    own = playwright.chromium.executable_path
    return installed or (own if Path(own).exists() else None)


@contextmanager
def running_server(runs: Path, data: Path, *options: str) -> Iterator[str]:
    """A fresh server on 127.0.0.1 with these folders and further options of `streamlit run`; yields its address."""
    with running_script(
        ROOT / "app.py", *options, RESNET_LAB_RUNS=str(runs), RESNET_LAB_DATA=str(data)
    ) as address:
        yield address


@contextmanager
def running_script(script: Path, *options: str, **environment: str) -> Iterator[str]:
    """Serves a script of Streamlit, from its own folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", script.name, "--server.headless", "true"]
    server = subprocess.Popen(
        [*command, "--server.port", str(port), *options],
        cwd=script.parent,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_healthy(address)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_until_healthy(address: str) -> None:
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({})
    )  # whatever proxy this machine goes by
    for _ in range(600):
        try:
            direct.open(f"{address}/_stcore/health", timeout=1)
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(address)
