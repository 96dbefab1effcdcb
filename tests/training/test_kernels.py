"""The kernels' way from C++ to a library in the cache, and what a run does without them."""

import os
import shutil
import subprocess
import sys
import threading

import pytest
import torch

from resnet_lab.training import kernels
from resnet_lab.training.engine import Trainer
from resnet_lab.training.stepper import Choice

COMPILER = sys.platform == "linux" and (shutil.which("c++") or shutil.which("g++"))
pytestmark = pytest.mark.skipif(not COMPILER, reason="no C++ compiler")


@pytest.fixture
def fresh():
    """Nothing compiled so far in this process."""
    kernels._library.cache_clear()
    yield
    kernels._library.cache_clear()


def test_where_there_is_a_compiler_there_are_kernels():
    assert kernels.kernels() is not None


@pytest.mark.parametrize("trouble", ["no compiler", "an error", "no folder"])
def test_without_a_compiler_the_run_goes_its_old_way(fresh, tiny, monkeypatch, tmp_path, trouble):
    if trouble == "no compiler":
        monkeypatch.setattr(kernels.shutil, "which", lambda name: None)
    elif trouble == "an error":
        monkeypatch.setattr(kernels, "FLAGS", ("--no-such-flag",))
    else:
        (tmp_path / "file").write_text("")
        monkeypatch.setattr(kernels, "data_root", lambda: tmp_path / "file")
    assert kernels.kernels() is None
    trainer = Trainer(tiny.replace(channels_last=True), lambda event: None)
    assert trainer.stepper.choice == Choice("float32", channels_last=True)
    trainer.stepper.use(
        Choice("float32", channels_last=True, fused=True)
    )  # resumed from a machine that could
    assert torch.isfinite(trainer.train_step().loss)


def test_it_is_compiled_once_and_again_when_damaged(tmp_path):
    code = "from resnet_lab.training.kernels import kernels; print(kernels() is not None)"

    def other_process():
        environment = {"RESNET_LAB_DATA": str(tmp_path), "PATH": os.environ["PATH"]}
        return (
            subprocess.check_output([sys.executable, "-c", code], text=True, env=environment).strip()
            == "True"
        )

    assert other_process()
    (library,) = (tmp_path / "cache").iterdir()
    compiled = library.stat().st_mtime_ns
    assert other_process()
    assert library.stat().st_mtime_ns == compiled
    library.write_bytes(library.read_bytes()[:100])
    assert not other_process()
    assert not library.exists()
    assert other_process()


def test_it_is_compiled_beside_what_comes_next(fresh, monkeypatch, tmp_path):
    monkeypatch.setattr(kernels, "data_root", lambda: tmp_path)
    begun, may_end = threading.Event(), threading.Event()
    run = subprocess.run

    def slowly(*arguments, **options):
        begun.set()
        assert may_end.wait(60)
        return run(*arguments, **options)

    monkeypatch.setattr(subprocess, "run", slowly)
    kernels.prepare()
    assert begun.wait(60)
    may_end.set()
    assert kernels.kernels() is not None
    assert len(list((tmp_path / "cache").iterdir())) == 1
