"""What the terminal says to a teacher, and how a server that cannot be opened ends."""

import io

import pytest
import segno
from streamlit import config

from resnet_lab.classroom.classroom import _made, classroom
from resnet_lab.ui.common import server


@pytest.fixture
def codes(monkeypatch):
    monkeypatch.setenv("RESNET_LAB_CLASS_CODE", "shortcut")
    monkeypatch.setenv("RESNET_LAB_TEACHER_CODE", "identity map")
    _made.cache_clear()


@pytest.fixture
def option(monkeypatch):
    said = {}
    ask = config.get_option
    monkeypatch.setattr(config, "get_option", lambda name: said[name] if name in said else ask(name))
    return said.__setitem__


def test_the_address_its_qr_code_and_the_code(codes, option):
    option("server.address", "192.168.1.20")
    option("server.port", 8600)
    text = server.announcement(classroom())
    drawn = io.StringIO()
    segno.make("http://192.168.1.20:8600/", micro=False).terminal(drawn, compact=True)
    assert "The class opens http://192.168.1.20:8600/\n" in text
    assert drawn.getvalue() in text
    assert "Code of the class: shortcut" in text
    assert "identity map" not in text  # a class may look at the screen
    assert "add --server.address" not in text


def test_a_class_on_this_machine_alone_is_told_how_to_open(codes, option):
    option("server.address", "127.0.0.1")
    assert "add --server.address 0.0.0.0" in server.announcement(classroom())


def test_without_a_class_there_is_a_word_only_where_others_are_refused(option):
    option("server.address", "127.0.0.1")
    assert server.announcement(classroom()) == ""
    option("server.address", "0.0.0.0")
    assert server.announcement(classroom()) == "Other machines are refused: no class code is set."


def test_all_addresses_lead_to_one_of_the_network(option, monkeypatch):
    from collections import namedtuple
    from socket import AddressFamily

    state, address = namedtuple("state", "isup"), namedtuple("address", "family address")
    monkeypatch.setattr(
        "psutil.net_if_stats", lambda: {"lo": state(True), "off": state(False), "on": state(True)}
    )
    monkeypatch.setattr(
        "psutil.net_if_addrs",
        lambda: {
            "lo": [address(AddressFamily.AF_INET, "127.0.0.1")],
            "off": [address(AddressFamily.AF_INET, "10.0.0.1")],
            "on": [
                address(AddressFamily.AF_INET6, "fe80::1"),
                address(AddressFamily.AF_INET, "192.168.1.20"),
            ],
        },
    )
    option("server.address", "0.0.0.0")
    option("server.port", 8501)
    option("server.baseUrlPath", "/lab/")
    assert server.class_address() == "http://192.168.1.20:8501/lab"


def test_a_server_with_half_a_class_ends_with_a_sentence(monkeypatch):
    monkeypatch.setenv("RESNET_LAB_CLASS_CODE", "shortcut")
    _made.cache_clear()
    with pytest.raises(SystemExit, match="set both RESNET_LAB_CLASS_CODE and RESNET_LAB_TEACHER_CODE"):
        server.door()
