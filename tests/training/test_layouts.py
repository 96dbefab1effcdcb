"""A run that is resumed in another memory format than it was saved in takes the steps of an undisturbed one."""

from itertools import product

import pytest
import torch

from resnet_lab.models import ModelSpec
from resnet_lab.training import TrainConfig, fit
from resnet_lab.training.events import Checkpoint, StepEvent

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
OPTIMIZERS = {
    "sgd": 0.01,
    "adam": 1e-3,
    "adamw": 1e-3,
}  # with a rate at which mixed up momentum shows in a few steps, and the rounding of the two formats does not
SMALL = ModelSpec("small", (3, 3), (1, 1), width=8, stem="cifar", shortcut="pad")
TINY = TrainConfig(SMALL, train_limit=160, epochs=2, batch_size=16, precision="float32", channels_last=False)


@pytest.fixture(scope="module", autouse=True)
def _read_every_step():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resnet_lab.training.meter.READ_EVERY", 0.0)
        patch.setattr("torch.backends.cudnn.allow_tf32", False)  # its rounding would hide what is looked for
        yield


@pytest.fixture(scope="module", params=product(DEVICES, OPTIMIZERS), ids="-".join)
def config(request):
    device, optimizer = request.param
    return TINY.replace(
        device=device, optimizer=optimizer, lr=OPTIMIZERS[optimizer], nesterov=optimizer == "sgd"
    )


@pytest.fixture(scope="module")
def undisturbed(config):
    return part(config, steps=6)


def part(config, steps, resume=None):
    """The losses by step of a part of a run, and the checkpoint that it ends with."""
    events = []
    fit(config, events.append, steps=steps, resume=resume)
    losses = {e.step: e.loss for e in events if isinstance(e, StepEvent)}
    return losses, [e.state for e in events if isinstance(e, Checkpoint)][-1]


def momentum(state):
    """The 4-d tensors of an optimizer's state, by parameter and name."""
    return {
        (index, name): value
        for index, values in state["optimizer"]["state"].items()
        for name, value in values.items()
        if value is not None and value.dim() == 4
    }


def assert_same(found, wanted):
    """Up to the order of sums, in which float32 kernels of the two formats differ."""
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        distance = (found[name].double() - value.double()).norm()
        assert distance <= 0.02 * value.double().norm() + 1e-6, name


@pytest.mark.parametrize(("saved", "resumed"), product([False, True], repeat=2))
def test_every_pair_of_layouts_continues_the_run(config, undisturbed, saved, resumed):
    """The way that was kept is left out, as in a checkpoint of the trial or of another device."""
    _, state = part(config.replace(channels_last=saved), steps=3)
    state["tuner"] = None
    assert any(not tensor.is_contiguous() for tensor in momentum(state).values()) is saved
    losses, end = part(config.replace(channels_last=resumed), steps=3, resume=state)
    assert losses == pytest.approx({step: undisturbed[0][step] for step in (4, 5, 6)}, rel=1e-4)
    assert_same(end["model"], undisturbed[1]["model"])
    assert_same(momentum(end), momentum(undisturbed[1]))


@pytest.mark.parametrize("pause", [2, 4, 5])
def test_a_pause_while_the_first_steps_are_being_timed_changes_nothing(monkeypatch, pause):
    """Three steps in each format, however slow; the pause falls into the first three or the second."""
    monkeypatch.setattr("resnet_lab.training.execution.tuner.HOPELESS", 1e9)
    config = TINY.replace(channels_last=None, batch_size=4, train_limit=90, epochs=4, lr=0.02)
    _, state = part(config, steps=pause)
    losses, _ = part(config, steps=3, resume=state)
    whole, _ = part(config.replace(channels_last=False), steps=pause + 3)
    assert losses == pytest.approx({step: whole[step] for step in losses}, rel=1e-4)
