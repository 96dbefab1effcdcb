"""Which nets can be trained in channels last on a CPU, and that those which cannot survive it."""

import subprocess
import sys

import pytest
import torch

from resnet_lab.models import ModelSpec, ResNet
from resnet_lab.models.layout import training_format

NARROW = ModelSpec("narrow", (3, 3), (1, 1), width=4, stem="cifar", num_classes=10)
CPU, CUDA, MPS = map(torch.device, ("cpu", "cuda", "mps"))


@pytest.mark.parametrize(
    ("changes", "device", "expected"),
    [
        ({}, CPU, torch.contiguous_format),
        ({}, CUDA, torch.channels_last),
        ({"shortcut": "pad"}, MPS, torch.contiguous_format),
        ({"width": 15}, CPU, torch.contiguous_format),
        ({"width": 16}, CPU, torch.channels_last),
        ({"blocks": (1, 1, 1), "width": 8}, CPU, torch.contiguous_format),
        ({"blocks": (1,), "shortcut": "projection_all"}, CPU, torch.channels_last),  # 1×1, with no stride
        ({"shortcut": "pad"}, CPU, torch.channels_last),
        ({"shortcut": "none"}, CPU, torch.channels_last),
        ({"block": (1, 3, 1)}, CPU, torch.channels_last),  # 16 channels come out of its first block
        ({"preactivation": True}, CPU, torch.contiguous_format),
    ],
)
def test_strided_projections_from_few_channels_are_for_channels_first(changes, device, expected):
    assert training_format(ResNet(NARROW.replace(**changes)), device) == expected


TRAINS = """
import sys
from resnet_lab.models import ModelSpec
from resnet_lab.training import TrainConfig, fit
from resnet_lab.training.events import ModeChosen

asked = {"last": True, "first": False, "auto": None}[sys.argv[1]]
config = TrainConfig(
    ModelSpec("narrow", (3, 3), (1, 1, 1), width=4, stem="cifar"), train_limit=160, batch_size=4, epochs=1,
    precision="float32", channels_last=asked, device="cpu", lr=0.01, val_fraction=0.2,
)
told = []
fit(config, told.append, steps=16)
print(*(event.text for event in told if isinstance(event, ModeChosen)), sep="\\n")
"""


@pytest.mark.parametrize(
    ("asked", "told"),
    [("last", "channels first, although channels last was asked for"), ("first", ""), ("auto", "")],
)
def test_a_narrow_net_trains_in_every_layout(asked, told):
    """In a process of its own, with one thread, in which such a net crashed at the latest in its second step."""
    ran = subprocess.run(
        [sys.executable, "-c", f"import torch; torch.set_num_threads(1)\n{TRAINS}", asked],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert told in ran.stdout
    assert bool(told) is bool(ran.stdout.strip())
