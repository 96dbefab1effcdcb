"""Localization scores, deletion and insertion, and similarities as drawn."""

import pytest

from resnet_lab.attribution.records import Estimate, LocalizationScore, MapSimilarity, PixelCurve
from resnet_lab.figures.attribution import localization_figure, pixel_curves_figure, similarity_figure


def score(method, stage, mean, low, high, is_baseline=False):
    nothing = Estimate(0, 0, 0)
    return LocalizationScore(method, stage, Estimate(mean, low, high), nothing, nothing, 200, is_baseline)


@pytest.mark.parametrize("dark", [False, True])
def test_scores_stand_in_their_order_with_their_intervals_and_the_best_baseline_as_a_line(dark):
    scores = [
        score("Grad-CAM", "layer3", 0.835, 0.777, 0.880),
        score("Saliency", "", 0.525, 0.456, 0.593),
        score("Random", "", 0.155, 0.111, 0.212, True),
        score("Centre", "", 0.655, 0.587, 0.717, True),
    ]
    figure = localization_figure(scores, "pointing", "pointing game (%)", dark)
    methods, baselines = figure.data
    assert (list(methods.y), list(methods.x)) == (["Grad-CAM, stage 3", "Saliency"], [83.5, 52.5])
    assert methods.error_x.array == pytest.approx((4.5, 6.8))
    assert methods.error_x.arrayminus == pytest.approx((5.8, 6.9))
    assert list(baselines.y) == ["Random", "Centre"]
    assert figure.layout.shapes[0].x0 == 65.5
    assert list(figure.layout.yaxis.categoryarray) == [each.title for each in scores][::-1]
    assert not localization_figure(scores[:2], "pointing", "x").layout.shapes


def test_a_curve_goes_from_no_pixel_to_all_of_them():
    curves = [
        PixelCurve("deletion", "Grad-CAM", (0.9, 0.4, 0.1)),
        PixelCurve("deletion", "random order", (0.9, 0.8, 0.1), True),
        PixelCurve("deletion", "random order", (0.9, 0.85, 0.1), True),
    ]
    figure = pixel_curves_figure(curves, "pixels taken away (%)")
    assert list(figure.data[0].x) == [0, 50, 100]
    assert list(figure.data[0].y) == [90, 40, 10]
    assert [line.showlegend for line in figure.data] == [True, True, False]
    assert figure.data[0].line.color != figure.data[1].line.color


def test_methods_that_stay_the_same_have_the_colour_of_warning():
    parts = ["head", "layer3", "stem"]
    found = [
        MapSimilarity(name, part, Estimate(mean, mean - 0.1, mean + 0.1), 20)
        for name, means in {"good": (0.9, 0.4, 0.1), "bad": (0.9, 0.9, 0.8)}.items()
        for part, mean in zip(parts, means, strict=True)
    ]
    figure = similarity_figure(found, parts, 0.5)
    good, bad = figure.data
    assert good.line.color != bad.line.color
    assert list(bad.y) == [0.9, 0.9, 0.8]
    assert list(figure.layout.xaxis.categoryarray) == ["head", "stage 3", "stem"]
    unfinished = similarity_figure([each for each in found if each.part != "stem"], parts, 0.5)
    assert {line.line.color for line in unfinished.data} == {good.line.color}
