"""Scores by hand."""

import pytest
import torch

from resnet_lab.attribution import attribute
from resnet_lab.experiments import localization
from resnet_lab.experiments.localization import (
    BASELINES,
    best_iou,
    bootstrap,
    energy_inside,
    pointing_hits,
    proportion,
    score_maps,
)

MASKS = torch.tensor([[[1, 1], [0, 0]]] * 3, dtype=torch.bool)  # the upper half
MAPS = torch.tensor(
    [
        [[0.2, 1.0], [0.5, 0.3]],  # strongest inside, 1.2 of 2.0 there
        [[0.4, 0.4], [0.2, 1.0]],  # strongest outside, 0.8 of 2.0 inside
        [[0.0, 0.0], [0.0, 0.0]],  # nothing
    ]
)


def test_the_strongest_place_is_on_the_object_or_not():
    assert pointing_hits(MAPS, MASKS).tolist() == [True, False, False]


def test_the_share_of_the_map_on_the_object():
    assert energy_inside(MAPS, MASKS).tolist() == pytest.approx([0.6, 0.4, 0.0])


def test_an_even_map_scores_the_objects_share_of_the_area():
    masks = torch.zeros(1, 10, 10, dtype=torch.bool)
    masks[0, :3, :5] = True
    assert energy_inside(torch.ones(1, 10, 10), masks).tolist() == pytest.approx([0.15])


def test_iou_at_the_best_threshold_by_hand():
    best = best_iou(MAPS[:1], MASKS[:1])
    thresholds = {t: iou_by_hand(MAPS[0], MASKS[0], t) for t in (0.05, 0.2, 0.25, 0.3, 0.5, 0.55, 1.0)}
    assert best.item() == pytest.approx(max(thresholds.values()))


def iou_by_hand(heat, mask, threshold):
    above = {(i, j) for i in range(2) for j in range(2) if heat[i][j] >= threshold}
    inside = {(i, j) for i in range(2) for j in range(2) if mask[i][j]}
    return len(above & inside) / len(above | inside)


def test_a_map_that_is_the_mask_scores_one():
    assert best_iou(MASKS.float(), MASKS).tolist() == [1, 1, 1]


def test_wilsons_interval_of_the_textbook():
    """Newcombe 1998, Table I, score method without continuity correction: 81 of 263, 0.2553 to 0.3662."""
    found = proportion(81, 263)
    assert (found.low, found.high) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))
    assert proportion(10, 10).high == 1
    assert proportion(0, 10).low == 0


def test_the_bootstrap_interval_is_near_the_normal_one():
    values = torch.randn(400, generator=torch.Generator().manual_seed(1))
    found = bootstrap(values)
    half = 1.96 * values.std().item() / 20
    assert found.low == pytest.approx(found.mean - half, abs=0.03)
    assert found.high == pytest.approx(found.mean + half, abs=0.03)
    assert bootstrap(values) == found


def test_baselines_are_what_chance_scores():
    masks = torch.zeros(300, 16, 16, dtype=torch.bool)
    masks[:, 2:6, 2:10] = True  # an eighth of the image, away from the middle
    noise = score_maps(BASELINES["Random"](masks.shape), masks, "Random")
    assert noise.pointing.low < 1 / 8 < noise.pointing.high
    assert noise.energy.mean == pytest.approx(1 / 8, abs=0.01)
    assert score_maps(BASELINES["Centre"](masks.shape), masks, "Centre").pointing.mean == 0


def test_scores_of_methods_and_layers_then_the_baselines(net, images):
    masks, passes = torch.rand(6, 16, 16) > 0.5, []
    assert localization.pairs(net, ["saliency", "grad_cam"])[:2] == [("saliency", ""), ("grad_cam", "layer1")]
    asked = [("grad_cam", "layer2"), ("saliency", "")]
    found = list(localization.measure(net, images, masks, asked, lambda: passes.append(1)))
    titles = [score.title for score in found]
    assert titles == ["Grad-CAM, stage 2", "Saliency", "Random", "Centre"]
    assert [score.is_baseline for score in found] == [False, False, True, True]
    maps = attribute(net.model, net.inputs(images), layer="layer2")
    assert found[0].pointing.mean == pointing_hits(maps, masks).double().mean().item()
    assert all(score.count == 6 for score in found)
    assert len(passes) == 3  # saliency asks for the predicted class first
