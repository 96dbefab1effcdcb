"""Heat maps as images."""

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import functional as F

from resnet_lab.data import image_to_tensor
from resnet_lab.data.preprocess import middle_square
from resnet_lab.figures.overlay import (
    at_side,
    colourise,
    enlarge,
    enlarge_heat,
    outline,
    overlay,
    overlay_within,
)

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


def gradient(width, height):
    """Each pixel says where it is: red its column, green its row (0 to 255 over the image)."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width)[None]
    pixels[..., 1] = np.linspace(0, 255, height)[:, None]
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (333, 100), (64, 64), (33, 32), (31, 99)])
@pytest.mark.parametrize("resize", [None, 36])
def test_the_box_is_what_the_net_is_shown(size, resize):
    """Against the pixels themselves: those of the lab's own data (a square cut out), and torchvision's preset."""
    image, side = gradient(*size), 32
    if resize is None:
        seen = image_to_tensor(image, side)
    else:
        seen = F.center_crop(F.pil_to_tensor(F.resize(image, [resize])), [side])
    box = middle_square(*size, 1 if resize is None else side / resize)
    first, last = seen[:2, 0, 0].tolist(), seen[:2, -1, -1].tolist()
    scale = [255 / max(length - 1, 1) for length in size]
    half = (box[2] - box[0]) / side / 2  # the middle of a corner pixel lies this far within the box
    for axis in (0, 1):
        pixel = half * 2 * scale[axis]  # one pixel of the net; torchvision rounds to whole ones
        assert first[axis] == pytest.approx((box[axis] + half - 0.5) * scale[axis], abs=2 + 0.7 * pixel)
        assert last[axis] == pytest.approx((box[2 + axis] - half - 0.5) * scale[axis], abs=2 + 0.7 * pixel)


def test_small_images_are_shown_in_crisp_squares_and_large_ones_reduced():
    small = gradient(30, 20)
    shown, box = at_side(small, (5, 0, 25, 20), 100)
    assert shown.shape == (100, 150, 3)
    assert (shown[2::5, 2::5] == np.asarray(small)).all()
    assert box == (25, 0, 125, 100)
    shown, box = at_side(gradient(3000, 2000), (500, 0, 2500, 2000), 100)
    assert shown.shape == (100, 150, 3)
    assert box == (25, 0, 125, 100)


def test_the_ends_of_a_long_image_are_left_out_and_the_box_stays_on_its_place():
    image = gradient(1, 3000)
    box = middle_square(1, 3000)
    shown, moved = at_side(image, box, 100)
    assert shown.shape == (400, 100, 3)
    top, bottom = round(moved[1]), round(moved[3])
    assert bottom - top == 100
    assert (shown[top:bottom, :, 1] == np.asarray(image)[1499, 0, 1]).all()


def test_the_map_lies_on_the_box_alone_and_the_rest_is_dimmed():
    image = RNG.integers(0, 256, (40, 90, 3), dtype=np.uint8)
    heat = np.zeros((4, 4), np.float32)
    heat[0, 0] = 1  # top left of what the net saw
    shown = overlay_within(image, (25, 0, 65, 40), heat, 1.0)
    assert (shown[:, 25:65] == colourise(enlarge_heat(heat, 40, 40))).all()
    assert shown[0, 25].sum() > 600 > shown[39, 64].sum()
    for part in (slice(0, 25), slice(65, 90)):
        around, dimmed = image[:, part].astype(float), shown[:, part].astype(float)
        assert dimmed.std() < 0.5 * around.std()
        assert np.corrcoef(around.ravel(), dimmed.ravel())[0, 1] > 0.99
    assert (overlay_within(image, (25, 0, 65, 40), heat, 0.0)[:, 25:65] == image[:, 25:65]).all()


@pytest.mark.parametrize("box", [(0, 0.2, 0.4, 0.6), (2.4, 2.4, 2.6, 2.6), (3, 3, 4, 4), (3.6, 3.6, 4, 4)])
def test_a_box_under_a_pixel_is_a_pixel(box):
    shown = overlay_within(np.zeros((4, 4, 3), np.uint8), box, np.ones((2, 2), np.float32), 1.0)
    assert ((shown == colourise(np.ones((1, 1), np.float32))).all(2)).sum() == 1
