"""A GPU machine may lack what only pages and figures need: training, asking and analysing a net go on without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ABSENT = ("streamlit", "plotly", "captum", "matplotlib", "pandas", "onnx", "altair")
BARE = f"""
import sys
sys.modules.update(dict.fromkeys({ABSENT}))
"""
ASK = """
import torch
from resnet_lab import analysis, attribution, inspection, runs, training
from resnet_lab.analysis import gradients, lesions, loss_surface, responses
from resnet_lab.attribution import attribute
from resnet_lab.models import create_model
attribute(create_model("resnet20").eval(), torch.rand(1, 3, 32, 32))
"""
CLI = """
from resnet_lab.cli import main
sys.exit(main(sys.argv[1:]))
"""
SETTINGS = {"epochs": 1, "train-limit": 40, "batch-size": 8, "precision": "float32", "device": "cpu"}
TRAIN = ["train", *(word for name, value in SETTINGS.items() for word in (f"--{name}", str(value)))]


def run(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", BARE + code, *arguments], cwd=ROOT, env=os.environ, capture_output=True, text=True
    )  # fmt: skip


def test_nets_are_asked_and_analysed():
    done = run(ASK)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [["--help"], ["summary", "resnet20"], TRAIN], ids=lambda words: words[0])
def test_the_command_line_works(command):
    done = run(CLI, *command)
    assert done.returncode == 0, done.stderr


def test_what_is_missing_is_named():
    done = run(CLI, "compare", "gradients", "--depth", "20")
    assert done.returncode == 1
    assert "plotly" in done.stderr
    assert "Traceback" not in done.stderr
