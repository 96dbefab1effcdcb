"""Deletion and insertion against curves by hand."""

import pytest
import torch
from torch import nn

from resnet_lab.attribution import Cancelled
from resnet_lab.attribution.deletion_insertion import fade
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
    found = fade(Counts(), picture, good, torch.tensor([0]), steps=4)
    assert found.deletion[0].tolist() == pytest.approx([some, 0, 0, 0, 0], abs=1e-5)
    assert found.deletion_area.tolist() == pytest.approx([some * 0.25 / 2], abs=1e-5)
    bad = fade(Counts(), picture, 1 - good, torch.tensor([0]), steps=4)
    assert bad.deletion[0].tolist() == pytest.approx([some] * 4 + [0], abs=1e-5)
    # Inserted into the blurred image, which has a few such pixels in the corner.
    assert found.insertion[0, 0] < some / 2
    assert found.insertion[0, 1:].tolist() == pytest.approx([some] * 4, abs=1e-5)
    assert bad.insertion[0, :4].tolist() == pytest.approx([found.insertion[0, 0].item()] * 4, abs=1e-5)
    assert found.insertion_area > bad.insertion_area


def test_an_even_map_goes_in_reading_order():
    picture = torch.zeros(1, 3, 4, 4)
    picture[0, 0, 3] = 1  # the last row
    found = fade(Counts(), picture, torch.ones(1, 4, 4), torch.tensor([0]), steps=4)
    assert found.deletion[0].tolist() == pytest.approx([0.25, 0.25, 0.25, 0.25, 0], abs=1e-5)


def test_pictures_alone_and_together_and_the_ends_are_the_nets_answers():
    model, images = init_model("resnet20"), torch.randn(3, 3, 16, 16)
    model.train()
    maps, classes = torch.rand(3, 16, 16), torch.tensor([1, 5, 9])
    together = fade(model, images, maps, classes, steps=3)
    assert model.training
    for i in range(3):
        one = fade(model, images[i : i + 1], maps[i : i + 1], classes[i : i + 1], steps=3)
        torch.testing.assert_close(one.deletion[0], together.deletion[i], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(one.insertion[0], together.insertion[i], rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        whole = model.eval()(images).softmax(1)[range(3), classes]
        grey = model(torch.zeros_like(images)).softmax(1)[range(3), classes]
    torch.testing.assert_close(together.deletion[:, 0], whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.insertion[:, -1], whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.deletion[:, -1], grey, rtol=1e-4, atol=1e-5)


def test_passes_are_told_and_can_end_the_work():
    model, images = init_model("resnet20").train(), torch.randn(1, 3, 16, 16)
    seen = []

    def stop():
        seen.append(1)
        if len(seen) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        fade(model, images, torch.rand(1, 16, 16), torch.tensor([0]), on_pass=stop)
    assert model.training
