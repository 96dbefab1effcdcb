"""The door: what stands before every request of the app, so that nothing of it is reached without a code.

Without a class it lets in this machine alone. With one it lets in whoever carries a pass, which the code page gives.
"""

from __future__ import annotations

import asyncio
import ipaddress
from html import escape
from pathlib import Path
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from resnet_lab.classroom.access import CLASS_CODE, TEACHER_CODE, Tries
from resnet_lab.classroom.classroom import COOKIE, Classroom
from resnet_lab.classroom.people import HOURS, Person

ENTER = "/enter"
HEALTH = "/_stcore/health"
LONGEST_FORM = 4000  # bytes
MEGABYTE = 10**6
PAGE = Path(__file__).with_name("code_page.html").read_text()
NO_CLASS = (
    "ResNet Lab runs here for its own machine alone. To let a class in, whoever starts it sets "
    f"{CLASS_CODE} and {TEACHER_CODE}."
)


class Door:
    """ASGI middleware around the app of a `classroom`."""

    def __init__(self, app: ASGIApp, classroom: Classroom, has_login: bool = False, base: str = "") -> None:
        """`base` is the path under which the app is served, such as "/lab"; `has_login`, whether it asks by itself."""
        self.app, self.classroom, self.has_login = app, classroom, has_login
        self.enter, self.health = base + ENTER, base + HEALTH
        self.home = base + "/"
        self.tries = Tries()
        self.sleep = asyncio.sleep
        self._one_by_one = [asyncio.Lock() for _ in range(100)]  # shared out to addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] == self.health:
            return await self.app(scope, receive, send)
        if not self.classroom.is_open:
            if self.has_login or is_local(scope):
                return await self.app(scope, receive, send)
            return await self._refuse(PlainTextResponse(NO_CLASS, 403), scope, receive, send)
        if scope["type"] == "http" and scope["path"] == self.enter:
            return await (await self._enter(Request(scope, receive)))(scope, receive, send)
        person = self.classroom.person(HTTPConnection(scope).cookies)
        if person is None:
            return await self._refuse(self._ask(scope), scope, receive, send)
        if self._is_too_large(scope, person):
            return await self._refuse(PlainTextResponse("This file is too large.", 413), scope, receive, send)
        return await self.app(scope, receive, send)

    async def _refuse(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        """A socket is closed before it is accepted, which the browser sees as 403."""
        refusal = WebSocketClose(1008) if scope["type"] == "websocket" else response
        await refusal(scope, receive, send)

    async def _enter(self, request: Request) -> Response:
        """The code page, and what it sends: then a pass and the way on, or the page again."""
        if request.method != "POST":
            return self._page("", 200, self.home)
        if int(request.headers.get("content-length", LONGEST_FORM + 1)) > LONGEST_FORM:
            return PlainTextResponse("This form is too long.", 413)
        fields = parse_qs((await request.body()).decode(errors="replace"))
        code, name, onward = (fields.get(field, [""])[0] for field in ("code", "name", "next"))
        if not onward.startswith("/") or onward[1:2] in ("/", "\\"):  # another host
            onward = self.home
        address = request.client.host if request.client else ""
        async with self._one_by_one[hash(address) % len(self._one_by_one)]:  # many tries at once gain nothing
            if self.tries.are_spent(address):
                problem = "Too many wrong codes from here; try again in ten minutes."
                return self._page(problem, 429, onward, name)
            person = self.classroom.let_in(code, request.cookies)
            if person is None:
                await self.sleep(self.tries.wrong(address))
                return self._page("That is not the code of this class.", 401, onward, name)
        self.classroom.room.rename(person, name)
        response = RedirectResponse(onward, 303)
        response.set_cookie(
            COOKIE, self.classroom.passes.issue(person), max_age=HOURS * 3600, httponly=True, samesite="lax",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return response

    def _ask(self, scope: Scope) -> Response:
        """The code page where a person has opened a page; a word where a program has asked for something else."""
        if "text/html" not in Headers(scope=scope).get("accept", "") or scope.get("method") != "GET":
            return PlainTextResponse("The code of the class is needed.", 401)
        query = scope["query_string"].decode("latin-1")
        return self._page("", 401, scope["path"] + (f"?{query}" if query else ""))

    def _page(self, problem: str, status: int, onward: str, name: str = "") -> Response:
        page = PAGE
        for place, text in {"action": self.enter, "problem": problem, "next": onward, "name": name}.items():
            page = page.replace(f"[[{place}]]", escape(text))
        return HTMLResponse(page, status, {"Cache-Control": "no-store"})

    def _is_too_large(self, scope: Scope, person: Person) -> bool:
        """Whether a student sends more than they may, or does not say how much."""
        limits = self.classroom.limits_of(person.id)
        if limits is None or scope["type"] != "http" or scope["method"] not in ("POST", "PUT"):
            return False
        said = Headers(scope=scope).get("content-length", "")
        return not said.isdigit() or int(said) > limits.upload_mb * MEGABYTE + LONGEST_FORM  # a form's frame


def is_local(scope: Scope) -> bool:
    """Whether a request comes from this machine (a Unix socket has no address)."""
    client = scope.get("client")
    try:
        return client is None or ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False
