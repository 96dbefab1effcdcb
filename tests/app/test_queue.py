"""When a run that waits may begin, by a case worked by hand."""

from types import SimpleNamespace

import pytest

from resnet_lab.figures.curves import Curve
from resnet_lab.training import TrainConfig
from resnet_lab.ui.common.queue import seconds_until

SMALL = TrainConfig("resnet20", epochs=4)


def told(seconds, epoch, left):
    return Curve("", points=[SimpleNamespace(seconds=seconds, epoch=epoch, seconds_left=left)])


def test_what_goes_on_and_then_what_comes_before():
    going = told(30, 1.5, 50)  # 20 s an epoch
    known = [
        (SMALL, going),
        (SMALL.replace(variant="resnet56"), told(120, 2, 0)),
    ]  # the other one: 60 s an epoch
    assert seconds_until([going], [], known) == pytest.approx(50)
    assert seconds_until([going], [SMALL, SMALL.replace(epochs=1, seed=3, lr=0.5)], known) == pytest.approx(
        150
    )
    assert seconds_until([], [SMALL.replace(variant="resnet56", epochs=2)], known) == pytest.approx(120)


def test_where_nothing_tells():
    going = told(30, 1.5, 50)
    assert seconds_until([Curve("")], [], []) is None  # it has not taken a step yet
    assert seconds_until([going], [SMALL.replace(batch_size=16)], [(SMALL, going)]) is None
