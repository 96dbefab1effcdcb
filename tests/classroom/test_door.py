"""Nothing behind the door without a code: asked as a browser asks, and by hand."""

import asyncio
import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from resnet_lab.classroom.access import MOST_TRIES
from resnet_lab.classroom.classroom import COOKIE, _made, classroom
from resnet_lab.classroom.door import Door
from resnet_lab.classroom.people import TEACHER

STUDENT, TEACHERS = "shortcut", "identity map"
INSIDE = [
    "/",
    "/training",
    "/media/0a1b.png",
    "/_stcore/metrics",
    "/_stcore/host-config",
    "/component/x/y.js",
]
BROWSER = {"accept": "text/html,*/*"}


@pytest.fixture
def room(monkeypatch, tmp_path):
    monkeypatch.setenv("RESNET_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("RESNET_LAB_CLASS_CODE", STUDENT)
    monkeypatch.setenv("RESNET_LAB_TEACHER_CODE", TEACHERS)
    _made.cache_clear()
    return classroom()


@pytest.fixture
def no_class(monkeypatch, tmp_path):
    monkeypatch.setenv("RESNET_LAB_RUNS", str(tmp_path / "runs"))
    return classroom()


def client_of(room, address="192.168.1.7", waited=None, **more):
    """A browser at `address` before the door of an app that says "inside" to everything."""

    async def inside(request):
        return PlainTextResponse("inside")

    async def socket(websocket):
        await websocket.accept()
        await websocket.send_text("inside")
        await websocket.close()

    routes = [
        Route("/{path:path}", inside, methods=["GET", "POST", "PUT"]),
        WebSocketRoute("/_stcore/stream", socket),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Door, classroom=room, **more)])
    client = TestClient(app, client=(address, 50_000), follow_redirects=False)
    client.get("/_stcore/health")  # builds the app
    door = app.middleware_stack.app
    while not isinstance(door, Door):
        door = door.app
    door.sleep = noted(waited if waited is not None else [])
    return client


def noted(waited):
    async def sleep(seconds):
        waited.append(seconds)

    return sleep


def enter(client, code, name="", onward="/"):
    return client.post("/enter", data={"code": code, "name": name, "next": onward})


@pytest.mark.parametrize("path", INSIDE)
def test_nothing_is_reached_without_a_code(room, path):
    client = client_of(room)
    for method in ("get", "post", "put"):
        answer = getattr(client, method)(path)
        assert (answer.status_code, "inside" in answer.text) == (401, False)
    assert client.get("/_stcore/health").text == "inside"  # says no more than that the app is up
    client.cookies.set(COOKIE, TEACHER)
    assert client.get(path).status_code == 401


def test_no_socket_without_a_code(room):
    client = client_of(room)
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/_stcore/stream"):
        pass
    enter(client, STUDENT)
    with client.websocket_connect("/_stcore/stream") as socket:
        assert socket.receive_text() == "inside"


def test_a_person_gets_the_code_page_and_then_what_they_asked_for(room):
    client = client_of(room)
    page = client.get("/comparison?runs=a&x=%22%3Cscript%3E", headers=BROWSER)
    assert page.status_code == 401
    assert "Type the code" in page.text
    assert 'value="/comparison?runs=a&amp;x=%22%3Cscript%3E"' in page.text
    assert "http" not in page.text.replace("http-equiv", "")  # it asks no other host for anything
    answer = enter(client, STUDENT, "Ada", "/comparison?runs=a")
    assert (answer.status_code, answer.headers["location"]) == (303, "/comparison?runs=a")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert client.get("/training").text == "inside"
    person = room.person(dict(client.cookies))
    assert not person.is_teacher
    assert room.room.name(person.id) == "Ada"


def test_the_teacher_comes_in_by_another_code(room):
    client = client_of(room)
    enter(client, TEACHERS)
    assert room.person(dict(client.cookies)).is_teacher


def test_who_comes_back_is_who_they_were(room):
    client = client_of(room)
    enter(client, STUDENT, "Ada")
    before = room.person(dict(client.cookies))
    enter(client, STUDENT, "Ada L.")
    assert room.person(dict(client.cookies)) == before
    assert room.room.name(before.id) == "Ada L."


@pytest.mark.parametrize("onward", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", ""])
def test_the_way_on_stays_here(room, onward):
    assert enter(client_of(room), STUDENT, onward=onward).headers["location"] == "/"


def test_a_wrong_code_is_slowed_down_and_never_logged(room, caplog, capfd):
    waited = []
    client = client_of(room, waited=waited)
    guess = "my-guess-of-the-code"
    with caplog.at_level("DEBUG"):
        answers = [enter(client, guess, "Eve") for _ in range(MOST_TRIES + 2)]
        right = enter(client, STUDENT)
    assert [answer.status_code for answer in answers] == [401] * MOST_TRIES + [429] * 2
    assert waited == [1, 2, 3, 4, 5, 5, 5, 5, 5, 5]
    assert right.status_code == 429  # not told either
    assert "another" not in right.text
    assert all(guess not in answer.text for answer in answers)
    assert guess not in caplog.text + "".join(capfd.readouterr())
    other = client_of(room, "192.168.1.8")
    assert enter(other, STUDENT).status_code == 303


def test_tries_of_one_address_wait_for_one_another(room):
    """A hundred guesses at once take as long as one after the other."""
    client = client_of(room)
    under_way, most = [], []

    async def sleep(_):
        under_way.append(1)
        most.append(len(under_way))
        await asyncio.sleep(0.01)
        under_way.pop()

    door = client.app.middleware_stack.app
    while not isinstance(door, Door):
        door = door.app
    door.sleep = sleep

    async def guess():
        body = b"code=wrong"
        sent = []
        scope = {
            "type": "http", "method": "POST", "path": "/enter", "query_string": b"", "scheme": "http",
            "headers": [(b"content-length", b"%d" % len(body))], "client": ("10.0.0.5", 1), "server": ("x", 80),
        }  # fmt: skip

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            sent.append(message)

        await door(scope, receive, send)
        return sent[0]["status"]

    async def all_at_once():
        return await asyncio.gather(*[guess() for _ in range(8)])

    with ThreadPoolExecutor() as another_thread:  # Playwright keeps a loop in this one
        assert another_thread.submit(asyncio.run, all_at_once()).result(60) == [401] * 8
    assert max(most) == 1


def test_names_are_text(room):
    client = client_of(room)
    page = client.post("/enter", data={"code": "wrong", "name": '"><script>alert(1)</script>', "next": "/"})
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text
    enter(client, STUDENT, "  <b>Ada</b>\n\x00 " + "x" * 100)
    name = room.room.name(room.person(dict(client.cookies)).id)
    assert name.startswith("<b>Ada</b>")
    assert len(name) == 40


def test_a_student_uploads_up_to_the_limit(room):
    client = client_of(room)
    enter(client, STUDENT)
    url, most = "/_stcore/upload_file/a/b", int(room.limits.upload_mb * 10**6)
    assert client.put(url, content=b"x" * 1000).text == "inside"
    assert client.put(url, headers={"content-length": str(most * 2)}).status_code == 413
    chunked = client.put(url, content=iter([b"x" * 1000]))  # which does not say how much it is
    assert chunked.status_code == 413
    teacher = client_of(room)
    enter(teacher, TEACHERS)
    assert teacher.put(url, content=iter([b"x" * 1000])).text == "inside"


def test_a_form_of_any_length_is_not_read(room):
    answer = client_of(room).post("/enter", data={"code": "x" * 10_000})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("127.0.0.1", 200),
        ("::1", 200),
        ("192.168.1.7", 403),
        ("10.0.0.1", 403),
        ("::ffff:8.8.8.8", 403),
        ("?", 403),
    ],
)
def test_without_a_class_only_this_machine_is_served(no_class, address, status):
    client = client_of(no_class, address)
    answer = client.get("/training")
    assert answer.status_code == status
    assert status == 200 or "RESNET_LAB_CLASS_CODE" in answer.text
    if status == 403:
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/_stcore/stream"):
            pass


def test_the_key_is_kept_and_is_nobody_elses(room, tmp_path):
    key = tmp_path / "runs" / ".class" / "key"
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    assert len(key.read_bytes()) == 32
    text = room.passes.issue(room.codes.person(STUDENT))
    _made.cache_clear()
    assert classroom().passes.read(text) is not None
