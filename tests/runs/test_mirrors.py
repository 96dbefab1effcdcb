"""What other tools are told of a run is what its events say, and they never disturb it."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from resnet_lab.cli import main
from resnet_lab.figures.curves import Curve
from resnet_lab.runs import RunError, execute
from resnet_lab.runs.gallery import gallery
from resnet_lab.runs.mirrors import mirrors as module
from resnet_lab.runs.mirrors.tensorboard import event_file_zip, export_event_file
from resnet_lab.training.events import Notice, StepEvent

ROOT = Path(__file__).parents[2]


@pytest.fixture
def live(monkeypatch):
    monkeypatch.setenv("RESNET_LAB_TENSORBOARD", "1")


def told(run):
    """Name → [(step, value)] of the curves that the lab itself draws."""
    curve = Curve("")
    curve.extend(run.events()[0])
    return {
        "training/loss": [(event.step, event.loss) for event in curve.points],
        "training/accuracy": [(event.step, event.accuracy) for event in curve.points],
        "training/learning_rate": [(event.step, event.lr) for event in curve.points],
        "training/gradient_norm": [
            (event.step, event.grad_norm) for event in curve.points if event.grad_norm is not None
        ],
        "training/images_per_second": [(event.step, event.images_per_second) for event in curve.points],
        "validation/loss": [(event.step, event.val_loss) for event in curve.epochs],
        "validation/accuracy": [(event.step, event.val_accuracy) for event in curve.epochs],
        "test/loss": [(curve.test.step, curve.test.loss)],
        "test/accuracy": [(curve.test.step, curve.test.accuracy)],
    }


def as_float32(curves):
    """As TensorBoard keeps numbers."""
    return {name: [(step, float(np.float32(v))) for step, v in points] for name, points in curves.items()}


def read(folder):
    return EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()


def curves(folder):
    accumulator = read(folder)
    return {
        tag: [(point.step, point.value) for point in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }


def notices(run):
    return [event.text for event in run.events()[0] if isinstance(event, Notice)]


def event_files(run):
    return list(run.path.glob("*tfevents*"))


def test_tensorboard_reads_live_files_as_the_run_was(store, tiny, live):
    run = store.create(tiny)
    execute(run)
    assert run.status.state == "completed"
    assert curves(run.path) == as_float32(told(run))
    times = [point.wall_time for point in read(run.path).Scalars("training/loss")]
    assert times == sorted(times)
    assert run.status.created <= times[0] < times[-1] <= run.status.updated
    assert store.delete(run) == []


def test_the_config_is_among_the_hyperparameters(trained, tmp_path):
    accumulator = read(export_event_file(trained, tmp_path).parent)
    content = accumulator.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    found = HParamsPluginData.FromString(content).session_start_info.hparams
    assert found["batch_size"].number_value == trained.config.batch_size
    assert found["variant"].string_value == "resnet20"
    assert found["augmentation.flip"].bool_value is trained.config.augmentation.flip


def test_a_run_of_the_past_is_exported_beside_its_events(store, tiny, capsys):
    run = store.create(tiny)
    execute(run)
    assert event_files(run) == []
    assert main(["export", run.id, "--format", "tensorboard"]) == 0
    assert capsys.readouterr().out.split() == [str(event_files(run)[0])]
    assert main(["export", run.id, "--format", "tensorboard"]) == 0  # which takes the first one's place
    assert len(event_files(run)) == 1
    assert curves(store.root / run.id) == as_float32(told(run))


def test_the_zip_archive_holds_a_folder_for_logdir(trained, tmp_path):
    with zipfile.ZipFile(io.BytesIO(event_file_zip(trained))) as packed:
        packed.extractall(tmp_path)
    assert curves(tmp_path / trained.id) == as_float32(told(trained))


def test_recorded_runs_are_exported_elsewhere_alone(recorded, tmp_path):
    run = gallery()[0]
    with pytest.raises(RunError, match="stays as it is"):
        export_event_file(run)
    assert curves(export_event_file(run, tmp_path).parent) == as_float32(told(run))


def test_a_run_that_goes_on_keeps_its_live_file(store, tiny):
    run = store.create(tiny)
    run.claim()
    with pytest.raises(RunError, match="still queued; stop it first"):
        export_event_file(run)
    run.release()


def test_a_resume_from_before_the_end_doubles_nothing(store, tiny, live):
    """The log goes on from the epoch's checkpoint, after steps that were told and then lost."""
    run = store.create(tiny)
    execute(run, steps=12)
    os.replace(run.path / "previous.pt", run.path / "last.pt")  # of step 8
    lost = run.path / event_files(run)[0].name
    execute(run)
    assert run.status.state == "completed"
    assert not lost.exists()
    steps = [event.step for event in run.events()[0] if isinstance(event, StepEvent)]
    assert len(steps) > len(told(run)["training/loss"])
    assert curves(run.path) == as_float32(told(run))


class Broken:
    """A mirror that raises `error` from its n-th call on."""

    error, calls = OSError(28, "No space left on device"), 0

    def __init__(self, run, points):
        self.told = 0

    def add(self, point):
        self.told += 1
        if self.told > self.calls:
            raise self.error

    def close(self, state):
        if self.calls == 99:
            raise self.error


@pytest.fixture
def broken(monkeypatch):
    monkeypatch.setenv("BROKEN_MIRROR", "1")
    monkeypatch.setattr(module, "MIRRORS", (("BROKEN_MIRROR", "Mirror", __name__, "Broken"),))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Broken.__module__])


@pytest.mark.parametrize("calls", [0, 3, 99], ids=["first", "later", "at the end"])
def test_one_that_fails_is_given_up_with_one_notice(store, tiny, broken, monkeypatch, calls):
    monkeypatch.setattr(Broken, "calls", calls)
    seen = []
    run = store.create(tiny)
    result = execute(run, on_event=seen.append)
    assert run.status.state == "completed"
    assert notices(run) == [
        "Mirror gets nothing of this run from here on: [Errno 28] No space left on device."
    ]
    assert [event.text for event in seen if isinstance(event, Notice)] == notices(run)
    monkeypatch.delenv("BROKEN_MIRROR")
    undisturbed = store.create(tiny)
    assert execute(undisturbed).test_accuracy == result.test_accuracy
    for name in ("validation/loss", "test/loss"):  # points of training are told by the clock
        assert told(run)[name] == told(undisturbed)[name]


def test_a_password_in_an_address_is_not_told(store, tiny, broken, monkeypatch):
    monkeypatch.setattr(Broken, "error", ValueError("no answer from http://ann:secret@host/api\nat line 3"))
    run = store.create(tiny)
    execute(run)
    assert notices(run) == ["Mirror gets nothing of this run from here on: no answer from http://host/api."]


def test_one_whose_package_is_missing_is_said_once(store, tiny, live, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorboardX"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    run = store.create(tiny)
    execute(run)
    assert run.status.state == "completed"
    assert ["tensorboardX is not installed" in text for text in notices(run)] == [True]


def test_without_the_variables_nothing_is_imported():
    code = """
import sys
from resnet_lab.runs import RunStore, execute
from resnet_lab.training import TrainConfig
config = TrainConfig("resnet20", epochs=1, train_limit=40, batch_size=8, device="cpu", precision="float32")
run = RunStore().create(config)
execute(run)
assert run.status.state == "completed", run.status
print({name.split(".")[0] for name in sys.modules} & {"tensorboardX", "tensorboard", "mlflow"})
"""
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "RESNET_LAB_T"))
    }
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
