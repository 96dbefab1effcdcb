"""Codes, passes and tries."""

import pytest

from resnet_lab.classroom.access import (
    MOST_TRIES,
    WINDOW,
    AccessError,
    Codes,
    Limits,
    Tries,
    at_once_from,
    codes_from,
    limits_from,
)
from resnet_lab.classroom.people import TEACHER, Passes, Person

BOTH = {"RESNET_LAB_CLASS_CODE": "shortcut", "RESNET_LAB_TEACHER_CODE": "identity map"}


def test_a_code_lets_in_whoever_types_it():
    codes = codes_from(BOTH)
    assert codes.person("identity map") == Person(TEACHER, is_teacher=True)
    first, second = codes.person("  Shortcut\n"), codes.person("shortcut")
    assert not first.is_teacher
    assert first.id != second.id  # two students
    assert [codes.person(typed) for typed in ("", "shortcu", "shortcut!", "identity", "\ud800")] == [None] * 5


def test_without_codes_there_is_no_class():
    assert codes_from({}) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"RESNET_LAB_TEACHER_CODE": " "}, "set both"),
        ({"RESNET_LAB_CLASS_CODE": ""}, "set both"),
        ({"RESNET_LAB_CLASS_CODE": "abc"}, "RESNET_LAB_CLASS_CODE has 3 letters; it needs at least 4"),
        ({"RESNET_LAB_TEACHER_CODE": "short"}, "at least 8"),
        ({"RESNET_LAB_CLASS_CODE": "Identity Map"}, "alike"),
    ],
)
def test_codes_that_do_not_do(change, words):
    with pytest.raises(AccessError, match=words):
        codes_from(BOTH | change)


def test_limits_and_their_bad_words():
    assert limits_from({}) == Limits()
    assert limits_from({"RESNET_LAB_LIMITS": '{"minutes": 5}'}).minutes == 5
    for text in ('{"minutes": 0}', '{"hours": 1}', "5", "{"):
        with pytest.raises(AccessError, match="RESNET_LAB_LIMITS"):
            limits_from({"RESNET_LAB_LIMITS": text})
    assert (at_once_from({}), at_once_from({"RESNET_LAB_AT_ONCE": "3"})) == (1, 3)
    for text in ("0", "-1", "many", "²"):
        with pytest.raises(AccessError, match="whole number from 1 to 64"):
            at_once_from({"RESNET_LAB_AT_ONCE": text})


def test_passes_are_read_by_the_lab_that_gave_them():
    key, codes = b"k" * 32, ("shortcut", "identity map")
    passes, student = Passes(key, codes), Person("0123456789abcdef")
    text = passes.issue(student)
    assert passes.read(text) == student
    assert passes.read(passes.issue(Person(TEACHER, True))) == Person(TEACHER, True)
    assert Passes(key, codes).read(text) == student  # after a restart
    assert Passes(b"another" * 5, codes).read(text) is None
    assert Passes(key, ("shortcut", "another one")).read(text) is None  # other codes end all passes
    for wrong in (None, "", text[:-1], f"x{text}", TEACHER, text.replace(text[:5], "aaaaa")):
        assert passes.read(wrong) is None


def test_a_pass_ends(monkeypatch):
    passes = Passes(b"k" * 32, ("shortcut", "identity map"))
    text = passes.issue(Person("a"))
    now = __import__("time").time()
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + 11 * 3600)
    assert passes.read(text) == Person("a")
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + 13 * 3600)
    assert passes.read(text) is None


def test_wrong_codes_make_the_next_answer_later_and_then_end():
    clock = [0.0]
    tries = Tries(lambda: clock[0])
    assert [tries.wrong("a") for _ in range(7)] == [1, 2, 3, 4, 5, 5, 5]
    assert not tries.are_spent("a")
    for _ in range(MOST_TRIES - 7):
        tries.wrong("a")
    assert tries.are_spent("a")
    assert not tries.are_spent("b")
    clock[0] = WINDOW + 1
    assert not tries.are_spent("a")
    assert tries.wrong("a") == 1


def test_codes_are_compared_in_constant_time(monkeypatch):
    """All of both is compared, whatever was typed: a first letter that is right makes no difference."""
    compared = []
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: compared.append((a, b)) or a == b)
    codes = Codes("shortcut", "identity map")
    for typed in ("shortcut", "identity map", "s", ""):
        compared.clear()
        codes.person(typed)
        assert [b for _, b in compared] == [b"identity map", b"shortcut"]
