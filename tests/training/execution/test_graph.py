"""A captured step is the step: with a stand-in for CUDA's capture here, the real one in benchmarks.gpu."""

import gc
import weakref
from copy import deepcopy

import pytest
import torch

from resnet_lab.training import fit, step
from resnet_lab.training.events import Checkpoint, ModeChosen, StepEvent
from resnet_lab.training.execution import graph, tuner
from resnet_lab.training.execution.memory import MicroBatch
from resnet_lab.training.execution.mode import ExecutionMode
from resnet_lab.training.execution.tuner import Tuner
from resnet_lab.training.loop import Trainer

LONG = {"epochs": 3, "batch_size": 4, "train_limit": 60, "channels_last": False, "compile": False}


@pytest.fixture(autouse=True)
def _read_every_step(monkeypatch):
    monkeypatch.setattr("resnet_lab.training.meter.READ_EVERY", 0.0)


@pytest.fixture
def captured(monkeypatch):
    """A device that captures, and whose replays are never the slower way; the results of each replay."""
    replays = []

    def capture(function):
        results = torch.zeros(3)

        def replay():
            replays.append(1)
            results.copy_(function())

        return results, replay

    record = Tuner.record
    monkeypatch.setattr(Tuner, "record", lambda self, s: record(self, 0.5 if self.current.graph else 1.0))
    monkeypatch.setattr(tuner, "CAPTURED_ON", {"cpu"})
    monkeypatch.setattr(graph, "capture", capture)
    return replays


def run(config, steps=25, **options):
    """The first steps of 36, which is enough for a trial."""
    events = []
    fit(config, events.append, steps=steps, **options)
    return events


def losses(events):
    return [(e.loss, e.accuracy, e.grad_norm, e.lr) for e in events if isinstance(e, StepEvent)]


def said(events):
    return [e.text for e in events if isinstance(e, ModeChosen)]


@pytest.mark.parametrize(
    "changes",
    [{}, {"clip_norm": 0.5, "label_smoothing": 0.1}, {"optimizer": "adamw", "lr": 1e-3}, {"micro_batch": 3}],
    ids=["sgd", "clipped", "adamw", "micro-batches"],
)
def test_captured_steps_are_those_of_before(tiny, captured, monkeypatch, changes):
    config = tiny.replace(**LONG, **changes)
    events = run(config)
    assert len(captured) == 25 - tuner.TRIES
    assert "as a CUDA graph" in said(events)[-1]
    monkeypatch.setattr(tuner, "CAPTURED_ON", set())
    for got, expected in zip(losses(events), losses(run(config)), strict=True):
        assert got == pytest.approx(expected, rel=1e-3)  # a rate in a tensor has the digits of float32


def test_a_run_that_was_captured_goes_on_from_its_checkpoint_without(tiny, captured, monkeypatch):
    config = tiny.replace(**LONG)
    state = [e for e in run(config, steps=15) if isinstance(e, Checkpoint)][-1].state
    assert state["tuner"]["choice"]["graph"]
    rest = run(config, resume=deepcopy(state))
    assert len(losses(rest)) == 36 - 15
    before = len(captured)
    monkeypatch.setattr(tuner, "CAPTURED_ON", set())  # on another machine
    assert losses(run(config, resume=deepcopy(state))) == losses(rest)
    assert len(captured) == before


def test_what_cannot_be_captured_goes_on_as_before_and_says_so(tiny, captured, monkeypatch):
    def refuse(function):
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    monkeypatch.setattr(graph, "capture", refuse)
    config = tiny.replace(**LONG)
    events = run(config)
    assert "the capture failed (CUDA error: operation not permitted" in said(events)[-1]
    monkeypatch.setattr(tuner, "CAPTURED_ON", set())
    assert losses(events) == losses(run(config))


def test_an_error_of_a_step_that_had_worked_is_an_error(tiny, captured, monkeypatch):
    forward = step.Stepper._forward_backward
    taken = []

    def fails_later(self, *arguments):
        taken.append(1)
        if len(taken) == 20:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return forward(self, *arguments)

    monkeypatch.setattr(step.Stepper, "_forward_backward", fails_later)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        run(tiny.replace(**LONG))


@pytest.mark.parametrize(("place", "kept"), [("Tesla T4", False), ("NVIDIA H100", True)])
def test_what_was_chosen_on_one_gpu_holds_on_such_a_gpu(tiny, monkeypatch, place, kept):
    monkeypatch.setattr(Tuner, "place", place)
    state = {"device": "NVIDIA H100", "choice": {"precision": "bf16", "channels_last": True, "compile": True}}
    trainer = Trainer(tiny.replace(precision="auto"), lambda event: None)
    trainer.stepper.tuner.restore(state)
    assert (trainer.stepper.tuner.chosen == ExecutionMode("bf16", True, True)) is kept


@pytest.mark.parametrize("half", ["bf16", "fp16"])
def test_a_run_without_a_scaler_goes_on_where_one_is_wanted_and_back(tiny, monkeypatch, half):
    config = tiny.replace(precision="auto")
    plain = Trainer(config, lambda event: None).stepper
    monkeypatch.setattr(step, "half_precision", lambda device: half)
    scaled = Trainer(config, lambda event: None).stepper
    assert scaled.scaler.is_enabled() is (half == "fp16")
    scaled.restore(plain.state())
    plain.restore(scaled.state())


def test_the_activations_of_a_step_that_did_not_fit_are_gone_before_a_smaller_one(tiny, monkeypatch):
    class Activation:
        pass

    kept, shrink = [], MicroBatch.shrink

    def full(self, images, labels, should_stop):
        if len(kept) < 2:
            activation = Activation()
            kept.append(weakref.ref(activation))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, images, labels, should_stop)

    def checked(self, batch):
        assert kept[-1]() is None
        shrink(self, batch)

    forward = step.Stepper._forward_backward
    monkeypatch.setattr(step.Stepper, "_forward_backward", full)
    monkeypatch.setattr(MicroBatch, "shrink", checked)
    run(tiny.replace(train_limit=60, epochs=1))
    assert len(kept) == 2


def test_nothing_of_a_run_outlives_it(tiny):
    trainer = Trainer(tiny, lambda event: None)
    trainer.stepper.take()
    weight = weakref.ref(trainer.model.conv1.weight)
    gc.disable()
    try:
        del trainer
        assert weight() is None  # at once, without a search for cycles
    finally:
        gc.enable()
