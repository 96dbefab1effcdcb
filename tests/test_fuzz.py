"""benchmarks/fuzz.py: that it finds what it is for, and a small round of it with each reader."""

from random import Random

import pytest

from benchmarks import fuzz
from benchmarks.readers import READERS, Reader, train
from tests import faulty_reader

TRIES = 60


@pytest.fixture(scope="module")
def run(tmp_path_factory, shapes_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESNET_LAB_DATA", str(shapes_cache))
        yield train(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("name", READERS)
def test_nothing_escapes_from_a_reader(name, run):
    tally = fuzz.fuzz(name, READERS[name], run, seed=0, first=0, tries=TRIES)
    assert tally.tries == TRIES
    assert tally.holds, tally


@pytest.mark.parametrize("name", READERS)
def test_a_try_can_be_repeated_and_tries_differ(name, run):
    reader = READERS[name]
    corpus = reader.corpus(run)
    first, again = (
        [repr(reader.mutate(Random(f"0 {name} {number}"), corpus)) for number in range(20)] for _ in range(2)
    )
    assert first == again
    assert len(set(first)) > 10


def tally_of(*cases):
    come = iter(cases)
    reader = Reader(lambda _: ["fits"], lambda *_: next(come), faulty_reader.read, (ValueError,))
    return fuzz.fuzz("faulty", reader, None, 0, 0, len(cases))


def test_a_reader_that_answers_or_refuses_in_a_sentence_holds():
    tally = tally_of("fits", "refuses", "fits")
    assert (tally.tries, tally.refused, tally.holds) == (3, 1, True)


def test_every_escape_is_found_and_the_tries_go_on_behind_it(monkeypatch):
    monkeypatch.setattr(fuzz, "HUNG", 5.0)
    tally = tally_of(
        "raises",
        "refuses at length",
        "refuses in surrogates",
        "asks for all memory",
        "dies",
        "hangs",
        "raises",
    )
    assert tally.tries == 7
    assert not tally.holds
    kinds = {escape.split()[0]: numbers for escape, numbers in tally.escapes.items() if "Error" in escape}
    assert kinds == {"KeyError": [0, 6], "MemoryError": [3]}
    assert sorted(number for numbers in tally.escapes.values() for number in numbers) == list(range(7))
    assert tally.escapes[fuzz.DIED] == [4]
    assert tally.escapes[fuzz.HANGS] == [5]


@pytest.mark.parametrize("case", ["takes memory", "is slow"])
def test_what_takes_too_much_does_not_hold(case):
    tally = tally_of("fits", case)
    assert not tally.escapes
    assert not tally.holds
    assert tally.memory[1] == 1 if case == "takes memory" else tally.slowest[1] == 1


def test_the_command_fails_where_a_reader_does_not_hold(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(fuzz, "train", lambda folder: None)
    reader = Reader(lambda _: ["fits"], lambda *_: "raises", faulty_reader.read)
    monkeypatch.setattr(fuzz, "READERS", {"faulty": reader})
    assert fuzz.main(["--tries", "3", "--keep", str(tmp_path)]) == 1
    assert "faulty, 3 times, first in try 0: KeyError" in capsys.readouterr().out
    assert len(list(tmp_path.iterdir())) == 3
    sound = Reader(lambda _: ["fits"], lambda *_: "fits", faulty_reader.read)
    monkeypatch.setattr(fuzz, "READERS", {"sound": sound})
    assert fuzz.main(["--tries", "3"]) == 0
