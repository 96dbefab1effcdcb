"""Nets that take turns train as they would alone."""

import dataclasses
import itertools

import pytest
import torch

from resnet_lab.models import init_model
from resnet_lab.training import fit, loop
from resnet_lab.training.events import Gradients, Started, StepEvent
from resnet_lab.training.execution.device import deterministic
from resnet_lab.training.round_robin import round_robin, run_to_end
from resnet_lab.training.step import gradient_norms


@pytest.fixture(autouse=True)
def _read_every_step(monkeypatch):
    monkeypatch.setattr("resnet_lab.training.meter.READ_EVERY", 0.0)


def counting(name, steps, seen):
    for _ in range(steps):
        seen.append(name)
        yield
    return steps


def test_each_takes_a_step_in_turn_and_results_keep_their_order():
    seen = []
    assert round_robin([counting("a", 1, seen), counting("b", 3, seen), counting("c", 2, seen)]) == [1, 3, 2]
    assert "".join(seen) == "abcbcb"
    assert run_to_end(counting("d", 2, seen)) == 2


def test_racing_nets_take_the_same_steps_as_alone(tiny):
    specs = [tiny.spec.replace(shortcut=shortcut) for shortcut in ("pad", "none")]
    configs = [tiny.replace(variant=spec, epochs=1, deterministic=True) for spec in specs]
    together, order = [[], []], []

    def tell(told):
        def emit(event):
            told.append(event)
            if isinstance(event, StepEvent):
                order.append(event.step)

        return emit

    results = round_robin(loop.step_by_step(c, tell(t)) for c, t in zip(configs, together, strict=True))
    assert order == sorted(order)
    assert len(order) == 16
    for config, told, result in zip(configs, together, results, strict=True):
        alone = []
        single = fit(config, alone.append)
        assert losses(told) == losses(alone)
        assert result.test_accuracy == single.test_accuracy
        assert all(
            torch.equal(a, b)
            for a, b in zip(
                result.model.state_dict().values(), single.model.state_dict().values(), strict=True
            )
        )


def losses(events):
    return [e.loss for e in events if isinstance(e, StepEvent)]


def test_time_spent_on_the_others_does_not_count(tiny, monkeypatch):
    clock = itertools.count()
    others = [0.0]
    monkeypatch.setattr("resnet_lab.training.meter.time.perf_counter", lambda: 1e-3 * next(clock) + others[0])
    told = []
    work = loop.step_by_step(tiny.replace(epochs=1), told.append)
    for _ in range(5):
        next(work)
        others[0] += 100.0  # their turns
    work.close()
    seconds = [e.seconds for e in told if isinstance(e, StepEvent)]
    assert len(seconds) == 5
    assert 0 < seconds[-1] < 1


def test_deterministic_runs_may_end_in_any_order():
    first, second = deterministic(), deterministic()
    assert not torch.are_deterministic_algorithms_enabled()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert torch.are_deterministic_algorithms_enabled()
    second.__exit__(None, None, None)
    assert not torch.are_deterministic_algorithms_enabled()


def test_gradients_are_told_for_every_convolution(tiny):
    told = []
    trainer = loop.Trainer(tiny.replace(variant="plain20", epochs=1), told.append)
    run_to_end(trainer.fit(steps=1))
    started = next(e for e in told if isinstance(e, Started))
    gradients = next(e for e in told if isinstance(e, Gradients))
    assert len(started.layers) == 19
    assert (started.layers[0], started.layers[-1]) == ("conv1", "layer3.2.conv2")
    by_hand = [trainer.model.get_submodule(name).weight.grad.norm().item() for name in started.layers]
    assert list(gradients.norms) == pytest.approx(by_hand, rel=1e-3)
    assert dataclasses.asdict(gradients)["step"] == 1


def test_frozen_layers_have_no_gradients_to_tell_of(tiny):
    model = init_model("resnet20")
    model(torch.zeros(2, 3, 32, 32)).sum().backward()
    assert len(gradient_norms(model)) == 19
    model.conv1.weight.grad = None
    assert gradient_norms(model) is None
