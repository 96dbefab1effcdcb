"""Who is let in: the server's settings, asked by the server itself."""

import socket
from urllib.parse import urlsplit

import pytest

from benchmarks.harness import running_server

CLASSROOM = "lab.school.example"


def handshake(address, host):
    """The status of a WebSocket's opening with this Host header, and its origin, as a browser sends them."""
    place = urlsplit(address)
    request = (
        f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}:{place.port}\r\nOrigin: http://{host}:{place.port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: streamlit\r\n\r\n"
    )
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall(request.encode())
        return int(connection.recv(4096).split()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("data")) as address:
        yield address


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 101), ("127.0.0.1", 101), ("[::1]", 101), ("LOCALHOST", 101)]
    + [("rebound.example", 403), (CLASSROOM, 403), ("localhost.rebound.example", 403), ("10.0.0.7", 403)],
)
def test_only_names_of_this_machine_are_let_in(server, host, status):
    assert handshake(server, host) == status


def test_a_classroom_is_let_in_by_the_names_that_the_one_who_starts_it_gives(tmp_path):
    names = ["--server.allowedHosts", CLASSROOM, "--server.allowedHosts", "localhost"]
    with running_server(tmp_path / "runs", tmp_path / "data", *names) as address:
        statuses = [handshake(address, host) for host in (CLASSROOM, "localhost", "rebound.example")]
    assert statuses == [101, 101, 403]
