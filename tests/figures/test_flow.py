import math

import pytest

from resnet_lab.analysis.records import LayerSeries
from resnet_lab.figures.flow import depth_lines, gradient_map, gradient_range, responses_figure
from resnet_lab.figures.palette import PLAIN, RESIDUAL
from resnet_lab.training.events import Gradients

RECORDS = [Gradients(s, s / 10, (10.0 * s, 0.1)) for s in (1, 10)]
LAYERS = ("conv1", "layer1.0.conv1")


def test_lines_run_from_the_input_to_the_output_in_the_colours_of_their_kind():
    lines = [
        LayerSeries(name, plain, "norm", dict(zip(LAYERS, (1.0, 2.0), strict=True)))
        for name, plain in (("a", False), ("b", True), ("c", False))
    ]
    figure = depth_lines(lines, "layer", "norm", log=True)
    assert [t.line.color for t in figure.data] == [RESIDUAL, PLAIN, RESIDUAL]
    assert [t.line.dash for t in figure.data] == ["solid", "solid", "dash"]
    assert list(figure.data[0].x) == [1, 2]
    assert figure.layout.yaxis.type == "log"


def test_responses_in_order_of_size_keep_their_layers():
    figure = responses_figure([LayerSeries("a", False, "std", {"x": 1.0, "y": 3.0, "z": 2.0})], ordered=True)
    assert list(figure.data[0].y) == [3, 2, 1]
    assert list(figure.data[0].customdata) == ["y", "z", "x"]


def test_one_scale_for_all_maps():
    assert gradient_range([RECORDS, [Gradients(1, 0.1, (1000.0,))]]) == (-1, 3)
    assert gradient_range([[]])[0] < gradient_range([[]])[1]
    figure = gradient_map("net", RECORDS, LAYERS, (-1.0, 2.0))
    heat = figure.data[0]
    assert list(heat.x) == [1, 10]
    assert heat.z[0] == pytest.approx((1, 2))
    assert heat.z[1] == pytest.approx((-1, -1))
    assert (heat.zmin, heat.zmax) == (-1, 2)
    assert "layer1.0.conv1: 0.1" in heat.text[1][0]


def test_a_gradient_of_nothing_is_a_gap_and_long_runs_are_thinned():
    heat = gradient_map("net", [Gradients(1, 0.1, (0.0,))], ("conv1",), (-1.0, 1.0)).data[0]
    assert heat.z[0][0] is None or math.isnan(heat.z[0][0])
    many = [Gradients(s, s / 10, (1.0,)) for s in range(1000)]
    assert len(gradient_map("net", many, ("conv1",), (-1.0, 1.0)).data[0].x) <= 150
