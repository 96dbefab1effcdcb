"""The estimate of a step by hand, and against a real step in a process of its own."""

import dataclasses

import psutil
import pytest

from resnet_lab.inspection import layer_table
from resnet_lab.inspection.memory import step_memory as memory_module
from resnet_lab.inspection.memory.step_memory import MeasuredStep, estimate_step, measure_step
from resnet_lab.models import ModelSpec, get_spec

TINY = ModelSpec("tiny", (3, 3), (1,), width=2, stem="cifar", num_classes=3)


def test_by_hand():
    """conv 54, norms 3 · 4, convs 2 · 36, fc 9: 147 parameters; activations of 8 × 8 maps of 2 channels."""
    table = layer_table(TINY, (3, 8, 8))
    assert table.total_params == 54 + 12 + 72 + 9
    maps = 6 * 2 * 64  # of three convolutions and three ReLUs; the additions and norms leave nothing
    kept = maps + 2  # and the two averages that the linear layer multiplies
    statistics = 3 * 2 * 2  # mean and deviation in each norm
    need = estimate_step(table, batch=5)
    assert need.activations == 5 * 4 * (kept + statistics)
    assert need.images == 5 * 4 * 192
    assert (need.weights, need.gradients, need.optimizer) == (4 * 147,) * 3
    assert need.low_precision_weights == 0
    assert need.total == sum(dataclasses.asdict(need).values())


def test_adam_and_half_precision():
    table = layer_table(TINY, (3, 8, 8))
    full, half = estimate_step(table, 5), estimate_step(table, 5, "bf16", "adam")
    assert half.optimizer == 2 * full.optimizer
    assert (half.weights, half.gradients) == (full.weights, full.gradients)
    assert half.low_precision_weights == 2 * (54 + 72 + 9)
    assert 2 * half.activations == full.activations


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0,), "batch is 0; it may be a whole number from 1 to 4,096"),
        ((2.5,), "batch is 2.5"),
        ((4, "int8"), "precision is 'int8'; it may be float32, bf16, fp16"),
        ((4, "bf16", "lion"), "optimizer is 'lion'; it may be sgd, adam"),
    ],
)
def test_bad_arguments(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        estimate_step(layer_table(TINY, (3, 8, 8)), *arguments)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_real_step_keeps_what_was_estimated(precision):
    spec, size = get_spec("resnet20"), (3, 32, 32)
    ballast = bytearray(b"x" * 10**9)  # what this process holds, or held, is not the step's
    *progress, step = measure_step(spec, size, 16, precision)
    assert len(ballast) == 10**9
    assert step.peak < 300e6
    assert isinstance(step, MeasuredStep)
    assert progress == sorted(progress)
    need = estimate_step(layer_table(spec, size), 16, precision)
    assert step.kept == pytest.approx(need.kept, rel=0.03)
    assert step.peak > need.activations
    assert step.seconds > 0


def children():
    return {child.pid for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE}


def test_closing_the_iterator_ends_the_process():
    before = children()
    news = measure_step(get_spec("resnet152"), (3, 224, 224), 4)
    next(news)
    assert children() - before
    news.close()
    assert children() <= before


def test_a_step_that_does_not_fit_is_refused_before_it_starts():
    before = children()
    with pytest.raises(
        ValueError, match=r"needs about [\d,.]+ GB and this (machine|GPU) has .* smaller batch"
    ):
        next(measure_step(get_spec("resnet1202"), (3, 1024, 1024), 4096))
    assert children() <= before


def test_a_process_that_dies_is_told_in_one_sentence(monkeypatch):
    monkeypatch.setattr(memory_module, "STEP", "resnet_lab.no_such_module")
    with pytest.raises(ValueError, match=r"did not come to its end: .*no_such_module") as caught:
        list(measure_step(TINY, (3, 8, 8), 2))
    assert "\n" not in str(caught.value)


def test_a_talkative_process_does_not_hang(monkeypatch, tmp_path):
    (tmp_path / "talk.py").write_text(
        "import sys; sys.stderr.write('x' * 300_000 + '\\nthe end'); sys.exit(1)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(memory_module, "STEP", "talk")
    with pytest.raises(ValueError, match="did not come to its end: the end"):
        list(measure_step(TINY, (3, 8, 8), 2))
