"""Scores, fading curves and similarities as drawn."""

import pytest

from resnet_lab.figures.trust import Fade, Kept, Level, fading_figure, kept_figure, levels_figure


@pytest.mark.parametrize("dark", [False, True])
def test_levels_stand_in_their_order_with_their_intervals_and_the_best_baseline_as_a_line(dark):
    levels = [
        Level("Grad-CAM, stage 3", 83.5, 77.7, 88.0),
        Level("Saliency", 52.5, 45.6, 59.3),
        Level("Random", 15.5, 11.1, 21.2, True),
        Level("Centre", 65.5, 58.7, 71.7, True),
    ]
    figure = levels_figure(levels, "pointing game (%)", dark)
    methods, baselines = figure.data
    assert (list(methods.y), list(methods.x)) == (["Grad-CAM, stage 3", "Saliency"], [83.5, 52.5])
    assert methods.error_x.array == pytest.approx((4.5, 6.8))
    assert methods.error_x.arrayminus == pytest.approx((5.8, 6.9))
    assert list(baselines.y) == ["Random", "Centre"]
    assert figure.layout.shapes[0].x0 == 65.5
    assert list(figure.layout.yaxis.categoryarray) == [level.name for level in levels][::-1]
    assert not levels_figure(levels[:2], "x").layout.shapes


def test_a_fade_goes_from_no_pixel_to_all_of_them():
    fades = [
        Fade("Grad-CAM", (90.0, 40.0, 10.0)),
        Fade("random order", (90.0, 80.0, 10.0), True),
        Fade("random order", (90.0, 85.0, 10.0), True),
    ]
    figure = fading_figure(fades, "pixels taken away (%)")
    assert list(figure.data[0].x) == [0, 50, 100]
    assert [line.showlegend for line in figure.data] == [True, True, False]
    assert figure.data[0].line.color != figure.data[1].line.color


def test_methods_that_stay_the_same_have_the_colour_of_warning():
    parts = ["head", "stage 3", "stem"]
    found = [
        Kept(name, part, mean, mean - 0.1, mean + 0.1)
        for name, means in {"good": (0.9, 0.4, 0.1), "bad": (0.9, 0.9, 0.8)}.items()
        for part, mean in zip(parts, means, strict=True)
    ]
    good, bad = kept_figure(found, parts, 0.5).data
    assert good.line.color != bad.line.color
    assert list(bad.y) == [0.9, 0.9, 0.8]
    unfinished = kept_figure([record for record in found if record.part != "stem"], parts, 0.5)
    assert {line.line.color for line in unfinished.data} == {good.line.color}
