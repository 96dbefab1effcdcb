"""Folders of images, in order and in every disorder."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from resnet_lab.data import DatasetError, dataset_info, is_downloaded, load_dataset

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def fill(folder, count=5, size=(32, 32), classes=COLOURS):
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", size, COLOURS[name]).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def pictures(tmp_path):
    fill(tmp_path / "pictures" / "train")
    fill(tmp_path / "pictures" / "test", count=2)
    return tmp_path / "pictures"


def load(folder, split="train", **options):
    return load_dataset(f"folder:{folder}", split, root=folder.parent / "root", **options)


def test_pictures_get_the_label_of_their_folder(pictures):
    data = load(pictures)
    assert data.classes == ("blue", "green", "red")
    assert data.images.shape == (15, 3, 32, 32)
    expected = torch.tensor([COLOURS[data.classes[i]] for i in data.labels], dtype=torch.uint8)
    assert torch.equal(data.images[:, :, 7, 7], expected)
    assert data.notes == ()
    assert data.name == f"folder:{pictures}"
    assert len(load(pictures, "test")) == 6


def test_info_knows_names_and_counts_without_decoding(pictures):
    for path in (pictures / "test").rglob("*.png"):
        path.write_bytes(b"not decoded")
    info = dataset_info(f"folder:{pictures}")
    assert (info.classes, info.train_count, info.test_count) == (("blue", "green", "red"), 15, 6)
    assert (info.image_size, info.download_mb, info.title) == (32, 0, "pictures")


def test_a_relative_folder_is_found_in_the_data_folder(pictures):
    assert dataset_info("folder:pictures", root=pictures.parent).train_count == 15


def test_mean_and_deviation_are_measured_and_the_same_for_both_splits(pictures):
    train, test = load(pictures), load(pictures, "test", limit=3)
    assert train.mean == test.mean == pytest.approx((1 / 3,) * 3, abs=1e-6)
    assert train.std == test.std == pytest.approx((np.sqrt(2) / 3,) * 3, rel=1e-3)


def test_a_limit_is_balanced_and_reproducible(pictures):
    data = load(pictures, limit=6)
    assert data.labels.bincount().tolist() == [2, 2, 2]
    assert torch.equal(data.labels, load(pictures, limit=6).labels)


def test_the_second_load_decodes_nothing_and_a_change_is_noticed(pictures, monkeypatch):
    first = load(pictures)
    with monkeypatch.context() as patch:
        patch.setattr("resnet_lab.data.folder.decoded_image", None)  # decoding would now fail
        assert torch.equal(load(pictures).images, first.images)
    Image.new("RGB", (32, 32), (9, 9, 9)).save(pictures / "train" / "red" / "0.png")
    assert (load(pictures).images == 9).any()
    (pictures / "train" / "red" / "1.png").unlink()
    assert len(load(pictures)) == 14


def test_a_folder_without_parts_is_divided_80_to_20(tmp_path):
    folder = fill(tmp_path / "flat", count=10)
    for name in COLOURS:  # tell the images apart
        for i in range(10):
            Image.new("RGB", (32, 32), (i, i, i)).save(folder / name / f"{i}.png")
    train, test = load(folder), load(folder, "test")
    assert train.labels.bincount().tolist() == [8, 8, 8]
    assert test.labels.bincount().tolist() == [2, 2, 2]
    for label in range(3):
        seen = [part.images[part.labels == label][:, 0, 0, 0].tolist() for part in (train, test)]
        assert sorted(seen[0] + seen[1]) == list(range(10))
    assert "20% of each class" in train.notes[0]


def test_mixed_sizes_are_brought_to_64_and_counted(pictures):
    Image.new("RGB", (90, 70), (255, 0, 0)).save(pictures / "train" / "red" / "0.png")
    data = load(pictures)
    assert data.images.shape[-1] == 64
    assert any("15 of 15 images were resized to 64 × 64" in note for note in data.notes)
    assert any("no common size" in note for note in data.notes)
    asked = load(pictures, image_size=32)
    assert (
        asked.notes
        == (
            "1 of 15 images were resized to 32 × 32.",
            "1 of 15 images lost their sides to the centre crop, at most 22% of the area.",  # 70 of 90 columns stay
        )
    )


def test_unreadable_pictures_are_left_out_and_counted(pictures):
    (pictures / "train" / "red" / "0.png").write_bytes(b"no image")
    (pictures / "train" / "blue" / "3.png").write_bytes(b"")
    data = load(pictures)
    assert len(data) == 13
    assert data.labels.bincount().tolist() == [4, 5, 4]
    assert data.notes == ("2 of 15 images were unreadable and left out: 'blue' 1, 'red' 1.",)
    assert load(pictures).notes == data.notes  # from the cache as well


def test_other_files_and_hidden_folders_are_passed_over(pictures):
    (pictures / "train" / "red" / "notes.txt").write_text("x")
    (pictures / "train" / "red" / "._0.png").write_text("x")
    (pictures / "train" / ".cache").mkdir()
    (pictures / "train" / "__MACOSX").mkdir()
    data = load(pictures)
    assert len(data) == 15
    assert data.notes == ()


def test_a_class_without_pictures_is_left_out_with_a_note(pictures):
    (pictures / "train" / "yellow").mkdir()
    data = load(pictures)
    assert data.classes == ("blue", "green", "red")
    assert "Class 'yellow' was left out" in data.notes[0]


def test_pictures_that_lose_much_to_the_crop_are_counted(pictures):
    for i, width in enumerate((32, 40, 43, 64)):  # 43 × 32 loses 25.6 %, 40 × 32 20 %
        Image.new("RGB", (width, 32)).save(pictures / "train" / "red" / f"{i}.png")
    note = load(pictures, image_size=32).notes[-1]
    assert note == (
        "3 of 15 images lost their sides to the centre crop, at most 50% of the area; 2 of them lost more than 25%."
    )


def test_a_class_that_cannot_be_read_is_left_out_of_both_splits(pictures):
    for path in (pictures / "train" / "blue").iterdir():  # the first, so that labels would shift
        path.write_text("<!doctype html>")
    splits = [load(pictures, split) for split in ("train", "test")]
    for data in splits:
        assert data.classes == dataset_info(f"folder:{pictures}").classes == ("green", "red")
        expected = torch.tensor([COLOURS[data.classes[i]] for i in data.labels], dtype=torch.uint8)
        assert torch.equal(data.images[:, :, 7, 7], expected)
        assert data.notes[0].startswith(
            "Class 'blue' was left out, and 2 images to test with: none of its 5 images to train on is readable: "
            "0.png is not an image"
        )
    assert [len(data) for data in splits] == [10, 4]


def test_a_set_that_is_left_with_one_class_is_refused(pictures):
    for name in ("blue", "red"):
        for path in (pictures / "train" / name).iterdir():
            path.write_bytes(b"")
    message = refused(pictures)
    assert "is left with one class, 'green'" in message
    assert "'blue' 5, 'red' 5" in message


def test_a_class_that_is_damaged_behind_its_headers_is_refused(pictures):
    for path in (pictures / "train" / "red").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    for _ in range(2):  # also when it comes from the cache
        message = refused(pictures)
        assert "None of the 5 training images of 'red' is readable" in message
        assert "cut short or damaged" in message


def test_a_class_with_nothing_to_test_with_is_refused_before_training(pictures):
    for path in (pictures / "test" / "red").iterdir():
        path.write_bytes(b"")
    assert "None of the 2 test images of 'red' is readable" in refused(pictures)


def test_a_limit_takes_other_pictures_of_the_class_for_unreadable_ones(tmp_path):
    folder = fill(tmp_path / "flat" / "train", count=20).parent
    fill(folder / "test")
    for i in range(0, 20, 3):
        (folder / "train" / "red" / f"{i}.png").write_bytes(b"no image")
    data = load(folder, limit=24)
    assert data.labels.bincount().tolist() == [8, 8, 8]
    assert torch.equal(data.images, load(folder, limit=24, image_size=32).images)
    assert len({image.sum().item() for image in data.images[data.labels == 2]}) == 1
    assert load(folder, limit=57).labels.bincount().tolist() == [19, 19, 13]


def test_what_is_no_ordinary_file_is_left_out_without_waiting_for_it(pictures):
    red = pictures / "train" / "red"
    os.mkfifo(red / "pipe.png")
    (red / "zero.png").symlink_to("/dev/zero")
    (red / "nowhere.png").symlink_to("nothing here")
    (red / "itself.png").symlink_to("itself.png")
    with (red / "sparse.png").open("wb") as file:
        file.truncate(3 << 30)
    data = load(pictures)
    assert len(data) == 15
    assert data.notes == ("5 of 20 images were unreadable and left out: 'red' 5.",)


def test_names_that_are_not_utf8_are_read_shown_and_cached(pictures):
    red = pictures / "train" / "red"
    os.rename(red / "0.png", os.fsencode(red) + b"/Mu\xf1oz.png")
    for part in ("train", "test"):
        os.rename(pictures / part / "blue", os.fsencode(pictures / part) + b"/b\xfc")
    (pictures / "train" / os.fsdecode(b"b\xfc") / "1.png").write_bytes(b"")
    data = load(pictures)
    assert data.classes == (r"b\xfc", "green", "red")
    assert data.labels.bincount().tolist() == [4, 5, 5]
    assert data.notes == (r"1 of 15 images were unreadable and left out: 'b\xfc' 1.",)
    assert torch.equal(load(pictures).images, data.images)


def test_a_folder_with_such_names_alone_is_divided(tmp_path):
    folder = fill(tmp_path / "flat", count=10)
    os.rename(folder / "red" / "3.png", os.fsencode(folder / "red") + b"/\xff.png")
    assert len(load(folder)) + len(load(folder, "test")) == 30


def test_exif_rotation_and_odd_modes_are_handled(pictures):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    half = Image.new("RGB", (32, 32), "black")
    half.paste((255, 255, 255), (0, 0, 32, 16))
    half.save(pictures / "train" / "red" / "0.png", exif=exif)
    Image.new("CMYK", (32, 32)).save(pictures / "train" / "red" / "1.jpg")
    data = load(pictures)
    upside_down = [
        image for image in data.images if image[0].float().std() > 120 and (image[0] == image[1]).all()
    ]
    assert len(upside_down) == 1
    assert upside_down[0][0, 0, 0] == 0
    assert upside_down[0][0, -1, 0] == 255


def test_progress_ends_at_one_and_may_cancel(pictures):
    calls = []
    load(pictures, progress=lambda part, text: calls.append((part, text)))
    assert calls == [(1.0, "Reading images: 15 of 15")]

    def cancel(part, text):
        raise InterruptedError("the reader pressed Cancel")

    with pytest.raises(InterruptedError):
        load(pictures, image_size=16, progress=cancel)


def refused(folder, **options):
    with pytest.raises(DatasetError) as caught:
        load(folder, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


def test_a_missing_folder_and_a_file_are_refused(tmp_path):
    assert "There is no folder" in refused(tmp_path / "nowhere")
    (tmp_path / "data.zip").write_bytes(b"PK")
    assert "is a file, not a folder" in refused(tmp_path / "data.zip")


@pytest.mark.parametrize("path", ["", "a\0b", "~a\0b", "x" * 5000, "\ud800", os.fsdecode(b"\xff")])
def test_paths_that_are_none_are_refused_in_one_sentence(tmp_path, path):
    for ask in (load_dataset, dataset_info):
        with pytest.raises(DatasetError) as caught:
            ask(f"folder:{path}", root=tmp_path)
        assert str(caught.value).isprintable()
    if path:
        assert not is_downloaded(f"folder:{path}", tmp_path)


def test_empty_folders_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "No images were found" in refused(tmp_path / "empty")
    (tmp_path / "empty" / "cats").mkdir()
    assert "No images were found" in refused(tmp_path / "empty")


def test_pictures_without_class_folders_are_refused(tmp_path):
    (tmp_path / "loose").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "loose" / "x.png")
    assert "one sub-folder for each class" in refused(tmp_path / "loose")


def test_one_class_is_refused(tmp_path):
    assert "one class only, 'red'" in refused(fill(tmp_path / "one", classes=["red"]))


def test_a_class_of_one_picture_cannot_be_divided(tmp_path):
    assert "has only one image" in refused(fill(tmp_path / "single", count=1))


def test_other_classes_to_test_than_to_train_are_refused(pictures):
    (pictures / "test" / "red").rename(pictures / "test" / "rot")
    message = refused(pictures)
    assert "train has images of 'red' and test has none" in message
    fill(pictures / "test", classes=["red"], count=1)
    assert "test has images of 'rot' and train has none" in refused(pictures)


def test_a_folder_of_rubbish_is_refused(pictures):
    for path in (pictures / "train").rglob("*.png"):
        path.write_bytes(b"rubbish")
    assert "None of the 15 images" in refused(pictures)


def test_more_than_memory_holds_is_refused(pictures, monkeypatch):
    monkeypatch.setattr("resnet_lab.data.folder.MEMORY_LIMIT_GB", 1e-5)
    assert "GB of memory" in refused(pictures)


def test_a_folder_that_may_not_be_read_is_refused(pictures, monkeypatch):
    def forbidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("resnet_lab.data.folder.os.scandir", forbidden)
    assert "train cannot be read (Permission denied)" in refused(pictures)
