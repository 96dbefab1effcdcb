"""Every kind of image that a person may upload, good and bad."""

import io
import os
import struct
import threading
import tracemalloc
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from resnet_lab.data import ImageError, image_to_tensor, read_image
from resnet_lab.data.preprocess import decoded_image


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(width=60, height=40):
    values = np.zeros((height, width, 3), dtype=np.uint8)
    values[..., 0] = np.linspace(0, 255, width)
    values[..., 1] = np.linspace(0, 255, height)[:, None]
    return Image.fromarray(values)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "JPEG", "WEBP", "GIF", "PPM"])
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
    "letter.jpg": (b"Dear Sir, this is no image.", "not an image we can read"),
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


def tiff(values):
    return encoded(Image.fromarray(values), "TIFF")


def test_floats_are_scaled_by_their_finite_values_and_infinities_go_to_the_ends():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1e30, (70, 90)).astype(np.float32)
    odd = rng.integers(0, 4, values.shape)
    values[odd == 1], values[odd == 2], values[odd == 3] = np.nan, np.inf, -np.inf
    finite = values[odd == 0].astype(np.float64)
    expected = np.zeros(values.shape)
    expected[odd == 0] = (finite - finite.min()) / (finite.max() - finite.min()) * 255
    expected[odd == 2] = 255
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = np.asarray(read_image(tiff(values), "x"))
    assert np.array_equal(result, np.round(expected).astype(np.uint8)[..., None].repeat(3, axis=2))


def test_floats_without_a_finite_value_are_refused():
    with pytest.raises(ImageError, match="none of its pixels is a finite number"):
        read_image(tiff(np.full((4, 4), np.nan, np.float32)), "x")


@pytest.mark.parametrize(
    ("brightest", "white"), [(1, 255), (255, 255), (256, 4095), (4095, 4095), (4096, 65535), (65535, 65535)]
)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_wide_greys_have_the_white_of_8_12_or_16_bits(brightest, white, kind):
    values = np.linspace(0, brightest, 300).astype(np.uint16)[None]
    result = np.asarray(read_image(encoded(Image.fromarray(values), kind), "x"))[0, :, 0]
    assert np.array_equal(result, np.round(values[0] / white * 255).astype(np.uint8))


def test_big_endian_greys_are_scaled_as_others():
    values = np.array([[0, 2048, 4095]], dtype=np.uint16)
    assert np.asarray(read_image(big_endian_tiff(values), "x"))[0, :, 0].tolist() == [0, 128, 255]


def big_endian_tiff(values):
    """A TIFF of one uncompressed strip by hand: header, pixels, then tag, type (4: a 32-bit integer), count, value."""
    pixels = values.astype(">u2").tobytes()
    height, width = values.shape
    tags = {256: width, 257: height, 258: 16, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: len(pixels)}
    entries = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags.items())
    return (
        b"MM\0*"
        + struct.pack(">I", 8 + len(pixels))
        + pixels
        + struct.pack(">H", len(tags))
        + entries
        + bytes(4)
    )


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_what_is_larger_than_a_tile_is_converted_as_a_whole_would_be(mode):
    noise = Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (1100, 2100, 4), dtype=np.uint8), "RGBA"
    )
    image = (
        noise.convert("P")
        if mode == "P"
        else noise.convert("LA").convert("PA")
        if mode == "PA"
        else noise.convert(mode)
    )
    options = {"transparency": 7} if mode == "P" else {}
    data = encoded(image, "TIFF" if mode == "PA" else "PNG", **options)
    with Image.open(io.BytesIO(data)) as opened:
        whole = opened.convert("RGBA")
    expected = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")
    assert np.array_equal(np.asarray(read_image(data, "x")), np.asarray(expected))


def test_greys_larger_than_a_tile_have_one_scale():
    values = np.arange(1030 * 1030, dtype=np.float32).reshape(1030, 1030)
    expected = np.round(values.astype(np.float64) / values.max() * 255)
    assert np.array_equal(np.asarray(read_image(tiff(values), "x"))[..., 1], expected)


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt"])
def test_a_png_with_a_long_text_opens_and_the_text_is_not_kept(kind):
    text = PngImagePlugin.PngInfo()
    if kind == "iTXt":
        text.add_itxt("workflow", "ü" * 3_000_000, zip=True)
    else:
        text.add_text("workflow", "x" * 5_000_000, zip=kind == "zTXt")
    result = read_image(encoded(gradient(), pnginfo=text), "x")
    assert np.array_equal(np.asarray(result), np.asarray(gradient()))
    assert result.info == {}


@pytest.mark.parametrize("kind", ["pipe", "sparse", "device", "folder", "endless"])
def test_what_is_no_ordinary_file_of_a_bounded_size_is_not_read(tmp_path, kind):
    path = tmp_path / "x.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "sparse":
        with path.open("wb") as file:
            file.truncate(3 << 30)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    source = open(path, "rb", buffering=0) if kind == "endless" else path  # noqa: SIM115
    tracemalloc.start()
    with pytest.raises(ImageError) as caught:
        read_image(source, "x.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    expected = {"sparse": "larger than 300 MB", "endless": "larger than 300 MB"}
    assert expected.get(kind, "no ordinary file but a pipe, device or folder") in str(caught.value)
    assert peak < (700e6 if kind == "endless" else 1e6)


def test_a_path_that_is_none_is_refused():
    with pytest.raises(ImageError, match="could not be opened"):
        read_image(Path("a\0b.png"), "a\0b.png")


def test_large_pictures_are_decoded_one_at_a_time(tmp_path):
    """Eight small files of 16 million floats: at once they would take half a gigabyte and more."""
    path = tmp_path / "x.tif"
    Image.new("F", (4000, 4000), 0.5).save(path, compression="tiff_deflate")
    assert path.stat().st_size < 200_000
    here, most = 0, 0
    lock = threading.Lock()

    def read(_):
        nonlocal here, most
        with decoded_image(path, "x.tif") as image:
            with lock:
                here += 1
                most = max(most, here)
            image.resize((8, 8))
            with lock:
                here -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(8)))
    assert most == 1


def test_names_are_shown_in_one_line_whatever_they_are():
    for name in ("a\nb.png", os.fsdecode(b"Mu\xf1oz.png"), "a\u2028b\x1b[31m.png"):
        with pytest.raises(ImageError) as caught:
            read_image(b"", name)
        assert str(caught.value).isprintable()


SEEDS = [
    encoded(gradient(), kind, **options)
    for kind, options in [("PNG", {}), ("JPEG", {}), ("WEBP", {}), ("BMP", {}), ("GIF", {}), ("PPM", {}), ("TIFF", {}),
                          ("TIFF", {"compression": "tiff_lzw"}), ("PNG", {"exif": b"Exif\0\0MM\0*\0\0\0\x08"})]
] + [tiff(np.zeros((20, 20), np.float32)), encoded(gradient().convert("P"), "PNG", transparency=3)]  # fmt: skip


CHANGES = ["set", "cut", "drop", "repeat"]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(SEEDS),
    st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from(["set", "cut", "drop", "repeat"]), st.binary(max_size=6)),
        max_size=6,
    ),
)
def test_whatever_the_bytes_are_it_is_a_picture_or_one_sentence(data, changes):
    for place, change, new in changes:
        at = int(place * len(data))
        data = {
            "set": data[:at] + new + data[at + len(new) :],
            "cut": data[:at] + new,
            "drop": data[:at] + data[at + len(new) :],
            "repeat": data[:at] + data[at // 2 :],
        }[change]
    said = ""
    try:
        result = read_image(data, "x", max_pixels=4_000_000)
    except ImageError as error:
        said = str(error)
    else:
        assert result.mode == "RGB"
        assert 0 < result.width * result.height <= 4_000_000
    assert not said or (said.isprintable() and said.endswith("."))
