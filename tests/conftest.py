import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

if os.environ.get("RESNET_LAB_TEST_GPU") != "1":  # or oracles of the CPU would be compared with a GPU
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

import torch

from resnet_lab.data import DATASETS
from resnet_lab.runs import RunStore, execute
from resnet_lab.runs.gallery import FOLDER, gallery
from resnet_lab.training import TrainConfig

SLOW = Path(__file__).with_name(
    "slow.txt"
)  # tests that took 0.4 s or more, or 1.5 s in all their cases, by --durations=0


def pytest_collection_modifyitems(items):
    slow = set(SLOW.read_text().split())
    for item in items:
        if item.nodeid.split("[")[0] in slow:
            item.add_marker("slow")
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="no GPU, or RESNET_LAB_TEST_GPU is not 1"))


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch, shapes_cache):
    """No test sees or touches the developer's data and runs, nor those that come with the lab unless it asks for them;
    the shapes are drawn once for all.
    """
    monkeypatch.setenv("RESNET_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("RESNET_LAB_GALLERY", str(tmp_path / "gallery"))
    monkeypatch.setenv("RESNET_LAB_DATA", str(shapes_cache))


@pytest.fixture(autouse=True)
def _few_test_images(monkeypatch):
    """A run ends with a test of all the test images, 2,000 of which take longer than most tests."""
    for name, info in DATASETS.items():
        if name.startswith("shapes"):
            monkeypatch.setitem(DATASETS, name, replace(info, test_count=400))


@pytest.fixture(scope="session")
def shapes_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session", autouse=True)
def _two_threads():
    """Where tests run beside one another, each has a thread: more would wait for each other."""
    torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)


@pytest.fixture
def one_thread():
    """On a busy machine two threads wait for each other longer than small nets compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


@pytest.fixture(scope="session")
def trained(tmp_path_factory, shapes_cache):
    """A run of three steps, made once."""
    settings = {"train_limit": 60, "epochs": 1, "batch_size": 16, "precision": "float32"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESNET_LAB_DATA", str(shapes_cache))
        run = RunStore(tmp_path_factory.mktemp("runs")).create(TrainConfig("resnet20", **settings))
        execute(run)
    assert run.status.state == "completed", run.status
    return run


@pytest.fixture
def tiny():
    """A run of a few steps: 8 steps an epoch. On the CPU, whose steps are the same bit for bit each time."""
    return TrainConfig(
        "resnet20",
        train_limit=160,
        epochs=2,
        batch_size=16,
        lr=0.05,
        precision="float32",
        channels_last=False,
        device="cpu",
    )


@pytest.fixture
def recorded(monkeypatch):
    """The runs that come with the lab."""
    monkeypatch.setenv("RESNET_LAB_GALLERY", str(FOLDER))
    return gallery()


@pytest.fixture
def new_experiment(tmp_path, monkeypatch):
    """tests/experiments/count.py, as if it lay beside the lab's own."""
    from resnet_lab import experiments as package

    (tmp_path / "more").mkdir()
    shutil.copy(Path(__file__).parent / "experiments" / "count.py", tmp_path / "more")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / "more")])
    package.experiments.cache_clear()
    yield
    package.experiments.cache_clear()
