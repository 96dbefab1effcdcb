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
        self.source = ""  # what live curves ask for
        self._has: list[str] = []  # the names of the figures that are here whole

    async def __aenter__(self) -> Self:
        address = self._address.replace("http", "ws", 1) + "/_stcore/stream"
        self._curves: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._socket = await websockets.connect(
            address, subprotocols=["streamlit"], max_size=None, additional_headers=self._headers, proxy=None,  # type: ignore[list-item]
        )  # fmt: skip
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self._socket.close()
        if self._curves is not None:
            self._curves[1].close()

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

    async def upload(self, widget_id: str, name: str, data: bytes) -> Answer:
        """Uploads a file into the uploader of that id, and runs the page with it."""
        message = BackMsg()
        message.file_urls_request.request_id = message.file_urls_request.session_id = "1"
        message.file_urls_request.file_names.append(name)
        await self._socket.send(message.SerializeToString())
        urls = None
        while urls is None:
            reply = ForwardMsg.FromString(await self._socket.recv())
            if reply.WhichOneof("type") == "file_urls_response":
                (urls,) = reply.file_urls_response.file_urls
        await asyncio.to_thread(self._put, f"{self._address}{urls.upload_url}", name, data)
        state = WidgetState(id=widget_id)
        state.file_uploader_state_value.uploaded_file_info.add(
            file_id=urls.file_id, name=name, size=len(data), file_urls=urls
        )
        self._widgets[widget_id] = state
        return await self._ask(BackMsg())

    def _put(self, url: str, name: str, data: bytes) -> None:
        """As a form, with the word against requests from foreign pages (XSRF) that the server has set as a cookie."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        health = urllib.request.Request(f"{self._address}/_stcore/health", headers=self._headers)
        said = opener.open(health).headers.get_all("Set-Cookie") or []
        cookie = next(each.partition(";")[0] for each in said if each.startswith("_streamlit_xsrf="))
        head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        headers = {
            "Content-Type": "multipart/form-data; boundary=x",
            "X-Xsrftoken": cookie.partition("=")[2].strip('"'),
            "Cookie": "; ".join([cookie, *self._headers.values()]),
        }
        body = head + data + b"\r\n--x--\r\n"
        opener.open(urllib.request.Request(url, body, headers, method="PUT"))

    async def ask(self) -> Answer:
        """What live curves do each second: asks for what is new, over a connection that stays."""
        at = urllib.parse.urlsplit(self._address)
        if self._curves is None:
            self._curves = await asyncio.open_connection(at.hostname, at.port)
        reader, writer = self._curves
        lines = [f"GET /{self.source}&has={','.join(self._has)} HTTP/1.1", f"Host: {at.netloc}"]
        lines += [f"{name}: {value}" for name, value in self._headers.items()]
        began = time.perf_counter()
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        body = await reader.readexactly(length)
        answer = Answer(time.perf_counter() - began, len(head) + length)
        if not head.startswith(b"HTTP/1.1 200"):
            answer.errors.append(body.decode(errors="replace")[:200])
        else:
            self._has = [each["name"] for each in json.loads(body)["figures"]]
        return answer

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
            data = json.loads(element.bidi_component.json or "{}")
            if "source" in data:
                self.source, self._has = data["source"], []


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
