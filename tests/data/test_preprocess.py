"""Every kind of picture that a person may upload, good and bad."""

import io
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from resnet_lab.data import ImageError, image_to_tensor, read_image


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(width=60, height=40):
    values = np.zeros((height, width, 3), dtype=np.uint8)
    values[..., 0] = np.linspace(0, 255, width)
    values[..., 1] = np.linspace(0, 255, height)[:, None]
    return Image.fromarray(values)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "JPEG", "WEBP", "GIF"])
def test_each_format_comes_back_as_it_went_in(kind):
    flat = Image.new("RGB", (20, 10), (200, 100, 50))
    result = read_image(encoded(flat, kind), "x")
    assert (result.mode, result.size) == ("RGB", (20, 10))
    assert np.abs(np.asarray(result).astype(int) - (200, 100, 50)).max() <= 6


def test_bytes_files_and_paths_are_read_alike(tmp_path):
    data = encoded(gradient())
    (tmp_path / "x.png").write_bytes(data)
    results = [read_image(source, "x") for source in (data, io.BytesIO(data), tmp_path / "x.png")]
    assert all(np.array_equal(np.asarray(result), np.asarray(gradient())) for result in results)


def test_cmyk_becomes_the_rgb_it_stands_for():
    flat = Image.new("RGB", (16, 16), (200, 100, 50)).convert("CMYK")
    for kind in ("JPEG", "TIFF"):
        assert (
            np.abs(np.asarray(read_image(encoded(flat, kind), "x")).astype(int) - (200, 100, 50)).max() <= 6
        )


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(kind):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, axis=0)
    result = np.asarray(read_image(encoded(Image.fromarray(ramp), kind), "x"))
    assert result.shape == (4, 256, 3)
    assert np.abs(result[0, :, 0].astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_other_wide_greys_are_scaled_from_their_least_to_their_most(dtype):
    values = np.array([[-100_000, 0, 100_000]], dtype=dtype)
    assert np.asarray(read_image(encoded(Image.fromarray(values), "TIFF"), "x"))[0, :, 0].tolist() == [
        0,
        128,
        255,
    ]


def test_transparency_is_laid_over_white():
    half = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    assert read_image(encoded(half), "x").getpixel((0, 0)) == pytest.approx((255, 127, 127), abs=1)
    grey = Image.new("LA", (4, 4), (0, 0))
    assert read_image(encoded(grey), "x").getpixel((0, 0)) == (255, 255, 255)


def test_palettes_with_and_without_transparency():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    opaque = read_image(encoded(image), "x")
    assert [opaque.getpixel((i, 0)) for i in (0, 1)] == [(255, 0, 0), (0, 0, 255)]
    for kind in ("PNG", "GIF"):
        clear = read_image(encoded(image, kind, transparency=0), "x")
        assert [clear.getpixel((i, 0)) for i in (0, 1)] == [(255, 255, 255), (0, 0, 255)]


def test_bitmaps_and_greys():
    assert read_image(encoded(Image.new("1", (3, 3), 1)), "x").getpixel((0, 0)) == (255, 255, 255)
    assert read_image(encoded(Image.new("L", (3, 3), 77)), "x").getpixel((0, 0)) == (77, 77, 77)


def test_exif_rotation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn right by 90° to look at it"
    upright = read_image(encoded(gradient(), exif=exif), "x")
    assert np.array_equal(np.asarray(upright), np.rot90(np.asarray(gradient()), -1))


def test_a_picture_with_broken_exif_is_still_a_picture():
    data = encoded(gradient(), "JPEG", exif=b"Exif\x00\x00garbage of no known kind")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remark on the EXIF data
        assert read_image(data, "x").size == (60, 40)


def test_the_first_frame_of_an_animation_is_taken():
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    data = encoded(red, "GIF", save_all=True, append_images=[blue])
    assert read_image(data, "x").getpixel((4, 4)) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["JPEG", "MPO"])
def test_a_large_jpeg_comes_back_smaller_but_large_enough(kind):
    options = {"save_all": True, "append_images": [gradient()]} if kind == "MPO" else {}
    result = read_image(encoded(gradient(4400, 3000), kind, **options), "x")
    assert result.size == (2200, 1500)
    assert np.abs(np.asarray(result.resize((60, 40))).astype(int) - np.asarray(gradient())).mean() < 6


def header_only_png(side):
    """The first bytes of a huge PNG; there are no pixels behind them to decode."""
    data = bytearray(encoded(Image.new("L", (1, 1))))
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


BAD = {
    "empty.png": (b"", "0 bytes"),
    "letter.jpg": (b"Dear Sir, this is no picture.", "not a picture we can read"),
    "short.png": (encoded(gradient(600, 400))[:500], "cut short or damaged"),
    "short.jpg": (encoded(gradient(600, 400), "JPEG")[:3000], "cut short or damaged"),
    "short.webp": (encoded(gradient(600, 400), "WEBP")[:300], "damaged"),
    "icon.ico": (encoded(gradient(), "ICO"), "use JPEG, PNG"),
    "huge.png": (header_only_png(20_000), "limit is 50,000,000 pixels"),
    "large.png": (header_only_png(10_000), "10,000 × 10,000 pixels: the limit is 50,000,000 pixels"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_one_sentence(name):
    data, reason = BAD[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # none of Pillow's warnings leaks
        with pytest.raises(ImageError) as caught:
            read_image(data, name)
    message = str(caught.value)
    assert message.startswith(name)
    assert reason in message
    assert "\n" not in message
    assert message.endswith(".")
    assert ";" in message  # what is wrong; what to do


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.png could not be opened"):
        read_image(tmp_path / "gone.png", "gone.png")


def test_image_to_tensor_scales_the_short_side_and_takes_the_middle():
    tensor = image_to_tensor(gradient(120, 40), 20)
    assert (tensor.dtype, tensor.shape) == (torch.uint8, (3, 20, 20))
    # the middle third of a left-to-right ramp, and the whole of the top-to-bottom one
    assert tensor[0, 10].float().mean() == pytest.approx(127.5, abs=2)
    assert tensor[0, 10, 0] == pytest.approx(86, abs=4)
    assert tensor[1, 0, 0] < 6
    assert tensor[1, -1, 0] > 249


def test_image_to_tensor_without_crop_keeps_everything():
    tensor = image_to_tensor(gradient(120, 40), 20, crop=False)
    assert tensor[0, 10, 0] < 8
    assert tensor[0, 10, -1] > 247


def test_a_picture_of_the_right_size_is_untouched_and_a_thin_one_costs_nothing():
    square = gradient(32, 32)
    assert np.array_equal(image_to_tensor(square, 32).permute(1, 2, 0).numpy(), np.asarray(square))
    assert image_to_tensor(Image.new("RGB", (1, 100_000)), 224).shape == (3, 224, 224)
