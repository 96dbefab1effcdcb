"""What a clean-up takes away, and that a run without it is a run."""

import shutil

import pytest

from resnet_lab.runs import RunError, RunManager, execute, load_run_model
from resnet_lab.runs.archive import pack, unpack
from resnet_lab.runs.disk import bytes_free, bytes_of, keep_best_alone, superfluous
from resnet_lab.runs.run import Run


@pytest.fixture
def run(trained, store):
    shutil.copytree(trained.path, store.root / trained.id)
    return store.get(trained.id)


def test_a_completed_run_keeps_its_best_weights_alone(run, store):
    shutil.copyfile(run.path / "last.pt", run.path / "previous.pt")
    before, weights = bytes_of(run.path), load_run_model(run).model.state_dict()
    events = run.events()
    size = (run.path / "last.pt").stat().st_size
    assert [path.name for path in superfluous(run)] == ["last.pt", "previous.pt"]
    assert keep_best_alone(run) == 2 * size == before - bytes_of(run.path)
    assert superfluous(run) == []
    assert keep_best_alone(run) == 0
    again = store.get(run.id)
    assert all(
        (value == weights[name]).all() for name, value in load_run_model(again).model.state_dict().items()
    )
    assert again.events() == events
    assert again.status == run.status
    assert unpack(store, pack(again), "run.zip").best_checkpoint


def test_what_needs_the_last_checkpoint_then_says_so(run, store):
    keep_best_alone(run)
    with pytest.raises(
        RunError, match=r"cannot go on: only its best weights were kept; start a new run instead\.$"
    ):
        RunManager(store).extend(run.id, 1)
    assert store.get(run.id).status.state == "completed"
    with pytest.raises(RunError, match="keeps its best weights alone; its last ones were cleaned up"):
        load_run_model(run, "last")


@pytest.mark.parametrize("state", ["stopped", "failed", "paused", "interrupted"])
def test_a_run_that_can_be_resumed_keeps_its_checkpoints(run, state):
    run.set_status(state=state)
    assert superfluous(run) == []
    assert keep_best_alone(run) == 0
    assert (run.path / "last.pt").is_file()


@pytest.mark.parametrize("damage", ["cut", "missing", "link", "foreign"])
def test_without_sound_best_weights_the_last_ones_stay(run, tmp_path, damage):
    best = run.path / "best.pt"
    data = best.read_bytes()
    best.unlink()
    if damage == "cut":
        best.write_bytes(data[: len(data) // 2])
    elif damage == "link":
        (tmp_path / "best.pt").write_bytes(data)
        best.symlink_to(tmp_path / "best.pt")
    elif damage == "foreign":
        best.write_bytes(b"no checkpoint")
    if damage in ("cut", "foreign"):
        with pytest.raises(RunError, match=r"best\.pt"):
            keep_best_alone(run)
    else:
        assert keep_best_alone(run) == 0
    assert (run.path / "last.pt").is_file()
    assert load_run_model(run).classes[0] == "circle"


def test_a_run_that_someone_trains_is_left_alone(run):
    run.claim()
    with pytest.raises(RunError, match="is being trained by"):
        keep_best_alone(Run(run.path))
    run.release()
    assert (run.path / "last.pt").is_file()


def test_a_run_that_goes_on_after_it_was_stopped_is_not_disturbed(store, tiny):
    run = store.create(tiny.replace(epochs=1, train_limit=60))
    execute(run, steps=1)
    assert keep_best_alone(run) == 0
    assert execute(run).outcome == "completed"


def test_recorded_runs_have_nothing_to_be_cleaned(recorded):
    assert all(superfluous(run) == [] for run in recorded)


def test_sizes_are_those_of_files_and_links_are_not_followed(tmp_path):
    assert bytes_of(tmp_path / "nothing") == 0
    (tmp_path / "large").write_bytes(bytes(5000))
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "last.pt").write_bytes(bytes(1234))
    (folder / "link").symlink_to(tmp_path / "large")
    assert bytes_of(folder) == 1234 + (folder / "link").lstat().st_size


def test_the_free_room_is_that_of_the_disk_of_a_folder_to_be_made(tmp_path):
    total, _, _ = shutil.disk_usage(tmp_path)
    assert 0 < bytes_free(tmp_path / "not" / "yet" / "there") <= total
