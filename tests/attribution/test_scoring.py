"""Scores by hand."""

import pytest
import torch

from resnet_lab.attribution import energy_inside, pointing_hits

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
