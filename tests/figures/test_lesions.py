from math import comb

import pytest

from resnet_lab.analysis.records import Lesion
from resnet_lab.figures.lesions import each_figure, paths_figure, random_figure
from resnet_lab.figures.palette import PLAIN, PLAIN_DARK, RESIDUAL, RESIDUAL_DARK


def each(name, plain, accuracies, whole=None):
    """Of one net: percent without each block, and of all of it."""
    found = [] if whole is None else [Lesion(name, plain, (), whole / 100, 50)]
    return found + [
        Lesion(name, plain, (block,), accuracy / 100, 50, block == "layer2.0")
        for block, accuracy in accuracies.items()
    ]


def test_bars_stand_in_the_order_of_the_blocks_whatever_came_first():
    found = each("a", False, {"layer2.0": 20.0, "layer1.0": 50.126}, whole=90.0)
    found += each("b", True, {"layer1.10": 10.0, "layer1.9": 10.0}, whole=60.0)
    figure = each_figure(found)
    first, second = figure.data
    assert (list(first.x), list(first.y)) == (["1.0", "2.0"], [50.13, 20])
    assert list(first.marker.pattern.shape) == ["", "/"]
    assert [first.marker.color, second.marker.color] == [RESIDUAL, PLAIN]
    assert list(second.x) == ["1.9", "1.10"]
    assert list(figure.layout.xaxis.categoryarray) == ["1.0", "1.9", "1.10", "2.0"]
    assert [(line.y0, line.y1, line.line.color) for line in figure.layout.shapes] == [
        (90, 90, RESIDUAL),
        (60, 60, PLAIN),
    ]


def test_the_line_goes_from_the_whole_net_through_the_means_and_the_marks_are_the_draws():
    draws = [(3, 30.0), (1, 80.0), (1, 60.0), (3, 40.0)]
    found = [Lesion("a", False, (), 0.9, 50)]
    found += [Lesion("a", False, tuple(map(str, range(count))), share / 100, 50) for count, share in draws]
    line, marks = random_figure(found).data
    assert list(zip(line.x, line.y, strict=True)) == [(0, 90), (1, 70), (3, 35)]
    assert list(zip(marks.x, marks.y, strict=True)) == draws
    assert line.mode == "lines"
    assert marks.mode == "markers"


def test_paths_are_shares_of_all_paths_with_exact_numbers_in_the_hover():
    (bars,) = paths_figure([1, 3, 3, 1]).data
    assert list(bars.y) == [12.5, 37.5, 37.5, 12.5]
    counts = [comb(54, length) for length in range(55)]
    (bars,) = paths_figure(counts).data
    assert bars.customdata[27] == f"{comb(54, 27):,}"
    assert sum(bars.y) == pytest.approx(100, abs=0.01)


def test_axes_have_titles_with_units_and_colours_change_in_the_dark():
    found = each("a", False, {"layer1.0": 50.0}) + each("b", True, {"layer1.0": 10.0})
    figures = [each_figure(found, dark=True), random_figure(found, dark=True)]
    for figure in [*figures, paths_figure([1, 1], dark=True)]:
        assert "%" in figure.layout.yaxis.title.text
        assert figure.layout.xaxis.title.text
    assert [bar.marker.color for bar in figures[0].data] == [RESIDUAL_DARK, PLAIN_DARK]
    assert {trace.marker.color for trace in figures[1].data if trace.mode == "markers"} == {
        RESIDUAL_DARK,
        PLAIN_DARK,
    }


def test_nothing_found_yet_is_an_empty_figure():
    assert not each_figure([]).data
    assert not random_figure([]).data
