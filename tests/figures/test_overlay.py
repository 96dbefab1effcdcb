"""Heat maps as pictures."""

import numpy as np
import pytest

from resnet_lab.figures.overlay import colourise, enlarge, enlarge_heat, outline, overlay

RNG = np.random.default_rng(0)


def luminance(rgb):
    """Relative luminance of sRGB (IEC 61966-2-1)."""
    c = rgb / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def test_more_heat_is_always_brighter():
    steps = luminance(colourise(np.linspace(0, 1, 64, dtype=np.float32)[None])[0])
    assert (np.diff(steps) > 0).all()
    assert steps[0] < 0.001
    assert steps[-1] > 0.9


def test_values_beyond_the_scale_take_its_ends():
    assert (colourise(np.array([[-2, 2]], np.float32)) == colourise(np.array([[-1, 1]], np.float32))).all()


def test_opacity_goes_from_the_picture_to_the_map():
    image = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    heat = RNG.random((5, 7), dtype=np.float32)
    assert (overlay(image, heat, 0) == image).all()
    assert (overlay(image, heat, 1) == colourise(heat)).all()
    middle = (image.astype(float) + colourise(heat)) / 2
    assert np.abs(overlay(image, heat, 0.5) - middle).max() <= 0.5


def test_sizes_and_opacity_are_checked():
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="one size"):
        overlay(image, np.zeros((2, 2), np.float32), 0.5)
    with pytest.raises(ValueError, match="opacity is 2"):
        overlay(image, np.zeros((4, 4), np.float32), 2)


def test_small_pictures_grow_by_whole_pixels():
    image = RNG.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    large = enlarge(image, 10)  # 3 × 4 = 12 is the first multiple of 3 from 10 on
    assert large.shape == (12, 16, 3)
    assert (large[::4, ::4] == image).all()
    assert (large[3::4, 3::4] == image).all()
    assert (enlarge(large, 10) == large).all()


def test_a_heat_map_grows_smoothly_and_stays_in_its_range():
    heat = np.array([[0, 1], [0, 1]], np.float32)
    large = enlarge_heat(heat, 8, 16)
    assert large.shape == (8, 16)
    assert large.min() >= 0
    assert large.max() <= 1
    assert (np.diff(large, axis=1) >= 0).all()


def test_the_outline_stays_inside_the_object_and_leaves_the_rest():
    image = np.full((9, 9, 3), 100, np.uint8)
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    drawn = outline(image, mask)
    assert (drawn[~mask] == 100).all()
    assert (drawn[2, 2:7] == 255).all()
    assert (drawn[3, 3:6] == 0).all()
    assert (drawn[4, 4] == 100).all()
    assert (image == 100).all()


def test_what_speaks_against_a_class_is_blue_and_the_rest_as_without_signs():
    heat = np.array([[-1.0, 0.0, 0.5]], dtype=np.float32)
    colours = colourise(heat)
    assert colours[0, 0].tolist() == [
        0x56 + colours[0, 1, 0],
        0xB4 + colours[0, 1, 1],
        0xE9 + colours[0, 1, 2],
    ]
    assert (colours[0, 1:] == colourise(heat[:, 1:])[0]).all()
