"""The drawings: the same every time, where the mask says, and honest between the splits."""

import numpy as np
import pytest
import torch

from resnet_lab.data import DATASETS, load_dataset
from resnet_lab.data.shapes import LARGEST, MARK_COLOURS, SHAPES, SMALLEST, draw_shape, draw_shapes


def test_a_picture_depends_on_seed_and_index_alone():
    images, masks, labels = draw_shapes(seed=5, count=30)
    for index in (29, 3, 17):  # any order, any count
        picture, mask, label = draw_shape(5, index)
        assert np.array_equal(picture, images[index].permute(1, 2, 0).numpy())
        assert np.array_equal(mask, masks[index].numpy())
        assert label == labels[index]
    assert not np.array_equal(draw_shape(5, 3)[0], draw_shape(6, 3)[0])


def test_numpys_and_torchs_global_generators_are_left_alone():
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    draw_shapes(1, 5)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("size", [16, 32, 224])
def test_masks_have_the_area_of_their_shape(size):
    _, masks, labels = draw_shapes(seed=1, count=60, size=size)
    area = masks.float().mean(dim=(1, 2)).numpy()
    assert masks.shape == (60, size, size)
    # The circle is the fullest shape (0.88 of the radius), the crescent is the thinnest of the ten.
    assert area.max() <= np.pi / 4 * (0.88 * LARGEST) ** 2 * 1.1
    assert area.min() >= 0.2 * np.pi / 4 * SMALLEST**2
    circles = labels == SHAPES.index("circle")
    widths = masks[circles].any(dim=1).sum(dim=1).numpy()  # pixels
    diameters = np.sqrt(area[circles.numpy()] * 4 / np.pi) * size
    assert np.abs(widths - diameters).max() < 1.2  # edges fall on pixels


def test_the_object_has_one_colour_that_differs_from_its_surroundings():
    images, masks, _ = draw_shapes(seed=3, count=100, size=64)
    inside = torch.nn.functional.max_pool2d((~masks).float().unsqueeze(1), 5, 1, 2).squeeze(1) == 0
    outside = torch.nn.functional.max_pool2d(masks.float().unsqueeze(1), 5, 1, 2).squeeze(1) == 0
    for image, core, rest in zip(images.float(), inside, outside, strict=True):
        if core.sum() < 20:
            continue
        core_pixels, rest_pixels = image[:, core], image[:, rest]
        assert core_pixels.std(dim=1).max() < 22  # noise and nothing else
        assert (core_pixels.median(dim=1).values - rest_pixels.median(dim=1).values).norm() > 60


def test_classes_are_balanced_and_named():
    _, _, labels = draw_shapes(seed=1, count=50)
    assert labels.bincount(minlength=10).tolist() == [5] * 10
    assert len(SHAPES) == len(set(SHAPES)) == len(MARK_COLOURS) == 10


def test_train_and_test_have_no_picture_in_common(tmp_path):
    train = load_dataset("shapes", "train", root=tmp_path, limit=300).images.flatten(1)
    test = load_dataset("shapes", "test", root=tmp_path, limit=300).images.flatten(1)
    assert len(torch.cat([train, test]).unique(dim=0)) == 600


def test_the_shortcut_is_planted_in_the_training_split_only(tmp_path):
    plain = load_dataset("shapes", "train", root=tmp_path, limit=40)
    marked = load_dataset("shapes_watermark", "train", root=tmp_path, limit=40)
    expected = torch.tensor(MARK_COLOURS, dtype=torch.uint8)[marked.labels][:, :, None, None]
    assert torch.equal(marked.images[:, :, :4, :4], expected.expand(-1, -1, 4, 4))
    assert not marked.masks[:, :4, :4].any()
    assert torch.equal(marked.images[:, :, 4:], plain.images[:, :, 4:])
    tests = [
        load_dataset(name, "test", root=tmp_path, limit=40).images for name in ("shapes", "shapes_watermark")
    ]
    assert torch.equal(*tests)


def test_the_published_mean_and_deviation_are_those_of_the_pictures(tmp_path):
    info = DATASETS["shapes"]
    values = load_dataset("shapes", root=tmp_path, limit=2000).images.float() / 255
    assert torch.allclose(values.mean(dim=(0, 2, 3)), torch.tensor(info.mean), atol=0.015)
    assert torch.allclose(values.std(dim=(0, 2, 3)), torch.tensor(info.std), atol=0.01)
