"""What a visitor may make the server read, and what its owner may."""

import pytest

from resnet_lab.runs import RunError, RunManager, RunStore
from resnet_lab.ui.common import navigation


@pytest.fixture
def outside(tmp_path, monkeypatch):
    (tmp_path / "inside").mkdir()
    monkeypatch.setenv("RESNET_LAB_IMAGES", str(tmp_path / "inside"))
    return tmp_path / "outside"


def test_a_folder_outside_that_a_link_names_is_neither_trained_on_nor_tried(open_page, outside):
    at = open_page("training", dataset="folder", folder=str(outside))
    train, test = (next(b for b in at.button if b.label == label) for label in ("Train", "Test"))
    assert train.disabled
    test.click().run()
    assert not at.exception
    assert len(at.error) == 2  # of the form, and of the test
    for error in at.error:
        assert "lies outside the folders that this server reads" in error.value.replace("\\", "")
    assert RunStore().list() == []


def test_no_run_of_a_race_begins_when_one_would_read_outside(tiny, outside):
    manager = navigation.manager()
    for config in (tiny.replace(dataset=f"folder:{outside}"), tiny.replace(weights=str(outside / "x.pt"))):
        with pytest.raises(RunError, match="lies outside"):
            manager.race([tiny, config])
    assert RunStore().list() == []


def test_the_owner_reads_anywhere_and_the_app_goes_on_with_those_runs(open_page, tiny, outside, store):
    config = tiny.replace(dataset=f"folder:{outside}")
    RunManager(store).admit(config)
    run = store.create(config)  # as the command line does
    run.set_status(state="stopped")
    at = open_page("training", run=run.id)
    assert not at.error
    navigation.manager().resume(run.id)  # not refused; it ends by itself, as the folder is not there
