"""A browser's part of Streamlit's protocol, as light as a client can be: many sessions of the lab in one process.

It sends what a browser sends (reruns, values of widgets, refreshes of parts of a page) and counts what comes back;
it draws nothing. Of a live chart it says, as the browser does, which figure it has.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

PATIENCE = 120.0  # seconds for an answer


@dataclass
class Answer:
    """To one rerun: how long it took, how many bytes it had, and what of it is of use here."""

    seconds: float = 0.0
    size: int = 0
    elements: list[Any] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def ids(self, kind: str, label: str) -> list[str]:
        """Of the widgets of this kind ("button") and label."""
        found = [getattr(each, kind) for each in self.elements if each.WhichOneof("type") == kind]
        return [each.id for each in found if each.label == label]


class Session:
    """One browser. Use it with `async with`; `cookie` is the pass of a class."""

    def __init__(self, address: str, cookie: str = "") -> None:
        self._address = address
        self._headers = {"Cookie": cookie} if cookie else {}
        self._widgets: dict[str, WidgetState] = {}
        self._messages: dict[str, ForwardMsg] = {}  # that the server may name again by their hash
        self._hash = ""
        self.fragments: dict[str, float] = {}  # parts that refresh themselves, and every so many seconds
        self.page = ""

    async def __aenter__(self) -> Self:
        address = self._address.replace("http", "ws", 1) + "/_stcore/stream"
        self._socket = await websockets.connect(
            address, subprotocols=["streamlit"], max_size=None, additional_headers=self._headers, proxy=None,  # type: ignore[list-item]
        )  # fmt: skip
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self._socket.close()

    async def open(self, page: str, query: str = "") -> Answer:
        """Goes to a page, as a click in the menu does."""
        if page != self.page:
            self._widgets.clear()
        self.page, self._query, self.fragments = page, query, {}
        return await self._ask(BackMsg())

    async def press(self, widget_id: str) -> Answer:
        """Presses a button, whether or not it is offered."""
        pressed = WidgetState(id=widget_id, trigger_value=True)
        return await self._ask(BackMsg(), [pressed])

    async def refresh(self, fragment: str) -> Answer:
        """What a part of the page does by itself."""
        message = BackMsg()
        message.rerun_script.fragment_id = fragment
        message.rerun_script.is_auto_rerun = True
        return await self._ask(message)

    async def _ask(self, message: BackMsg, more: Iterable[WidgetState] = ()) -> Answer:
        rerun = message.rerun_script
        rerun.page_name, rerun.query_string = self.page, getattr(self, "_query", "")
        if rerun.fragment_id:
            rerun.page_script_hash = self._hash
        rerun.widget_states.widgets.extend([*self._widgets.values(), *more])
        answer, began = Answer(), time.perf_counter()
        await self._socket.send(message.SerializeToString())
        async with asyncio.timeout(PATIENCE):
            while not self._note(await self._socket.recv(), answer):
                pass
        answer.seconds = time.perf_counter() - began
        return answer

    def _note(self, raw: Any, answer: Answer) -> bool:
        """Takes a message over; whether it was the last of an answer."""
        answer.size += len(raw)
        message = ForwardMsg.FromString(raw)
        if message.WhichOneof("type") == "ref_hash":
            message = self._messages.get(message.ref_hash, message)
        elif message.metadata.cacheable:
            self._messages[message.hash] = message
        match message.WhichOneof("type"):
            case "new_session":
                self._hash = message.new_session.page_script_hash
            case "auto_rerun":
                self.fragments[message.auto_rerun.fragment_id] = message.auto_rerun.interval
            case "delta" if message.delta.WhichOneof("type") == "new_element":
                self._see(message.delta.new_element, answer)
            case "script_finished":
                return message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN
        return False

    def _see(self, element: Any, answer: Answer) -> None:
        kind = element.WhichOneof("type")
        answer.elements.append(element)
        if kind == "exception":
            answer.errors.append(element.exception.message)
        elif kind == "bidi_component":
            chart = element.bidi_component
            with suppress(ValueError):
                if name := json.loads(chart.json or "{}").get("name"):
                    self._widgets[chart.id] = WidgetState(id=chart.id, json_value=json.dumps({"has": name}))


def enter(address: str, code: str, name: str = "") -> str:
    """Types the code of a class; returns the cookie."""
    data = urllib.parse.urlencode({"code": code, "name": name, "next": "/"}).encode()

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay())
    try:
        answer: Any = opener.open(f"{address}/enter", data)
    except urllib.error.HTTPError as error:
        answer = error
    assert answer.status == 303, answer.status
    return str(answer.headers["Set-Cookie"]).partition(";")[0]
