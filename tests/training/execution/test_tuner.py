"""The timed choice: the fastest sound way is kept, it is told, and a trial never costs more than it can gain."""

import time

import pytest
import torch

from resnet_lab.training import TrainConfig, fit
from resnet_lab.training.events import Checkpoint, ModeChosen, StepEvent
from resnet_lab.training.execution import tuner
from resnet_lab.training.execution.mode import ExecutionMode
from resnet_lab.training.execution.tuner import Trial, candidates, is_compiling_worth_it
from resnet_lab.training.loop import Trainer
from resnet_lab.training.step import Stepper

CPU = torch.device("cpu")
LONG = {"precision": "auto", "channels_last": None, "batch_size": 4, "train_limit": 90, "epochs": 40}


@pytest.fixture
def times(monkeypatch):
    """Seconds that each way takes, by a clock that only steps move; bf16 is at hand."""
    clock = [0.0]
    seconds = {"bf16": 1.0, "float32": 2.0, "channels last": 0.5, "compiled": 1.0}
    forward_backward = Stepper._forward_backward

    def timed(self, *arguments):
        result = forward_backward(self, *arguments)
        mode = self.mode
        clock[0] += seconds[mode.precision] * (seconds["channels last"] if mode.channels_last else 1)
        return result

    monkeypatch.setattr(Stepper, "_forward_backward", timed)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(tuner, "half_precision", lambda device: "bf16")
    monkeypatch.setattr(tuner, "COMPILED_ON", {"cpu"})
    monkeypatch.setattr(tuner, "COMPILE_SECONDS", 1e9)
    return seconds


def chosen(config, stop_at=30, **kwargs):
    events = []
    fit(config, events.append, steps=stop_at, **kwargs)
    return [e for e in events if isinstance(e, ModeChosen)], events


@pytest.mark.parametrize(
    ("slow", "expected"),
    [
        ({}, ExecutionMode("bf16", True)),
        ({"bf16": 9.0}, ExecutionMode("float32", True)),
        ({"channels last": 1.2}, ExecutionMode("bf16", False)),
    ],
)
def test_the_fastest_way_is_kept_and_told(tiny, times, slow, expected):
    times.update(slow)
    told, events = chosen(tiny.replace(**LONG))
    assert len(told) == 1
    assert ExecutionMode(told[0].precision, told[0].channels_last) == expected
    assert str(expected) in told[0].text
    assert 0 < told[0].step <= 4 * tuner.TRIES
    state = [e for e in events if isinstance(e, Checkpoint)][-1].state
    assert state["tuner"]["choice"]["precision"] == expected.precision
    again = chosen(tiny.replace(**LONG), resume=state)[0]
    assert again == []  # the rest of the run goes on in the same way


def test_a_gradient_that_points_elsewhere_is_refused_whatever_its_speed(tiny, times, monkeypatch):
    monkeypatch.setattr(Stepper, "_agreement", lambda self, images, labels, mode: 0.3)
    told, _ = chosen(tiny.replace(**LONG))
    assert [t.precision for t in told] == ["float32", "float32"]
    assert "cosine 0.30" in told[0].text


def test_the_first_step_does_not_wait_for_the_check_and_a_resumed_run_has_none(tiny, times, monkeypatch):
    log = []
    gradients, agreement = Stepper._gradients, Stepper._agreement

    def logged(self, images, labels, mode, *stop):
        log.append(mode.precision)
        return gradients(self, images, labels, mode, *stop)

    def checked(self, images, labels, mode):
        cosine = agreement(self, images, labels, mode)
        log[-2:] = ["check"]
        return cosine

    monkeypatch.setattr(Stepper, "_gradients", logged)
    monkeypatch.setattr(Stepper, "_agreement", checked)
    _, events = chosen(tiny.replace(precision="auto"), stop_at=3)  # too short for a trial
    assert log == ["float32", "check", "bf16", "bf16"]
    log.clear()
    chosen(
        tiny.replace(precision="auto"),
        stop_at=3,
        resume=[e for e in events if isinstance(e, Checkpoint)][-1].state,
    )
    assert log == ["bf16"] * 3


def test_gradients_of_a_deep_plain_net_do_not_survive_bf16(tiny):
    """Measured, not simulated: at the start those of resnet20 do, those of plain56 do not."""
    cosines = {}
    for variant in ("resnet20", "plain56"):
        trainer = Trainer(tiny.replace(variant=variant), lambda event: None)
        before = [p.detach().clone() for p in trainer.model.state_dict().values()]
        cosines[variant] = trainer.stepper._agreement(*trainer.batches.batch(0), ExecutionMode("bf16"))
        assert all(map(torch.equal, before, trainer.model.state_dict().values()))
        assert all(p.grad is None for p in trainer.model.parameters())
    assert cosines["resnet20"] > 0.95
    assert cosines["plain56"] < 0.5


def test_a_short_run_is_not_spent_on_trials(tiny, times):
    told, _ = chosen(tiny.replace(precision="auto", channels_last=None))  # 16 steps
    assert told == []


@pytest.mark.parametrize(
    ("slow_steps", "given_up_after"), [([4.6], 1), ([3.0, 1.6], 2), ([3.0, 1.4, 1.4], 3)]
)
def test_a_candidate_that_is_far_slower_is_given_up(slow_steps, given_up_after):
    """First steps, which allocate and plan, are compared with first steps."""
    fast, slow = ExecutionMode("bf16"), ExecutionMode("float32")
    trial = Trial([fast, slow])
    for seconds in (3.0, 1.0, 1.1):
        trial.record(seconds)
    assert trial.current == slow
    for taken, seconds in enumerate(slow_steps, 1):
        assert trial.is_running
        trial.record(seconds)
        assert trial.is_running == (taken < given_up_after)
    assert trial.best == fast


def test_a_first_step_that_plans_costs_nobody_the_trial():
    """On two cores, resnet20 in batches of 32: channels last was given up for 60 ms, and takes 30 from then on."""
    first, second = ExecutionMode("bf16"), ExecutionMode("bf16", channels_last=True)
    trial = Trial([first, second])
    for seconds in (0.09, 0.037, 0.037, 0.06, 0.03, 0.03):
        trial.record(seconds)
    assert trial.best == second


def test_a_first_step_does_not_count():
    first, second = ExecutionMode("bf16"), ExecutionMode("float32")
    trial = Trial([first, second])
    for seconds in (9.0, 1.0, 1.2, 1.0, 0.9, 0.8):
        trial.record(seconds)
    assert trial.best == second
    assert trial.timed == {first: 1.0, second: 0.8}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"deterministic": True}, ["float32, channels first"]),
        ({"precision": "bf16", "channels_last": True}, ["bf16, channels last"]),
        ({"precision": "float32"}, ["float32, channels first", "float32, channels last"]),
        ({"compile": True, "channels_last": False, "precision": "bf16"}, ["bf16, channels first, compiled"]),
    ],
)
def test_what_the_recipe_fixes_is_not_tried(fields, expected):
    assert [str(c) for c in candidates(TrainConfig(**fields), CPU)] == expected


def test_compiling_must_pay_within_the_run():
    assert not is_compiling_worth_it(convolutions=20, seconds_left=60)
    assert is_compiling_worth_it(convolutions=20, seconds_left=3600)


def test_where_compiling_fails_the_run_goes_on_without(tiny, times, monkeypatch):
    def broken(model):
        def fail(*_):
            raise RuntimeError("No working C++ compiler found\nand a long trace")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(tuner, "COMPILE_SECONDS", 0.0)
    told, events = chosen(tiny.replace(**LONG))
    assert "torch.compile failed (No working C++ compiler found)" in told[-1].text
    assert not told[-1].compile
    assert [e for e in events if isinstance(e, StepEvent)][-1].step == 30


def test_a_compiled_net_that_is_slower_is_put_back(tiny, times, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda model: model)
    monkeypatch.setattr(tuner, "COMPILE_SECONDS", 0.0)
    told, _ = chosen(tiny.replace(**LONG))
    assert len(told) == 1
    assert "compiled" in told[0].text  # it was measured, and was no faster
    assert not told[0].compile


def test_a_checkpoint_comes_before_the_long_step_that_compiles(tiny, times, monkeypatch):
    """With all that was measured up to it: it counts as many steps as were taken."""
    monkeypatch.setattr(torch, "compile", lambda model: model)
    monkeypatch.setattr(tuner, "COMPILE_SECONDS", 0.0)
    _, events = chosen(tiny.replace(**LONG), stop_at=19)  # an epoch has 20
    first, last = (e for e in events if isinstance(e, Checkpoint))
    assert last.step == 19
    assert first.state["step"] == first.state["sums"][2] == first.step < 19
    assert first.state["tuner"] is None
