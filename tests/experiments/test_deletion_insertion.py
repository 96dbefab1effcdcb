"""Deletion and insertion against curves by hand."""

import pytest
import torch
from torch import nn

from resnet_lab.attribution import Cancelled
from resnet_lab.attribution.records import PixelCurve
from resnet_lab.experiments import deletion_insertion as experiment
from resnet_lab.experiments.deletion_insertion import deletion_insertion
from resnet_lab.models import init_model


class Counts(nn.Module):
    """Class 0's probability is the part of the first channel's pixels that are 1."""

    def forward(self, x):
        share = (x[:, 0] > 0.99).float().mean(dim=(1, 2)).clamp(1e-6, 1 - 1e-6)
        return torch.stack([share.log(), (1 - share).log()], dim=1)


def test_the_strongest_pixels_change_first_by_hand():
    picture = torch.zeros(1, 3, 16, 16)
    picture[0, 0, :8, :8] = 1  # the quarter of the pixels that counts
    good, some = picture[:, 0], 1 / 4
    deletion, insertion = deletion_insertion(Counts(), picture, good, torch.tensor([0]), steps=4)
    assert deletion[0].tolist() == pytest.approx([some, 0, 0, 0, 0], abs=1e-5)
    bad_deletion, bad_insertion = deletion_insertion(Counts(), picture, 1 - good, torch.tensor([0]), steps=4)
    assert bad_deletion[0].tolist() == pytest.approx([some] * 4 + [0], abs=1e-5)
    # Inserted into the blurred image, which has a few such pixels in the corner.
    assert insertion[0, 0] < some / 2
    assert insertion[0, 1:].tolist() == pytest.approx([some] * 4, abs=1e-5)
    assert bad_insertion[0, :4].tolist() == pytest.approx([insertion[0, 0].item()] * 4, abs=1e-5)


def test_the_area_under_a_curve_is_of_trapezoids():
    assert PixelCurve("deletion", "Grad-CAM", (0.25, 0.0, 0.0, 0.0, 0.0)).area == 0.25 * 0.25 / 2
    assert PixelCurve("insertion", "Grad-CAM", (0.0, 0.5, 1.0)).area == 0.5


def test_an_even_map_goes_in_reading_order():
    picture = torch.zeros(1, 3, 4, 4)
    picture[0, 0, 3] = 1  # the last row
    deletion, _ = deletion_insertion(Counts(), picture, torch.ones(1, 4, 4), torch.tensor([0]), steps=4)
    assert deletion[0].tolist() == pytest.approx([0.25, 0.25, 0.25, 0.25, 0], abs=1e-5)


def test_images_alone_and_together_and_the_ends_are_the_nets_probabilities():
    model, images = init_model("resnet20"), torch.randn(3, 3, 16, 16)
    model.train()
    maps, classes = torch.rand(3, 16, 16), torch.tensor([1, 5, 9])
    together = deletion_insertion(model, images, maps, classes, steps=3)
    assert model.training
    for i in range(3):
        one = deletion_insertion(model, images[i : i + 1], maps[i : i + 1], classes[i : i + 1], steps=3)
        for mine, theirs in zip(one, together, strict=True):
            torch.testing.assert_close(mine[0], theirs[i], rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        whole = model.eval()(images).softmax(1)[range(3), classes]
        grey = model(torch.zeros_like(images)).softmax(1)[range(3), classes]
    deletion, insertion = together
    torch.testing.assert_close(deletion[:, 0], whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(insertion[:, -1], whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(deletion[:, -1], grey, rtol=1e-4, atol=1e-5)


def test_passes_are_told_and_can_end_the_work():
    model, images = init_model("resnet20").train(), torch.randn(1, 3, 16, 16)
    seen = []

    def stop():
        seen.append(1)
        if len(seen) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        deletion_insertion(model, images, torch.rand(1, 16, 16), torch.tensor([0]), on_pass=stop)
    assert model.training


def test_curves_of_the_map_then_of_random_orders(net, images):
    heat = torch.rand(16, 16)
    found = list(experiment.measure(net, images[0], heat, 3, "Saliency"))
    assert len(found) == experiment.CURVES
    assert [(c.kind, c.order, c.is_random) for c in found[:3]] == [
        ("deletion", "Saliency", False),
        ("insertion", "Saliency", False),
        ("deletion", "random order", True),
    ]
    deletion, insertion = deletion_insertion(net.model, net.inputs(images[:1]), heat[None], torch.tensor([3]))
    assert found[0].probabilities == tuple(deletion[0].tolist())
    assert found[1].probabilities == tuple(insertion[0].tolist())
    assert experiment.chart(found[:1], "insertion") is None
