"""Which folders and weights a visitor of the app may have read."""

import os

import pytest

from resnet_lab.data import DatasetError
from resnet_lab.data.roots import require_inside, roots_from_environment


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """A folder that the server reads; another lies beside it."""
    (tmp_path / "inside" / "birds").mkdir(parents=True)
    (tmp_path / "beside").mkdir()
    monkeypatch.setenv("RESNET_LAB_IMAGES", f"{tmp_path / 'inside'}{os.pathsep}{tmp_path / 'more'}")
    return tmp_path / "inside"


@pytest.mark.parametrize(
    "path", ["inside", "inside/birds", "inside/birds/../birds", "inside/not there", "more/x"]
)
def test_what_lies_inside_is_let_in(inside, path):
    require_inside(roots_from_environment(), f"folder:{inside.parent}/{path}", None)
    require_inside(roots_from_environment(), "shapes", f"{inside.parent}/{path}/weights.pt")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/etc",
        "{}/beside",
        "{}/inside/../beside",
        "{}/insider",
        "{}/inside/out",
        "{}/gone",
        "a\0b",
        "~a\0b",
    ],
)
def test_what_lies_outside_is_refused_in_one_sentence_whether_it_exists_or_not(inside, path):
    (inside / "out").symlink_to(inside.parent / "beside")
    path = path.format(inside.parent)
    for dataset, weights in ((f"folder:{path}", None), ("shapes", path)):
        with pytest.raises(DatasetError) as caught:
            require_inside(roots_from_environment(), dataset, weights)
        message = str(caught.value)
        assert "lies outside the folders that this server reads" in message
        assert message.isprintable()


def test_built_in_data_and_weights_by_name_need_no_folder():
    require_inside([], "shapes", "imagenet")
    require_inside([], "cifar10", None)


def test_without_a_word_it_is_the_working_folder_and_the_home_and_the_labs_own(tmp_path, monkeypatch):
    places = [tmp_path / name for name in ("work", "home", "data", "runs")]
    for place in places:
        place.mkdir()
    monkeypatch.chdir(places[0])
    monkeypatch.setenv("HOME", str(places[1]))
    monkeypatch.setenv("RESNET_LAB_DATA", str(places[2]))
    monkeypatch.setenv("RESNET_LAB_RUNS", str(places[3]))
    monkeypatch.delenv("RESNET_LAB_IMAGES", raising=False)
    roots = roots_from_environment()
    assert list(roots) == places
    require_inside(roots, "folder:~/birds", "runs/some/best.pt")
    with pytest.raises(DatasetError):
        require_inside(roots, f"folder:{tmp_path}", None)


def test_a_home_that_is_everything_opens_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", "/")
    monkeypatch.setenv("RESNET_LAB_RUNS", str(tmp_path))
    monkeypatch.delenv("RESNET_LAB_IMAGES", raising=False)
    with pytest.raises(DatasetError):
        require_inside(roots_from_environment(), "folder:/etc", None)
