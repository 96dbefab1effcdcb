"""Which files of a folder count, and as what: torchvision's ImageFolder is the measure."""

import os
import random
import unicodedata
from pathlib import Path

import pytest
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from resnet_lab.data import DatasetError, load_dataset
from resnet_lab.data.listing import list_folder
from resnet_lab.data.names import FORMATS, SUFFIXES, class_name, printable


def put(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = Image.registered_extensions()[path.suffix.lower()]
        Image.new("RGB", (8, 8), (len(str(path)) % 256, 0, 0)).save(path, kind)
    return folder


def numbered(*folders, count=5):
    return [f"{folder}/{i}.png" for folder in folders for i in range(count)]


def found(listing):
    """(class, path) of all files in both splits."""
    return {
        (listing.classes[label], file.path)
        for split in ("train", "test")
        for file, label in zip(listing.files[split], listing.labels[split].tolist(), strict=True)
    }


def as_torchvision_finds(folder):
    theirs = ImageFolder(folder)
    return {(theirs.classes[label], path) for path, label in theirs.samples}


def test_suffixes_are_those_of_the_formats_and_hold_torchvisions():
    assert set(IMG_EXTENSIONS) <= set(SUFFIXES)
    assert {".gif", ".jfif", ".mpo", ".apng"} <= set(SUFFIXES)
    assert {Image.registered_extensions()[suffix] for suffix in SUFFIXES} == {*FORMATS, "MPO"}


@pytest.mark.parametrize("seed", range(5))
def test_classes_and_files_are_image_folders_whatever_the_tree(tmp_path, seed):
    draw = random.Random(seed)
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    put(elsewhere, *numbered("x", "y/deep"))
    suffixes = [*IMG_EXTENSIONS, *(suffix.upper() for suffix in IMG_EXTENSIONS), ".Jpg"]
    for name in ("cats", "_other", "Ünder", "train", "dogs 2"):
        for i in range(draw.randint(2, 6)):
            depth = "/".join(draw.choices(["a", "b", "_c", "test"], k=draw.randint(0, 3)))
            put(folder, f"{name}/{depth}/{i}{draw.choice(suffixes)}")
    (folder / "cats" / "linked").symlink_to(elsewhere)
    (folder / "whole").symlink_to(elsewhere)
    (folder / "dogs 2" / "one.png").symlink_to(elsewhere / "x" / "0.png")
    listing = list_folder(folder)
    assert found(listing) == as_torchvision_finds(folder)
    assert list(listing.classes) == ImageFolder(folder).classes


def test_all_formats_are_decoded_in_any_letter_case(tmp_path):
    for suffix in SUFFIXES:
        put(tmp_path / "data", f"a/x{suffix}", f"a/y{suffix.upper()}", f"b/x{suffix}")
    parts = [load_dataset(f"folder:{tmp_path / 'data'}", split, root=tmp_path) for split in ("train", "test")]
    assert sum(map(len, parts)) == 3 * len(SUFFIXES)
    assert not any("unreadable" in note for part in parts for note in part.notes)


def test_links_in_circles_end_and_nothing_counts_twice(tmp_path):
    put(tmp_path, *numbered("a", "a/deep", "b"))
    (tmp_path / "a" / "deep" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a" / "deep")
    (tmp_path / "b" / "all").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "itself").symlink_to("itself")
    listing = list_folder(tmp_path)
    real = {os.path.realpath(path) for _, path in found(listing)}
    assert len(found(listing)) == len(real) == 15


@pytest.mark.parametrize("test", ["test", "Testing", "val", "VALID", "validation"])
@pytest.mark.parametrize("train", ["train", "Train", "training"])
def test_parts_are_what_their_names_say(tmp_path, train, test):
    put(tmp_path, *numbered(f"{train}/a", f"{train}/b/deep"), *numbered(f"{test}/a", f"{test}/b", count=2))
    listing = list_folder(tmp_path)
    assert listing.classes == ("a", "b")
    assert {split: len(files) for split, files in listing.files.items()} == {"train": 10, "test": 4}
    assert all(f"/{test}/" in file.path for file in listing.files["test"])
    said = [f"{test} is used as the test part" in note for note in listing.notes]
    assert said == [True] * test.lower().startswith("val")


def test_with_val_and_test_it_is_said_which_is_left_out(tmp_path):
    put(
        tmp_path,
        *numbered("train/a", "train/b", "test/a", "test/b"),
        *numbered("val/a", count=3),
        "val/b/x.png",
    )
    listing = list_folder(tmp_path)
    assert {Path(file.path).parts[-3] for file in listing.files["test"]} == {"test"}
    (note,) = listing.notes
    assert note.startswith(f"4 images were left out with {tmp_path}/val, as {tmp_path}/test is the test part")
    assert note.endswith(": 'a' 3, 'b' 1.")


def test_a_class_may_be_called_train_or_test(tmp_path):
    put(tmp_path, *numbered("train", "bus", "test/deep"))
    assert list_folder(tmp_path).classes == ("bus", "test", "train")
    assert found(list_folder(tmp_path)) == as_torchvision_finds(tmp_path)


def test_a_class_called_train_with_sub_folders_is_one_and_it_says_so(tmp_path):
    put(tmp_path, *numbered("train/first", "train/second", "bus"))
    listing = list_folder(tmp_path)
    assert listing.classes == ("bus", "train")
    assert "'train' was taken for a class, as others lie beside it" in listing.notes[0]


@pytest.mark.parametrize("unlabelled", [numbered("test"), numbered("test/unknown")])
def test_a_test_part_without_classes_does_not_stop_training(tmp_path, unlabelled):
    put(tmp_path, *numbered("train/a", "train/b", count=10), *unlabelled)
    listing = list_folder(tmp_path)
    assert {split: len(files) for split, files in listing.files.items()} == {"train": 16, "test": 4}
    assert all("/train/" in file.path for file in listing.files["test"])
    assert "5 images were left out for lying in" in listing.notes[0]
    assert "20% of each class" in listing.notes[1]


def test_without_classes_in_test_val_takes_its_place(tmp_path):
    put(tmp_path, *numbered("train/a", "train/b", "val/a", "val/b", "test"))
    listing = list_folder(tmp_path)
    assert {Path(file.path).parts[-3] for file in listing.files["test"]} == {"val"}
    assert "5 images were left out" in listing.notes[0]


def test_parts_without_classes_are_not_taken_for_classes(tmp_path):
    put(tmp_path, *numbered("train", "test"))
    with pytest.raises(DatasetError, match="5 images were found, but in no class folder"):
        list_folder(tmp_path)


def test_a_test_part_alone_is_refused(tmp_path):
    put(tmp_path, *numbered("val/a", "val/b", "test/a", "test/b"))
    with pytest.raises(DatasetError, match="none to train with"):
        list_folder(tmp_path)


def test_all_that_is_left_out_is_said_with_number_and_class(tmp_path):
    put(tmp_path, *numbered("train/a", "train/b", "test/a", "test/b"))
    put(tmp_path, "loose.png", "train/x.png", "train/y.JPG", "extra/1.png", "extra/deep/2.png")
    put(tmp_path, "train/a/.thumbs/1.png", "train/a/.2.png", "train/.cache/3.png")
    for name in (
        "train/b/1.heic",
        "train/b/2.HEIC",
        "train/a/page.html",
        "train/a/labels.txt",
        "train/a/Thumbs.db",
    ):
        (tmp_path / name).write_bytes(b"x")
    notes = "\n".join(list_folder(tmp_path).notes)
    assert f"1 image was left out for lying in {tmp_path} itself" in notes
    assert f"2 images were left out for lying in {tmp_path}/train itself" in notes
    assert "2 images were left out for lying beside the parts: 'extra' 2." in notes
    assert "3 images were left out for hidden names: 'a' 2, '.cache' 1." in notes
    assert "3 files were left out for being of another kind (.heic, .html): 'b' 2, 'a' 1." in notes
    assert len(notes.splitlines()) == 5


def test_what_systems_put_there_is_passed_over_without_a_word(tmp_path):
    put(tmp_path, *numbered("train/a", "train/b", "test/a", "test/b"))
    put(tmp_path, "train/__MACOSX/a/1.png", "train/a/@eaDir/1.png", "train/lost+found/1.png")
    (tmp_path / "train" / "a" / "._1.png").write_bytes(b"x")
    listing = list_folder(tmp_path)
    assert (listing.classes, len(found(listing)), listing.notes) == (("a", "b"), 20, ())


def test_a_class_in_two_normal_forms_is_one(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "Café") for form in ("NFC", "NFD"))
    assert composed != decomposed
    put(tmp_path, *numbered(f"train/{composed}", "train/b", f"test/{decomposed}", "test/b"))
    listing = list_folder(tmp_path)
    assert listing.classes == (composed, "b")
    assert len(listing.files["test"]) == 10


def test_the_split_does_not_go_by_the_normal_form_of_names(tmp_path):
    for form in ("NFC", "NFD"):
        put(
            tmp_path / form, *(unicodedata.normalize(form, f"{c}/é{i}ü.png") for c in "ab" for i in range(10))
        )
    splits = [
        {class_name(Path(f.path).name) for f in list_folder(tmp_path / form).files["test"]}
        for form in ("NFC", "NFD")
    ]
    assert splits[0] == splits[1]


def test_equal_names_in_different_sub_folders_are_divided_each_by_itself(tmp_path):
    put(tmp_path, *(f"{c}/session{i}/image.png" for c in "ab" for i in range(20)))
    listing = list_folder(tmp_path)
    assert len({file.name for files in listing.files.values() for file in files}) == 20
    assert {split: len(files) for split, files in listing.files.items()} == {"train": 32, "test": 8}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (os.fsdecode(b"Mu\xf1oz"), r"Mu\xf1oz"),
        ("a\nb\t\x1b", r"a\nb\t\x1b"),
        ("\ud800", r"\ud800"),
        ("猫 кот é 👩\u200d🔬\u202f3", "猫 кот é 👩\u200d🔬\u202f3"),
    ],
)
def test_names_are_shown_in_one_line_that_can_be_sent(name, shown):
    assert printable(name) == shown
    assert printable(shown) == shown
    printable(name).encode()
