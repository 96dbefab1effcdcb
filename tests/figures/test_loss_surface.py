"""Losses around a net as figures: places, scale and gaps worked by hand."""

import math

import pytest

from resnet_lab.analysis.records import LossPoint
from resnet_lab.figures.loss_surface import loss_range, slice_figure, surface_figure
from resnet_lab.figures.palette import PLAIN, RESIDUAL


def point(a, b, loss, name="net", plain=False):
    return LossPoint(name, plain, a, b, loss, 0.25)


def square(side, loss=1.0):
    """side × side places from −1 to 1."""
    at = [2 * i / (side - 1) - 1 for i in range(side)]
    return [point(a, b, loss) for a in at for b in at]


def values(row):
    """Gaps as None, however plotly keeps them."""
    return [None if z is None or math.isnan(z) else z for z in row]


def test_one_scale_is_that_of_all_nets_without_what_has_no_logarithm():
    points = [point(0, 0, 0.1), point(1, 0, 1000.0, "b", True), point(1, 1, math.inf)]
    points += [point(-1, 1, math.nan), point(-1, -1, 0.0)]
    assert loss_range(points) == pytest.approx((-1, 3))
    low, high = loss_range([point(0, 0, math.nan)])
    assert low < high


@pytest.mark.parametrize("from_above", [True, False])
def test_rows_are_the_second_direction_and_columns_the_first(from_above):
    points = [point(-1, -1, 1.0), point(-1, 1, 10.0), point(1, -1, 100.0), point(1, 1, 1000.0)]
    heights = surface_figure(points, (0.0, 3.0), from_above=from_above).data[0]
    assert (list(heights.x), list(heights.y)) == ([-1, 1], [-1, 1])
    assert [list(row) for row in heights.z] == [[0, 2], [1, 3]]
    assert heights.text[1][0] == "(-1.00, 1.00): 10 nats, accuracy 25.0%"
    limits = (heights.zmin, heights.zmax) if from_above else (heights.cmin, heights.cmax)
    assert limits == (0, 3)


@pytest.mark.parametrize("from_above", [True, False])
def test_a_place_not_computed_yet_is_interpolated(from_above):
    heights = surface_figure(square(3)[:-1], (0.0, 1.0), from_above=from_above).data[0]
    assert values(heights.z[2]) == [0, 0, None]
    assert heights.text[2][2] == "not computed yet"
    assert heights.connectgaps


@pytest.mark.parametrize("from_above", [True, False])
def test_a_loss_that_is_no_number_is_a_gap_once_all_are_there(from_above):
    points = square(3)
    points[4] = point(0, 0, math.nan)
    heights = surface_figure(points, (0.0, 1.0), from_above=from_above).data[0]
    assert values(heights.z[1]) == [0, None, 0]
    assert not heights.connectgaps


def test_the_colour_bar_tells_losses_and_has_some_whatever_the_range():
    bar = surface_figure(square(3), (-1.0, 3.0)).data[0].colorbar
    assert list(bar.ticktext) == ["0.1", "1", "10", "100", "1,000"]
    assert list(bar.tickvals) == pytest.approx([-1, 0, 1, 2, 3])
    bar = surface_figure(square(3), (math.log10(1.5), math.log10(6))).data[0].colorbar
    assert list(bar.ticktext) == ["2", "5"]
    assert list(bar.tickvals) == pytest.approx([math.log10(2), math.log10(5)])


def test_the_net_itself_is_marked():
    cross = surface_figure(square(3), (0.0, 1.0)).data[1]
    assert (list(cross.x), list(cross.y)) == ([0], [0])


def test_a_slice_has_a_line_a_net_in_order_with_gaps_where_the_loss_is_none():
    points = [point(1, 0, math.inf), point(-1, 0, 2.0), point(0, 0, 1.0)]
    points += [point(0, 0, 3.0, "b", True), point(0, 1, 4.0, "b", True)]
    figure = slice_figure(points)
    first, second = figure.data
    assert list(first.x) == [-1, 0, 1]
    assert values(first.y) == [2, 1, None]
    assert list(first.customdata) == [25, 25, 25]
    assert (list(second.x), list(second.y)) == ([0], [3])
    assert [line.line.color for line in figure.data] == [RESIDUAL, PLAIN]
    assert figure.layout.yaxis.type == "log"
