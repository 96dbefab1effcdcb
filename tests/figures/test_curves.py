import csv
import io
import json
import math

import pytest

from resnet_lab.figures.curves import MOST_POINTS, Curve, as_csv, curve_figure, smooth, thin
from resnet_lab.figures.palette import PLAIN, RESIDUAL
from resnet_lab.training.events import EpochEvent, Notice, Started, StepEvent


def step(n, **more):
    values = {
        "loss": 2.0 / n, "accuracy": n / 100, "lr": 0.1, "grad_norm": 1.0, "images_per_second": 9.0,
        "seconds": n * 2.0, "seconds_left": 1.0, "memory_mb": 1.0,
    }  # fmt: skip
    return StepEvent(n, n / 10, **(values | more))


def epoch(n):
    return EpochEvent(n, 10 * n, 1.5, 0.2, val_loss=1.0 / n, val_accuracy=0.25 * n, seconds=20.0 * n)


def started(n):
    return Started(n, 100, 10, 90, 10, 1000, "cpu", "float32")


def test_a_resume_forgets_adjustments_after_it():
    curve = Curve("run")
    curve.extend([Notice(step, "smaller", 8) for step in (2, 9)])
    curve.extend([started(5)])
    assert [notice.step for notice in curve.notices] == [2]


def test_axes_have_titles_with_units_and_percent():
    curve = Curve("run")
    curve.extend([started(0), step(1), step(2), epoch(1)])
    figure = curve_figure([curve], "accuracy", "seconds")
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == (
        "training time (s)",
        "accuracy (%)",
    )
    training, validation = figure.data
    assert (list(training.x), list(training.y)) == ([2.0, 4.0], [1.0, 2.0])
    assert (list(validation.x), list(validation.y)) == ([20.0], [25.0])


def test_residual_and_plain_keep_their_colours():
    figure = curve_figure([Curve("a"), Curve("b", plain=True), Curve("c")], "loss")
    assert [t.line.color for t in figure.data[::2]] == [RESIDUAL, PLAIN, RESIDUAL]
    assert figure.data[0].line.dash != figure.data[4].line.dash
    assert [t.name for t in figure.data if t.showlegend] == ["a", "b", "c"]


def test_resume_from_an_earlier_checkpoint_forgets_what_came_after():
    curve = Curve("run")
    curve.extend([started(0), *[step(n) for n in range(1, 16)], epoch(1)])
    curve.extend([started(10), step(11, loss=7.0)])
    assert [p.step for p in curve.points] == list(range(1, 12))
    assert curve.points[-1].loss == 7.0
    assert [e.step for e in curve.epochs] == [10]


def test_smoothing_by_hand():
    assert smooth([1.0, 2.0], 0.0) == [1.0, 2.0]
    assert smooth([1.0, 2.0], 0.5) == pytest.approx([1.0, (0.5 * 0.5 + 0.5 * 2.0) / 0.75])


def test_long_runs_stay_small_on_the_wire():
    curve = Curve("run")
    curve.extend([step(n) for n in range(1, 20_001)])
    figure = curve_figure([curve], "loss", "step")
    assert MOST_POINTS / 4 < len(figure.data[0].x) <= MOST_POINTS
    assert (figure.data[0].x[0], figure.data[0].x[-1]) == (1, 20_000)
    assert len(figure.to_json()) < 40_000
    assert json.loads(figure.to_json())["layout"]["uirevision"]
    assert thin([1.0, 2.0]) == [(0, 1.0), (1, 2.0)]


def test_a_thinned_line_keeps_its_spikes_and_its_past():
    values = [math.sin(i / 50) for i in range(3_000)]
    values[1_234] = 40.0
    thinned = thin(values)
    assert (1_234, 40.0) in thinned
    assert thinned == sorted(thinned)
    assert all(values[i] == value for i, value in thinned)
    longer = thin([*values, *(0.0 for _ in range(100))])
    assert longer[: len(thinned) - 3] == thinned[:-3]  # but for the last bucket
    for count in range(490, 1_100):
        assert len(thin(values[:count])) <= MOST_POINTS


def test_curves_as_csv_are_the_points():
    curve = Curve("run")
    curve.extend([started(0), step(1), step(2, grad_norm=None), epoch(1)])
    rows = list(csv.DictReader(io.StringIO(as_csv(curve))))
    assert [row["of"] for row in rows] == ["training", "training", "validation"]
    assert [float(row["loss"]) for row in rows] == [2.0, 1.0, 1.0]
    assert [row["grad_norm"] for row in rows] == ["1.0", "", ""]
    assert [row["step"] for row in rows] == ["1", "2", "10"]


def test_the_rate_is_drawn_as_it_was_and_the_gradient_norm_on_a_log_axis_without_the_infinite_ones():
    curve = Curve("run")
    norms = [4.0, None, 2.0]
    curve.extend([started(0), *(step(n, lr=0.1 / n, grad_norm=norms[n - 1]) for n in (1, 2, 3)), epoch(1)])
    rate, norm = (curve_figure([curve], measure, "step", 0.9) for measure in ("lr", "grad_norm"))
    assert [list(t.y) for t in rate.data] == [[0.1, 0.05, 0.03333]]
    assert list(norm.data[0].x) == [1, 3]
    assert norm.layout.yaxis.type == "log"
    pair = curve_figure([curve, Curve("other", plain=True)], "lr")
    assert [(t.name, t.showlegend) for t in pair.data] == [("run", True), ("other", True)]
