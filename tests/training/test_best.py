"""A run tests its best weights, whenever it stops and goes on, and a later `evaluate` of them says the same."""

import dataclasses

import pytest
import torch

from resnet_lab.data import Augmentation, load_dataset
from resnet_lab.experiments import errors
from resnet_lab.experiments.lesion import LESION, LesionSettings
from resnet_lab.models import ModelSpec, create_model
from resnet_lab.models.classifier import EvalTransform
from resnet_lab.runs import execute, load_run_model
from resnet_lab.training import evaluate, fit, loop
from resnet_lab.training.checkpoint import BestWeights
from resnet_lab.training.events import Checkpoint, EpochEvent, Notice, StepEvent, TestEvent

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = ModelSpec("small", (3, 3), (1, 1), width=8, stem="cifar", shortcut="pad")
EPOCH = 5  # steps: 90 of 100 images in batches of 16
FEW = 300  # test images


@pytest.fixture
def config(tiny):
    return tiny.replace(variant=SMALL, train_limit=100, epochs=3, deterministic=True)


@pytest.fixture
def best_in_the_middle(monkeypatch):
    """Validation as if the second epoch had been the best, whatever the net says; the test stays as it is."""
    monkeypatch.setattr("resnet_lab.training.meter.READ_EVERY", 0.0)
    honest, told = loop.evaluate, {EPOCH: 0.5, 2 * EPOCH: 0.9, 3 * EPOCH: 0.7}

    def few(*args, **options):
        return load_dataset(*args, **options | ({"limit": FEW} if options["split"] == "test" else {}))

    for module in (loop, errors):
        monkeypatch.setattr(module, "load_dataset", few)

    def validate(self):
        found = honest(self.net, self.val)
        return dataclasses.replace(found, accuracy=told[self.step])

    monkeypatch.setattr(loop.Trainer, "_validate", validate)


class Recorder(list):
    def of(self, kind):
        return [event for event in self if isinstance(event, kind)]


def record(config, **options):
    """The result and the events; states are copied, as those of a file would be."""
    events = Recorder()

    def emit(event):
        if isinstance(event, Checkpoint):
            event = dataclasses.replace(event, state=copied(event.state))
        events.append(event)

    return fit(config, emit, **options), events


def copied(state):
    if isinstance(state, dict):
        return {key: copied(value) for key, value in state.items()}
    if isinstance(state, list):
        return [copied(value) for value in state]
    return state.clone() if isinstance(state, torch.Tensor) else state


def by_hand(config, weights):
    """Loss and accuracy on the test images, by a bare net with these weights."""
    data = load_dataset("shapes", split="test", limit=FEW)
    model = create_model(SMALL, num_classes=10)
    model.load_state_dict(weights)
    transform = EvalTransform(config.augmentation.crop_size, config.test_scales)
    found = evaluate(model, data, transform=transform)
    return found.loss, found.accuracy


@pytest.mark.parametrize(
    "changes",
    [{}, {"augmentation": Augmentation(0, False, crop_size=20)}, {"test_scales": (24, 40)}],
    ids=["whole", "cropped", "at two scales"],
)
def test_the_best_weights_are_tested_and_not_the_last(config, best_in_the_middle, changes):
    config = config.replace(**changes)
    result, events = record(config)
    best = next(e.state["model"] for e in events.of(Checkpoint) if e.step == 2 * EPOCH)
    (test,) = events.of(TestEvent)
    assert (test.step, result.tested_step, result.step) == (2 * EPOCH, 2 * EPOCH, 3 * EPOCH)
    assert (test.loss, test.accuracy) == by_hand(config, best)
    assert result.val_accuracy == 0.9
    assert all(torch.equal(value, best[name]) for name, value in result.model.state_dict().items())
    assert result.net.weights == "best weights, of step 10"
    assert not result.model.training


def test_a_checkpoint_holds_the_best_weights_once(config, best_in_the_middle):
    first, second, third = record(config)[1].of(Checkpoint)
    assert (first.best, second.best, third.best) == (True, True, False)
    assert first.state["best"] is second.state["best"] is None  # they are its own
    assert third.state["best"]["step"] == 2 * EPOCH
    assert BestWeights.in_state(third.state).model.keys() == second.state["model"].keys()
    for name, value in second.state["model"].items():
        assert torch.equal(BestWeights.in_state(third.state).model[name], value)
    dicts = [value for value in third.state["best"].values() if isinstance(value, dict)]
    assert not dicts  # a reader that looks for state dicts finds one


@pytest.mark.parametrize("stop_at", [3, EPOCH, EPOCH + 2, 2 * EPOCH, 2 * EPOCH + 1, 3 * EPOCH - 1])
def test_a_run_that_goes_on_tests_what_an_undisturbed_one_does(config, best_in_the_middle, stop_at):
    whole = record(config)[1].of(TestEvent)
    first = Recorder()
    stopped = fit(
        config, first.append, should_stop=lambda: any(e.step >= stop_at for e in first.of(StepEvent))
    )
    assert (stopped.outcome, stopped.tested_step) == ("stopped", None)
    assert record(config, resume=first.of(Checkpoint)[-1].state)[1].of(TestEvent) == whole


def test_a_stop_during_the_test_loses_nothing(config, best_in_the_middle):
    whole, told = record(config)[1], Recorder()
    stopped = fit(config, told.append, should_stop=lambda: len(told.of(EpochEvent)) == 3)
    assert (stopped.outcome, stopped.step, told.of(TestEvent)) == ("stopped", 3 * EPOCH, [])
    state = told.of(Checkpoint)[-1].state
    last = whole.of(Checkpoint)[-1].state["model"]
    assert all(torch.equal(value, last[name]) for name, value in state["model"].items())  # not the best ones
    assert record(config, resume=state)[1].of(TestEvent) == whole.of(TestEvent)


@pytest.mark.parametrize("at", [1, 2], ids=["with an epoch to go", "with nothing left but the test"])
def test_a_checkpoint_of_before_goes_on_and_says_what_it_lacks(config, best_in_the_middle, at):
    state = record(config)[1].of(Checkpoint)[at].state
    del state["best"]
    result, events = record(config, resume=state)
    assert "did not keep the best weights" in events.of(Notice)[0].text
    assert (result.outcome, result.tested_step) == ("completed", 3 * EPOCH)


def test_a_state_without_a_validated_epoch_has_no_best(config):
    told = Recorder()
    fit(config, told.append, steps=2)
    state = told.of(Checkpoint)[-1].state
    assert (state["best"], state["best_accuracy"]) == (None, -1.0)
    assert BestWeights.in_state(state) is None


@pytest.fixture
def run(store, config, best_in_the_middle):
    """Its best weights are not its last, it looks at the middle of the images, and trained in half precision."""
    crop = Augmentation(0, False, crop_size=20)
    run = store.create(config.replace(augmentation=crop, precision="bf16", deterministic=False))
    execute(run)
    assert run.status.state == "completed", run.status
    return run


def evaluated(net):
    return evaluate(net, load_dataset("shapes", split="test", limit=FEW)).accuracy


def test_the_runs_own_test_is_what_everybody_says_later(run):
    told = run.status.test_accuracy
    net = load_run_model(run)
    assert (net.weights, net.transform.crop) == ("best weights, of step 10", 20)
    assert evaluated(net) == told
    found = errors.measure(run)
    assert found.right / len(found) == told
    assert found.weights == net.weights
    [net] = LESION.of_runs([run], LesionSettings(len(found)))
    assert net.whole.accuracy == pytest.approx(told, abs=0.004)  # in another memory format


def test_without_its_file_the_best_weights_come_out_of_the_last_checkpoint(run):
    for damage in (lambda path: path.write_bytes(path.read_bytes()[:1000]), lambda path: path.unlink()):
        damage(run.path / "best.pt")
        net = load_run_model(run)
        assert net.weights == "best weights, of step 10"
        assert evaluated(net) == run.status.test_accuracy


def test_the_last_weights_can_be_asked_for_and_say_so(run):
    last = torch.load(run.path / "last.pt", weights_only=True)
    net = load_run_model(run, "last")
    assert net.weights == "last weights, of step 15"
    assert all(torch.equal(value, last["model"][name]) for name, value in net.model.state_dict().items())
