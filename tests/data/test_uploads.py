"""What people upload: archives good, odd and hostile."""

import io
import tracemalloc
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_lab.data.uploads import SUFFIXES, Limits, collect


def archive(entries, **options):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, **options) as packed:
        for name, content in entries:
            packed.writestr(name, content)
    return data.getvalue()


def names(found):
    return [name for name, _ in found.images]


def test_files_and_archives_side_by_side_in_their_order():
    packed = archive([("cats/a.png", b"A"), ("cats/", b""), ("b.JPG", b"B")])
    found = collect([("first.png", b"1"), ("pack.zip", packed), ("last.gif", b"2")])
    assert found.images == [("first.png", b"1"), ("cats/a.png", b"A"), ("b.JPG", b"B"), ("last.gif", b"2")]
    assert found.problems == []


def test_names_that_occur_twice_are_told_apart():
    packed = archive([("a.png", b"2")])
    found = collect([("a.png", b"1"), ("x.zip", packed), ("y.zip", packed)])
    assert found.images == [("a.png", b"1"), ("a.png (2)", b"2"), ("a.png (3)", b"2")]


@pytest.mark.parametrize("name", ["../a.png", "x/../../a.png", "/etc/a.png", "..\\a.png", "C:/a.png"])
def test_a_path_that_climbs_out_is_left_out_and_the_rest_is_read(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = collect([("bad.zip", archive([(name, b"x"), ("good.png", b"y")]))])
    assert found.images == [("good.png", b"y")]
    assert len(found.problems) == 1
    assert "leads out of the archive" in found.problems[0]
    assert not list(tmp_path.iterdir())


def test_a_bomb_is_left_out_before_it_is_unpacked():
    bomb = archive([("bomb.png", b"0" * 60_000_000), ("good.png", b"y")])
    assert len(bomb) < 100_000
    tracemalloc.start()
    found = collect([("b.zip", bomb)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert names(found) == ["good.png"]
    assert "b.zip: bomb.png unpacks to 60 MB, over 50" in found.problems[0]
    assert peak < 5_000_000


def test_a_bomb_whose_header_lies_is_read_no_further_than_the_limit():
    bomb = archive([("bomb.png", b"0" * 1_000_000)])
    size = (1_000_000).to_bytes(4, "little")
    assert bomb.count(size) == 2  # once before the content, once in the directory at the end
    liar = bomb.replace(size, (10).to_bytes(4, "little"))
    found = collect([("b.zip", liar)], Limits(bytes_each=1000))
    assert found.images == []
    assert "cannot be unpacked" in found.problems[0]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_can_only_be_unpacked_without_a_bound_is_left_out(method):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as packed:
        packed.writestr("a.png", b"0" * 1000)
    found = collect([("b.zip", data.getvalue())])
    assert found.images == []
    assert "unusual way" in found.problems[0]


def test_no_more_than_the_header_says_is_unpacked():
    bomb = archive([("bomb.png", b"0" * 60_000_000)])
    liar = bomb.replace((60_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    tracemalloc.start()
    found = collect([("b.zip", liar)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.images == []
    assert peak < 5_000_000


@pytest.mark.parametrize("name", [".", "./", "//"])
def test_names_that_are_no_names_do_no_harm(name):
    found = collect([("n.zip", archive([(name, b"x"), ("a.png", b"A")]))])
    assert names(found) == ["a.png"]


def test_ten_thousand_files_are_cut_to_the_limit_and_it_says_so():
    found = collect([("many.zip", archive([(f"{i}.png", b"x") for i in range(10_000)]))])
    assert len(found.images) == 1000
    assert "9,000 images were left out: at most 1,000" in found.problems[0]


def test_too_many_bytes_are_cut_too():
    found = collect([(f"{i}.png", b"x" * 100) for i in range(5)], Limits(bytes_all=250))
    assert names(found) == ["0.png", "1.png"]
    assert "3 images were left out" in found.problems[0]


def test_names_in_other_scripts_arrive_as_they_were():
    flagged = archive([("猫/кот.png", b"x")])
    found = collect([("a.zip", flagged)])
    assert names(found) == ["猫/кот.png"]
    # The same bytes without the flag that says UTF-8, as some programs write them: bit 11, in both headers.
    silent = bytearray(flagged)
    silent[7] &= ~8
    silent[silent.index(b"PK\x01\x02") + 9] &= ~8
    assert zipfile.ZipFile(io.BytesIO(silent)).namelist() != ["猫/кот.png"]
    assert names(collect([("b.zip", bytes(silent))])) == ["猫/кот.png"]


def test_what_systems_add_is_left_out_silently_and_other_files_are_counted():
    entries = [
        ("__MACOSX/._a.png", b""),
        (".DS_Store", b""),
        ("a.png", b"A"),
        ("notes.txt", b"t"),
        ("b.csv", b""),
    ]
    found = collect([("m.zip", archive(entries))])
    assert names(found) == ["a.png"]
    assert found.problems == ["m.zip: 2 files that are no images were left out."]


def test_a_damaged_or_encrypted_archive_is_one_sentence():
    good = archive([("a.png", b"A" * 1000)])
    damaged = good.replace(good[40:50], b"0123456789")
    found = collect([("d.zip", damaged), ("ok.png", b"1")])
    assert names(found) == ["ok.png"]
    assert "d.zip cannot be unpacked" in found.problems[0]
    encrypted = bytearray(good)
    encrypted[6] |= 1
    encrypted[good.index(b"PK\x01\x02") + 8] |= 1
    found = collect([("e.zip", bytes(encrypted))])
    assert found.images == []
    assert "without a password" in found.problems[0]


def test_a_file_that_is_no_archive_is_left_to_the_reader_of_pictures():
    assert collect([("letter.zip", b"Dear archive")]).images == [("letter.zip", b"Dear archive")]


def test_the_suffixes_are_those_of_folders_in_any_letter_case():
    entries = [(f"a{suffix}", b"x") for suffix in SUFFIXES] + [
        (f"b{suffix.upper()}", b"x") for suffix in SUFFIXES
    ]
    found = collect([("s.zip", archive(entries))])
    assert names(found) == [name for name, _ in entries]
    assert {".tiff", ".jfif", ".ppm"} <= set(SUFFIXES)


def test_names_of_uploads_and_of_their_entries_are_shown_in_one_line():
    found = collect([("a\nb.png", b"1"), ("\ud800.zip", archive([("c\nd.png", b"2"), ("../\n.png", b"3")]))])
    assert names(found) == [r"a\nb.png", r"c\nd.png"]
    assert all(problem.isprintable() for problem in found.problems)
    assert len(found.problems) == 1


def test_entries_that_fail_count_towards_the_limit_too():
    """Else an archive of entries that are damaged at their ends would be unpacked without one."""
    good = archive([(f"{i}.png", bytes(1000)) for i in range(50)])
    crc = zlib.crc32(bytes(1000)).to_bytes(4, "little")
    assert good.count(crc) == 100
    found = collect([("bad.zip", good.replace(crc, b"1234"))], Limits(bytes_all=10_000))
    assert found.images == []
    assert sum("cannot be unpacked" in problem for problem in found.problems) == 10
    assert "40 images were left out" in found.problems[-1]


ARCHIVES = [
    archive([("a/b.png", b"A" * 500), ("c.jpg", bytes(300)), ("notes.txt", b"t")]),
    archive([("猫/кот.png", b"x" * 40)]),
    archive([]),
]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(ARCHIVES),
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.binary(max_size=5)), max_size=6),
    st.text(max_size=8),
)
def test_whatever_the_bytes_are_they_are_pictures_or_sentences(data, changes, name):
    for place, insert, new in changes:
        at = int(place * len(data))
        data = data[:at] + new + data[at + (0 if insert else len(new)) :]
    found = collect([(name, data), ("good.png", b"good")])
    assert found.images[-1][1] == b"good"
    assert all(isinstance(content, bytes) for _, content in found.images)
    assert len(set(names(found))) == len(found.images)
    shown = [*names(found), *found.problems]
    assert [line.splitlines() for line in shown if line] == [[line] for line in shown if line]
    assert "".join(shown).encode()


def test_names_and_reasons_of_endless_length_are_shown_by_their_ends():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a" * 30_000 + ".png", b"x")
        archive.writestr("b" * 30_000 + ".png", b"x")
    data = file.getvalue().replace(b"bbbb", b"cccc", 1)  # a header that names another file
    found = collect([("upload.zip", data)])
    assert [name.startswith("aaaa") and name.endswith("aa.png") for name, _ in found.images] == [True]
    assert len(found.problems) == 1
    assert max(len(text) for text in [found.images[0][0], *found.problems]) < 600
