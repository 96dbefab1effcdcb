"""Ten crops and scales against torchvision's own."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from resnet_lab.data.views import at_short_side, pyramid, ten_crops


@pytest.fixture
def picture():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8))


def test_ten_crops_are_torchvisions(picture):
    found = ten_crops(picture, 32, 40)
    resize = v2.Resize(40, InterpolationMode.BICUBIC, antialias=True)
    expected = v2.TenCrop(32)(v2.functional.pil_to_tensor(resize(picture)))
    assert torch.equal(found, torch.stack(list(expected)))
    assert torch.equal(found[5:].flip(-1)[4], found[4])


def test_a_pyramid_keeps_the_shape(picture):
    assert [tuple(x.shape) for x in pyramid(picture, [20, 60])] == [(1, 3, 20, 30), (1, 3, 60, 90)]


def test_very_long_pictures_lose_their_ends():
    assert at_short_side(Image.new("RGB", (1, 100_000)), 32).shape == (3, 128, 32)
