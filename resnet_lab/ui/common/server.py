"""The server that `streamlit run app.py` starts: the door before the app, and what the terminal says to a teacher."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil
import segno
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from streamlit import config

from resnet_lab.classroom.access import AccessError
from resnet_lab.classroom.classroom import Classroom, classroom
from resnet_lab.classroom.door import Door
from resnet_lab.runs.files import RunError
from resnet_lab.ui.common import navigation
from resnet_lab.ui.common.login import has_login


def door() -> Middleware:
    """The door before the app; ends the server with a sentence where the environment does not fit together."""
    try:
        room = classroom()
    except (AccessError, RunError) as error:
        sys.exit(str(error))
    if room.is_open:  # a pass is good for the host that gave it, so other names lead nowhere
        config.set_option("server.allowedHosts", ["*"])
    return Middleware(Door, classroom=room, has_login=has_login(), base=_base())


def routes() -> list[Route]:
    """Besides Streamlit's own: what live charts ask for."""
    return [Route(f"{_base()}/live", _live)]


def _base() -> str:
    """The path under which the app is served, such as "/lab"; "" for the root."""
    base = config.get_option("server.baseUrlPath").strip("/")
    return f"/{base}" if base else ""


def _live(request: Request) -> Response:
    from resnet_lab.ui.common.live_curves import answer  # torch comes with it

    return answer(request)


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
    print(announcement(classroom()), flush=True)
    threading.Thread(target=_preload, name="preload", daemon=True).start()
    try:
        yield {}
    finally:  # uvicorn ends itself by the signal that it got
        await asyncio.to_thread(navigation.end)


def _preload() -> None:
    """While the first browser loads its scripts: what every page but Home begins with."""
    import pandas  # noqa: F401
    import plotly.graph_objects  # noqa: F401
    import torch  # noqa: F401


def announcement(room: Classroom) -> str:
    """What the terminal says of how a class gets in; "" where none does."""
    is_local = config.get_option("server.address") in ("127.0.0.1", "localhost", "::1")
    if room.codes is None:
        return "" if is_local or has_login() else "Other machines are refused: no class code is set."
    address = class_address()
    drawn = io.StringIO()
    segno.make(address, micro=False).terminal(drawn, compact=True)
    hint = "\n  Only this machine is served: add --server.address 0.0.0.0\n" if is_local else ""
    return (
        f"\n  The class opens {address}\n\n{drawn.getvalue()}\n  Code of the class: {room.codes.student}\n"
        f"  Code of the teacher: in RESNET_LAB_TEACHER_CODE\n{hint}"
    )


def class_address() -> str:
    """Where the class finds the app: an address of this machine in its network, else its own."""
    scheme = "https" if config.get_option("server.sslCertFile") else "http"
    return f"{scheme}://{_host()}:{config.get_option('server.port')}{_base() or '/'}"


def _host() -> str:
    address = config.get_option("server.address") or "0.0.0.0"
    if address not in ("0.0.0.0", "::"):
        return str(address)
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    known = [
        each.address
        for name, addresses in psutil.net_if_addrs().items()
        for each in addresses
        if name in up and each.family.name == "AF_INET" and not each.address.startswith("127.")
    ]
    return next(iter(known), "localhost")
