"""Means over seeds, worked by hand."""

from dataclasses import replace

import pytest

from resnet_lab.figures.curves import Curve, curve_figure
from resnet_lab.figures.seeds import MeanPoint, pool
from resnet_lab.training.events import EpochEvent


def curve(name, losses, accuracies, steps=(1, 2, 3)):
    points = [
        MeanPoint(s, s / 2, s, loss=v, accuracy=0.5, lr=0.1, grad_norm=v)
        for s, v in zip(steps, losses, strict=True)
    ]
    epochs = [
        EpochEvent(i, 2 * i, 1.0, 0.5, val_loss=1 - a, val_accuracy=a, seconds=3.0 * i)
        for i, a in enumerate(accuracies, 1)
    ]
    return Curve(name, points=points, epochs=epochs)


def test_epochs_are_means_with_the_lowest_and_highest():
    a, b = curve("net", [3, 2, 1], [0.2, 0.6, 0.7]), curve("net", [5, 4, 3], [0.4, 0.8])
    [mean] = pool([a, b], ["same", "same"])
    assert mean.name == "net, mean of 2 seeds"
    assert [e.accuracy for e in mean.epochs] == pytest.approx([0.3, 0.7])
    assert [e.accuracy_low for e in mean.epochs] == [0.2, 0.6]
    assert [e.accuracy_high for e in mean.epochs] == [0.4, 0.8]


def test_training_points_meet_on_common_steps():
    a = curve("net", [4, 2], [], steps=(1, 5))
    b = curve("net", [1, 3, 5], [], steps=(2, 3, 4))
    [mean] = pool([a, b], [0, 0])
    assert [p.step for p in mean.points] == [2, 3, 4]
    assert [p.loss for p in mean.points] == pytest.approx([(3.5 + 1) / 2, (3 + 3) / 2, (2.5 + 5) / 2])
    assert [p.epoch for p in mean.points] == pytest.approx([1, 1.5, 2])


def test_a_gap_in_one_run_is_a_gap_in_the_mean():
    a, b = curve("net", [1, 2], [], steps=(1, 2)), curve("net", [1, 2], [], steps=(1, 2))
    a.points[1] = replace(a.points[1], grad_norm=None)
    [mean] = pool([a, b], [0, 0])
    assert [p.grad_norm for p in mean.points] == [None, None]
    assert [p.loss for p in mean.points] == [1, 2]


def test_other_keys_pass_through_in_order_and_runs_that_have_not_begun_wait():
    a, b, c = curve("a", [1], [], steps=(1,)), Curve("b"), curve("a", [3], [], steps=(1,))
    first, second = pool([a, b, c], ["a", "b", "a"])
    assert (first.name, second) == ("a, mean of 2 seeds", b)
    [none] = pool([a, Curve("a")], [0, 0])
    assert (none.points, none.epochs) == ([], [])


def test_the_band_spans_lowest_to_highest_on_the_errors_own_scale():
    a, b = curve("net", [3, 2, 1], [0.2, 0.6]), curve("net", [5, 4, 3], [0.4, 0.8])
    figure = curve_figure(pool([a, b], [0, 0]), "error")
    band = next(t for t in figure.data if t.fill == "toself")
    assert list(band.y) == [80, 40, 20, 60]
    validation = figure.data[-1]
    assert list(validation.y) == pytest.approx([70, 30])
