"""The confusion matrix as a figure: every count in its cell, mistakes not drowned by right answers."""

import numpy as np
import pytest
from plotly.colors import unlabel_rgb

from resnet_lab.figures.confusion import COUNTED, confusion_figure
from resnet_lab.figures.palette import INK

CLASSES = ("ant", "bird", "cat")
MATRIX = np.array([[1500, 3, 0], [0, 50, 50], [1, 0, 0]])


def maps(figure):
    return [trace for trace in figure.data if trace.type == "heatmap"]


def points(figure):
    (found,) = (trace for trace in figure.data if trace.type == "scatter")
    return found


def colour(trace, value):
    """RGB that the trace's scale gives to a value."""
    low, high = (np.array(unlabel_rgb(end)) for _, end in trace.colorscale)
    return low + (value - trace.zmin) / (trace.zmax - trace.zmin) * (high - low)


def test_each_count_is_printed_once_in_its_own_cell():
    printed = np.full((3, 3), "", object)
    for trace in maps(confusion_figure(MATRIX, CLASSES)):
        for row, column in zip(*np.nonzero(np.isfinite(np.array(trace.z, float))), strict=True):
            printed[row, column] += trace.text[row][column]
        assert sum(text != "" for line in trace.text for text in line) == np.isfinite(trace.z).sum()
    assert printed.tolist() == [["1,500", "3", ""], ["", "50", "50"], ["1", "", ""]]


def test_rows_are_the_truth_from_the_top():
    layout = confusion_figure(MATRIX, CLASSES).layout
    assert (layout.yaxis.title.text, layout.xaxis.title.text) == ("true class", "predicted class")
    assert layout.yaxis.range == (2.5, -0.5)
    assert layout.xaxis.ticktext == layout.yaxis.ticktext == CLASSES


def test_hover_says_who_was_taken_for_whom():
    found = points(confusion_figure(MATRIX, CLASSES))
    cells = {(row, column): rest for row, column, *rest in found.customdata}
    assert set(cells) == {(0, 0), (0, 1), (1, 1), (1, 2), (2, 0)}  # empty cells cannot be chosen
    assert cells[1, 2] == ["bird", "cat", "50 images", "50.0%"]
    assert cells[2, 0] == ["cat", "ant", "1 image", "100.0%"]
    assert [(y, x) for x, y in zip(found.x, found.y, strict=True)] == list(cells)


@pytest.mark.parametrize("dark", [False, True])
def test_mistakes_are_coloured_by_their_share_and_right_answers_grey(dark):
    matrix = np.array([[900, 10, 90], [0, 100, 0], [1, 0, 99]])
    right, *mistakes = maps(confusion_figure(matrix, CLASSES, dark))
    grey = "rgb({}, {}, {})".format(
        *(int(INK["dark" if dark else "light"][1][i : i + 2], 16) for i in (1, 3, 5))
    )
    assert {end for _, end in right.colorscale} == {grey}
    values = {float(z) for trace in mistakes for z in np.ravel(trace.z) if np.isfinite(z)}
    assert values == {1.0, 9.0}  # percent: 10 of 1,000 and 1 of 100 are the same share
    assert {trace.zmax for trace in mistakes} == {9.0}
    strongest, weakest = colour(mistakes[0], 9.0), colour(mistakes[0], 1.0)
    base = np.array(unlabel_rgb(grey))
    assert np.abs(strongest - base).sum() > 2 * np.abs(weakest - base).sum() > 30


@pytest.mark.parametrize("dark", [False, True])
def test_numbers_can_be_read_on_every_colour(dark):
    rng = np.random.default_rng(0)
    figure = confusion_figure(rng.integers(1, 100, (10, 10)), tuple("abcdefghij"), dark)

    def luminance(rgb):  # IEC 61966-2-1
        c = np.asarray(rgb) / 255
        return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    for trace in maps(figure):
        ink = luminance([int(trace.textfont.color[i : i + 2], 16) for i in (1, 3, 5)])
        for value in np.ravel(trace.z)[np.isfinite(np.ravel(trace.z))]:
            one, other = sorted([ink, luminance(colour(trace, min(value, trace.zmax)))])
            assert (other + 0.05) / (one + 0.05) > 3


def test_many_classes_have_no_numbers_and_few_labels():
    count = COUNTED + 80
    figure = confusion_figure(np.eye(count, k=1, dtype=np.int64) + 5, tuple(map(str, range(count))))
    assert all(trace.text is None for trace in maps(figure))
    assert figure.layout.xaxis.ticktext == tuple(map(str, range(0, count, 4)))
    assert figure.layout.xaxis.tickvals == tuple(range(0, count, 4))


def test_names_by_users_are_no_html_and_not_too_long():
    figure = confusion_figure(np.ones((2, 2), np.int64), ("<a href='x'>y</a>", "n" * 300))
    labels = figure.layout.yaxis.ticktext
    assert labels[0].startswith("&lt;a href=")
    assert labels[1] == "n" * 13 + "…"
    assert not any("<" in str(field) for point in points(figure).customdata for field in point)
    assert max(len(name) for point in points(figure).customdata for name in point[2:4]) == 60


@pytest.mark.parametrize(
    "matrix", [np.zeros((3, 3), np.int64), np.diag([5, 5, 5])], ids=["nothing", "no mistakes"]
)
def test_a_matrix_without_mistakes_is_a_figure(matrix):
    figure = confusion_figure(matrix, CLASSES)
    assert len(points(figure).x) == np.count_nonzero(matrix)
    figure.to_json()
