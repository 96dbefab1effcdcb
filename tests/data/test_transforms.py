"""Batch augmentation against one image at a time, and normalisation against torchvision."""

import pytest
import torch
from torchvision.transforms import v2

from resnet_lab.data import Augmentation, augment, normalize
from resnet_lab.data.transforms import Draws, center_crop, rescale


def batch(count=16, height=32, width=32):
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8)


def generator(seed=3):
    return torch.Generator().manual_seed(seed)


def one_by_one(images, padding, draws):
    """What the paper says, image by image, with the same draws from the same generator."""
    count, _, height, width = images.shape
    top = torch.randint(2 * padding + 1, (count,), generator=draws)
    left = torch.randint(2 * padding + 1, (count,), generator=draws)
    flipped = torch.rand(count, generator=draws) < 0.5
    result = []
    for i in range(count):
        padded = torch.zeros(3, height + 2 * padding, width + 2 * padding, dtype=torch.uint8)
        padded[:, padding : padding + height, padding : padding + width] = images[i]
        picture = padded[:, top[i] : top[i] + height, left[i] : left[i] + width]
        result.append(picture.flip(2) if flipped[i] else picture)
    assert 0 < flipped.sum() < count
    return torch.stack(result)


@pytest.mark.parametrize(("height", "width", "padding"), [(32, 32, 4), (24, 40, 4), (16, 16, 1)])
def test_crop_and_flip_agree_with_a_loop_over_pictures(height, width, padding):
    images = batch(16, height, width)
    result = augment(images, Augmentation(crop_padding=padding), generator())
    assert result.dtype == torch.uint8
    assert torch.equal(result, one_by_one(images, padding, generator()))


def test_all_randomness_comes_from_the_generator():
    images, everything = batch(), Augmentation(colour_jitter=0.4, scale_jitter=(1.0, 1.5))
    before = torch.get_rng_state()
    first = augment(images, everything, generator(1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, augment(images, everything, generator(1)))
    assert not torch.equal(first, augment(images, everything, generator(2)))


def test_the_batch_itself_is_not_changed():
    images = batch()
    before = images.clone()
    augment(images, Augmentation(colour_jitter=0.4, scale_jitter=(1.0, 1.5)), generator())
    normalize(images.float(), (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    assert torch.equal(images, before)


def test_nothing_asked_nothing_done():
    images = batch()
    assert torch.equal(augment(images, Augmentation(crop_padding=0, flip=False), generator()), images)


def test_each_place_of_the_crop_and_each_side_come_up_equally_often():
    marker = torch.zeros(8000, 3, 9, 9, dtype=torch.uint8)
    marker[:, :, 4, 3] = 1  # one pixel, off the middle
    result = augment(marker, Augmentation(crop_padding=1), generator())
    share = result[:, 0].float().mean(dim=0)
    # three rows; columns 2..4 as they are, 4..6 flipped, so column 4 gets both
    assert share.sum() == pytest.approx(1)
    assert torch.allclose(share[3:6, [2, 3, 5, 6]], torch.tensor(1 / 18), atol=0.01)
    assert torch.allclose(share[3:6, 4], torch.tensor(2 / 18), atol=0.015)


def test_colour_jitter_of_a_grey_picture_is_brightness_alone():
    grey = torch.full((64, 3, 8, 8), 100, dtype=torch.uint8)
    result = augment(grey, Augmentation(crop_padding=0, flip=False, colour_jitter=0.3), generator())
    assert torch.allclose(result, result[:, :1, :1, :1].expand_as(result), atol=1e-3)  # no tint, no pattern
    factors = result[:, 0, 0, 0] / 100
    assert 0.7 <= factors.min() < 0.8
    assert 1.2 < factors.max() <= 1.3


def test_colour_jitter_agrees_with_torchvision_step_by_step():
    images, draws = batch(4), generator()
    strength = 0.4
    factors = 1 + strength * (2 * torch.rand(4, 3, generator=draws).T - 1)
    result = augment(images, Augmentation(crop_padding=0, flip=False, colour_jitter=strength), generator())
    for i in range(4):
        picture = images[i].float() / 255
        picture = v2.functional.adjust_brightness(picture, factors[0, i].item())
        picture = v2.functional.adjust_contrast(picture, factors[1, i].item())
        picture = v2.functional.adjust_saturation(picture, factors[2, i].item())
        assert torch.allclose(result[i] / 255, picture, atol=2e-3)  # torchvision rounds the luma weights


def test_scale_jitter_keeps_the_size_and_enlarges():
    board = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    board[:, :, 12:20, 12:20] = 240  # 64 bright pixels
    result = augment(board, Augmentation(0, False, scale_jitter=(1.5, 1.5)), generator())
    assert result.shape == board.shape
    assert (result > 120).float().mean() * 1024 == pytest.approx(64 * 3 / 3 * 1.5**2, rel=0.2)


def test_scale_jitter_is_enlarging_and_then_cutting():
    """Against torch's own interpolation, for windows that begin at whole pixels of the enlarged image."""
    corners = torch.tensor([[0, 0], [7, 24], [13, 2]])  # top, left among 25 × 25

    class Known(Draws):
        def uniform(self, *shape):
            return corners / 24 if shape == (2,) else torch.rand(3, *shape)

    images = batch(3, 20, 20)
    everything = Augmentation(0, False, scale_jitter=(2.0, 2.0), crop_size=16)
    result = augment(images, everything, Known(generator(), 3))
    large = torch.nn.functional.interpolate(images.float(), scale_factor=2.0, mode="bilinear")
    for picture, whole, (top, left) in zip(result, large, corners.tolist(), strict=True):
        torch.testing.assert_close(picture, whole[:, top : top + 16, left : left + 16], atol=0.01, rtol=0)


def test_scales_are_drawn_for_each_picture_by_itself():
    board = torch.zeros(64, 3, 32, 32, dtype=torch.uint8)
    board[:, :, 12:20, 12:20] = 240
    result = augment(board, Augmentation(0, False, scale_jitter=(1.0, 2.0)), generator())
    sides = ((result[:, 0] > 120).float().sum((1, 2)) ** 0.5 / 8)[: len(board)]
    whole = sides[(result[:, 0, 0] < 1).all(1) & (result[:, 0, -1] < 1).all(1)]
    assert whole.max() - whole.min() > 0.5


def test_a_crop_smaller_than_the_picture():
    images = batch(8, 32, 32)
    result = augment(images, Augmentation(0, flip=False, crop_size=24), generator())
    assert result.shape == (8, 3, 24, 24)
    draws = generator()
    top, left = (torch.randint(9, (8,), generator=draws) for _ in range(2))
    assert all(
        torch.equal(result[i], images[i, :, top[i] : top[i] + 24, left[i] : left[i] + 24]) for i in range(8)
    )
    with pytest.raises(ValueError, match=r"crop_size is 40; the images have 32 × 32"):
        augment(images, Augmentation(0, crop_size=40), generator())


@pytest.mark.parametrize(
    "everything", [Augmentation(colour_jitter=0.4), Augmentation(scale_jitter=(1.0, 1.5))]
)
def test_shards_of_a_batch_get_what_the_whole_batch_gets(everything):
    images = batch(10)
    whole = augment(images, everything, generator())
    parts = [augment(images[a:b], everything, Draws(generator(), b - a, a, 10)) for a, b in ((0, 3), (3, 10))]
    assert torch.equal(torch.cat(parts), whole)


def test_centre_crop_and_rescale_agree_with_torchvision():
    images = batch(4, 40, 40)
    assert torch.equal(center_crop(images, 32), v2.functional.center_crop(images, [32, 32]))
    assert torch.equal(center_crop(images, 64), images)
    expected = v2.functional.resize(images.float(), [24, 24], antialias=True)
    assert torch.allclose(rescale(images, 24), expected, atol=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop_padding": -1},
        {"colour_jitter": 1.5},
        {"scale_jitter": (0.5, 1.0)},
        {"scale_jitter": (2.0, 1.0)},
        {"crop_size": 4},
    ],
)
def test_impossible_augmentations_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Augmentation(**wrong)


def test_normalize_agrees_with_torchvision():
    images, mean, std = batch(), (0.49, 0.48, 0.45), (0.24, 0.25, 0.26)
    expected = v2.Normalize(mean, std)(images.float() / 255)
    assert torch.allclose(normalize(images, mean, std), expected, atol=1e-5)
    assert torch.allclose(normalize(images.float(), mean, std), expected, atol=1e-5)
    assert normalize(images, mean, std, torch.bfloat16).dtype == torch.bfloat16
