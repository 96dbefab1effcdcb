"""Accumulation gives the large batch's step; running out of memory makes micro-batches smaller, not the run fail."""

import pytest
import torch

from resnet_lab.models import ModelSpec
from resnet_lab.training import TrainConfig, TrainingError, fit, step
from resnet_lab.training.events import Checkpoint, Notice, Started, StepEvent
from resnet_lab.training.execution.distributed import World
from resnet_lab.training.execution.memory import is_out_of_memory
from resnet_lab.training.loop import Trainer

NO_NORM = ModelSpec("no norm", (3, 3), (1, 1), width=8, stem="cifar", norm="none", shortcut="pad")


@pytest.fixture(autouse=True)
def _read_every_step(monkeypatch):
    monkeypatch.setattr("resnet_lab.training.meter.READ_EVERY", 0.0)


def run(config, **kwargs):
    events = []
    result = fit(config, events.append, **kwargs)
    return result, events


def steps(events):
    return [(e.loss, e.accuracy, e.grad_norm) for e in events if isinstance(e, StepEvent)]


@pytest.mark.parametrize("micro_batch", [1, 3, 8, 15, 16, 64])
def test_accumulated_steps_are_those_of_the_whole_batch(tiny, micro_batch):
    """Without BN, whose statistics are those of micro-batches."""
    config = tiny.replace(variant=NO_NORM, epochs=1, lr=0.01, clip_norm=1.0, label_smoothing=0.1)
    whole, parts = run(config)[1], run(config.replace(micro_batch=micro_batch))[1]
    for expected, got in zip(steps(whole), steps(parts), strict=True):
        assert got == pytest.approx(expected, rel=1e-4)
    weights = [
        [e for e in events if isinstance(e, Checkpoint)][-1].state["model"] for events in (whole, parts)
    ]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-4, atol=1e-6)


class Memory:
    """A device that holds `room` images in a training step."""

    def __init__(self, room):
        self.room = room
        self.seen = []

    def __call__(self, net, inputs):
        if not net.training:
            return
        self.seen.append(len(inputs[0]))
        if len(inputs[0]) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.fixture
def memory(monkeypatch):
    """memory(room) → every net that is built from now on runs on such a device."""
    build = step.Stepper.__init__

    def memory(room):
        device = Memory(room)

        def with_hook(self, config, batches, model, *rest, **more):
            model.layer2.register_forward_pre_hook(device)
            build(self, config, batches, model, *rest, **more)

        monkeypatch.setattr(step.Stepper, "__init__", with_hook)
        return device

    return memory


def test_out_of_memory_is_survived_and_told(tiny, memory):
    config = tiny.replace(variant=NO_NORM, epochs=2, lr=0.01)
    undisturbed = run(config)[1]
    device = memory(room=5)
    result, events = run(config)
    assert (result.outcome, result.step) == ("completed", 16)
    told = [e for e in events if isinstance(e, Notice)]
    assert [e.micro_batch for e in told] == [8, 4]
    assert "micro-batches of up to 4, and BN sees those" in told[-1].text
    assert device.seen[:3] == [16, 8, 4]
    assert set(device.seen[2:]) == {4}  # it stays at that size
    for expected, got in zip(steps(undisturbed), steps(events), strict=True):
        assert got == pytest.approx(expected, rel=1e-3)  # the same steps as with enough memory


def test_statistics_of_a_failed_try_do_not_stay(tiny, memory):
    """The first, failed try has run the stem's BN; the accumulated one is the same as if asked for at once."""
    asked = run(tiny.replace(micro_batch=8, epochs=1))[1]
    memory(room=8)
    shrunk = run(tiny.replace(epochs=1))[1]
    assert steps(shrunk) == steps(asked)
    states = [
        [e for e in events if isinstance(e, Checkpoint)][-1].state["model"] for events in (asked, shrunk)
    ]
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())


def test_a_resumed_run_goes_on_at_the_smaller_size(tiny, memory):
    device = memory(room=5)
    config = tiny.replace(variant=NO_NORM, epochs=2, lr=0.01)
    events = []
    fit(
        config,
        events.append,
        should_stop=lambda: any(isinstance(e, StepEvent) and e.step >= 3 for e in events),
    )
    state = [e for e in events if isinstance(e, Checkpoint)][-1].state
    device.seen.clear()
    rest = run(config, resume=state)[1]
    assert not [e for e in rest if isinstance(e, Notice)]
    assert set(device.seen) == {4}
    assert next(e for e in rest if isinstance(e, Started)).step == 3


def test_where_not_even_one_image_fits_there_is_advice(tiny, memory):
    memory(room=0)
    with pytest.raises(TrainingError, match=r"Not even one image at a time fits .* choose a smaller net"):
        run(tiny.replace(variant=NO_NORM))


def test_where_one_image_fits_and_a_norm_wants_two_there_is_advice(tiny, memory):
    """resnet18 leaves 1 × 1 of an image of 32 × 32."""
    memory(room=1)
    with pytest.raises(TrainingError, match=r"one image at a time, and a norm has no variance"):
        run(tiny.replace(variant="resnet18", batch_size=2, train_limit=20))


def test_other_errors_are_no_lack_of_memory(tiny, monkeypatch):
    def broken(*_):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(step.Stepper, "_forward_backward", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        run(tiny)


def test_the_cpu_says_it_in_words():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("size mismatch"))


class Pair(World):
    """Two processes, of which the other one holds four images at once."""

    def wrap(self, model):
        return model

    def min_rank(self, value):
        return min(value, 4)


@pytest.mark.parametrize(("room", "told"), [(16, [4]), (8, [8, 4]), (2, [8, 4, 2])])
def test_processes_agree_on_a_size_before_the_first_step(tiny, memory, room, told):
    """The smallest of all; what one of them cannot hold would leave the others waiting."""
    device, shrunk = memory(room), []
    trainer = Trainer(tiny, lambda event: None)
    pair = step.Stepper(tiny, trainer.batches, trainer.model, shrunk.append, Pair(rank=0, size=2))
    before = [b.clone() for b in trainer.model.buffers()]
    pair._settle(*trainer.batches.batch(0), pair.mode)
    assert [notice.micro_batch for notice in shrunk] == told
    assert pair.micro_batch.size == told[-1]
    assert all(map(torch.equal, before, trainer.model.buffers()))
    device.seen.clear()
    pair.take(0.1)
    assert set(device.seen) == {told[-1]}
    assert trainer.stepper.micro_batch.size == 16


def test_micro_batch_is_checked():
    with pytest.raises(
        ValueError, match="micro_batch is 0; it may be a whole number from 1 to 65,536, or none"
    ):
        TrainConfig(micro_batch=0)


@pytest.mark.gpu
def test_a_gpu_whose_memory_is_full_is_survived_and_told(tiny):
    """A real error: the second time, this process may take three quarters of what the first run took."""
    config = tiny.replace(train_limit=1280, batch_size=1024, epochs=3, device="cuda")
    torch.cuda.reset_peak_memory_stats()
    undisturbed = run(config)[1]
    whole = torch.cuda.max_memory_allocated() / torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.75 * whole)
    try:
        result, events = run(config)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    told = [e for e in events if isinstance(e, Notice)]
    assert told
    assert told[-1].micro_batch in (128, 256, 512)
    assert (result.outcome, result.step) == ("completed", 3)
    assert len(steps(events)) == len(steps(undisturbed))
