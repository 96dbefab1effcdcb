"""What a class shares outlives the server, and a full disk does not lose it."""

import os
import threading

import pytest

from resnet_lab.classroom.people import TEACHER, Person
from resnet_lab.classroom.room import FOLDER, Room, key_of
from resnet_lab.runs import RunError, RunStore

ADA, ZOE = Person("ada"), Person("zoe")


def test_a_restart_loses_nothing(tmp_path):
    room = Room(tmp_path)
    room.rename(ADA, "Ada")
    room.present("comparison?runs=a")
    room.pin("one", True)
    room.pin("two", True)
    room.pin("one", False)
    room.vote("lesion", ADA, 1)
    again = Room(tmp_path)
    assert (again.name("ada"), again.view, tuple(again.pinned)) == ("Ada", "comparison?runs=a", ("two",))
    assert again.votes("lesion") == {1: 1}
    assert RunStore(tmp_path).list() == []  # its folder is no run
    assert RunStore(tmp_path).damaged() == []


def test_votes_by_hand(tmp_path):
    room = Room(tmp_path)
    for person, choice in ((ADA, 0), (ZOE, 1), (ADA, 1)):
        room.vote("lesion", person, choice)
    room.vote("cheat", ADA, 2)
    assert room.votes("lesion") == {1: 2}
    room.forget_votes("lesion")
    assert (room.votes("lesion"), room.votes("cheat")) == ({}, {2: 1})


def test_names(tmp_path):
    room = Room(tmp_path)
    room.rename(ADA, " Ada\n Lovelace ")
    assert room.name("ada") == "Ada Lovelace"
    room.rename(ADA, "   ")
    assert room.name("ada") == "Ada Lovelace"
    room.rename(ADA, "\ud800" + "x" * 100)
    assert room.name("ada") == "?" + "x" * 39
    room.rename(Person(TEACHER, True), "Zoe")
    assert room.name(TEACHER) == "the teacher"
    assert (room.name("0123456789"), room.name("")) == ("guest 0123", "")


def test_a_new_version_tells_of_a_change(tmp_path):
    room = Room(tmp_path)
    before = room.version
    room.present("")
    assert room.version == before  # nothing changed
    room.present("training?")
    assert room.version == before + 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"view": 5}', '{"unknown": 1}', "x" * 2_000_000])
def test_a_damaged_file_is_an_empty_room(tmp_path, content):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "shown.json").write_text(content)
    room = Room(tmp_path)
    assert room.view == ""
    room.present("runs?")
    assert Room(tmp_path).view == "runs?"


def test_a_disk_that_takes_nothing(tmp_path):
    """A file where the folder would be: for root, too, nothing can be written there."""
    (tmp_path / FOLDER).write_text("")
    room = Room(tmp_path)
    room.present("runs?")
    assert room.view == "runs?"
    with pytest.raises(RunError, match="key of the class cannot be kept"):
        key_of(tmp_path)


def test_two_servers_have_one_key(tmp_path):
    keys = []
    threads = [threading.Thread(target=lambda: keys.append(key_of(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 1
    assert len(keys[0]) == 32
    assert os.listdir(tmp_path / FOLDER) == ["key"]


def test_many_vote_at_once(tmp_path):
    room = Room(tmp_path)
    threads = [threading.Thread(target=room.vote, args=["lesion", Person(str(i)), i % 3]) for i in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert room.votes("lesion") == {0: 10, 1: 10, 2: 10}
    assert Room(tmp_path).votes("lesion") == {0: 10, 1: 10, 2: 10}
