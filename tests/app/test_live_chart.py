"""What is sent of a figure that grows makes up the figure."""

import json

import pytest

from resnet_lab.figures.curves import Curve, curve_figure
from resnet_lab.training.events import EpochEvent, Started, StepEvent
from resnet_lab.ui.common.feed import MOST_ADDED, Feed, growth


def step(n):
    return StepEvent(n, n / 10, 2.0 / n, n / 2_000, 0.1, 1.0, 9.0, n * 2.0, 1.0, 1.0)


def epoch(n):
    return EpochEvent(n, 10 * n, 1.5, 0.2, 1.0 / n, n / 2_000, 20.0 * n)


def grown(steps):
    curve = Curve("run")
    curve.extend([Started(0, 100, 10, 90, 10, 1000, "cpu", "float32")])
    for n in range(1, steps + 1):
        curve.extend([step(n), *([epoch(n // 10)] if n % 10 == 0 else [])])
    return curve_figure([curve], "loss", "step", 0.6)


def put_together(whole, added):
    """As live_curves.js does."""
    figure = json.loads(whole)
    for line, (start, x, y) in zip(figure["data"], added, strict=False):
        line["x"][start:], line["y"][start:] = x, y
    return figure


@pytest.mark.parametrize("start", [1, 90, 480])
def test_a_viewer_who_keeps_the_whole_sees_each_moment(start):
    feed, kept, sent = Feed(), {}, []
    for steps in range(start, start + 60):
        figure = grown(steps)
        drawn = feed.next(figure)
        sent.append(len(json.dumps(drawn.added)) + (0 if drawn.name in kept else len(drawn.whole)))
        kept[drawn.name] = drawn.whole
        assert put_together(kept[drawn.name], drawn.added) == json.loads(figure.to_json())
    assert max(len(json.dumps(drawn.added)), *sent[-3:]) < MOST_ADDED + len(kept[drawn.name])
    assert len(kept) < 12


def test_little_is_sent_for_a_new_point():
    feed = Feed()
    feed.next(grown(300))
    drawn = feed.next(grown(301))
    assert len(json.dumps(drawn.added)) < 100


@pytest.mark.parametrize(
    "other", [grown(30).update_yaxes(type="log"), curve_figure([Curve("a")] * 2, "loss")]
)
def test_what_changes_otherwise_begins_anew(other):
    feed = Feed()
    first, second = feed.next(grown(20)), feed.next(other)
    assert first.name != second.name
    assert second.added == ()
    assert second.whole == other.to_json()


def test_growth_by_hand():
    before = {"data": [{"x": [1, 2, 3], "y": [5, 6, 7], "name": "a"}], "layout": {}}
    now = {"data": [{"x": [1, 2, 4, 5], "y": [5, 6, 7, 8], "name": "a"}], "layout": {}}
    assert growth(before, now) == ((2, [4, 5], [7, 8]),)
    assert growth(before, {**now, "layout": {"title": "b"}}) is None
