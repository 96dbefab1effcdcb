"""Images from outside: whatever a person uploads, made RGB and then a tensor, or refused in one sentence."""

import contextlib
import io
import math
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError
from torch import Tensor

from resnet_lab.data.names import FORMATS, printable

MAX_BYTES = 300 * 10**6  # of a file
DRAFT_SIDE = 1024  # JPEGs over twice this are decoded at 1/2, 1/4 or 1/8, but no smaller than this
TILE = 1024  # pixels a side; wide greys and transparency are converted piece by piece
WHITE_LEVELS = (255, 4095, 65535)  # of 8, 12 and 16 bits

LARGE_PIXELS = 5_000_000  # larger images are decoded one at a time, as each may take 10 bytes a pixel
_one_large_image = threading.RLock()

# Pillow refuses a PNG for a text chunk (a workflow, XMP) over 1 MB; its limit for all of them, 64 MB, still holds.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY

# warnings.catch_warnings swaps process-wide state; two threads in it at once could leave it swapped.
_warnings_lock = threading.Lock()


class ImageError(ValueError):
    """One sentence for the reader: which file, what is wrong with it, and what to do."""


def read_image(file: bytes | BinaryIO | Path, name: str, max_pixels: int = 50_000_000) -> Image.Image:
    """Read an image as upright 8-bit RGB.

    JPEG, PNG, WebP, BMP, GIF (first frame), TIFF and PPM, in any mode: CMYK and palettes are converted,
    transparency is laid over white, EXIF rotation is applied. A large JPEG comes back reduced by 2, 4 or 8.
    Wide greys are scaled to 0..255: integers from 0 to the white of 8, 12 or 16 bits, the least of them that
    holds the brightest pixel; floats, and integers beyond 16 bits, from their least to their most finite
    value, where NaN counts as the least. `name` is what the reader calls the file.

    Raises:
        ImageError: the file is no ordinary one (a pipe, a device), is empty, larger than 300 MB, no image,
            damaged, or has more than `max_pixels` pixels, which is known from its header, before any memory
            is spent on it.
    """
    with decoded_image(file, name, max_pixels) as image:
        return image


@contextlib.contextmanager
def decoded_image(
    file: bytes | BinaryIO | Path, name: str, max_pixels: int = 50_000_000
) -> Iterator[Image.Image]:
    """`read_image` for many threads: while the body uses a large image, no other thread decodes one.

    Raises:
        ImageError: as `read_image`.
    """
    name = printable(name)
    with _opened(file, name) as stream:
        image = _read_header(stream, name, max_pixels)
        large = image.width * image.height > LARGE_PIXELS
        with _one_large_image if large else contextlib.nullcontext():
            yield _decode(image, name)


def read_size(path: Path, name: str, max_pixels: int = 50_000_000) -> tuple[int, int]:
    """Width and height by the header alone, before any rotation.

    Raises:
        ImageError: as `read_image`, but for damage behind the header.
    """
    name = printable(name)
    with _opened(path, name) as stream:
        return _read_header(stream, name, max_pixels).size


def middle_square(width: int, height: int, part: float = 1.0) -> tuple[float, float, float, float]:
    """What is seen of an image whose short side is scaled and whose middle is cut out, `part` of that side: left, top,
    right and bottom, in pixels of the image.
    """
    side = part * min(width, height)
    left, top = ((length - side) / 2 for length in (width, height))
    if part == 1:  # whole pixels are cut out before the scaling
        left, top = left // 1, top // 1
    return left, top, left + side, top + side


def image_to_tensor(image: Image.Image, size: int, *, crop: bool = True) -> Tensor:
    """Scale an RGB image to uint8 (3, size, size), bicubic with antialiasing.

    With `crop` the short side becomes `size` and the middle is cut out; without, the whole image is
    squeezed into the square.
    """
    if image.size != (size, size):
        # Cutting out before scaling gives the same pixels, and a 1 × 1,000,000 image costs nothing.
        box = middle_square(*image.size) if crop else (0, 0, *image.size)
        image = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()  # (H, W, 3) -> (3, H, W)


@contextlib.contextmanager
def _opened(file: bytes | BinaryIO | Path, name: str) -> Iterator[BinaryIO]:
    """The file as a stream, once it is known to be an ordinary one of a bounded size."""
    try:
        if isinstance(file, Path):
            status = file.stat()
            is_ordinary = stat.S_ISREG(status.st_mode)  # opening a pipe would wait for its writer
            size, stream = status.st_size, file.open("rb") if is_ordinary else io.BytesIO()
        else:
            data = file if isinstance(file, bytes) else file.read(MAX_BYTES + 1)
            is_ordinary, size, stream = True, len(data), io.BytesIO(data)
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte, a stream that is closed
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"{name} could not be opened ({reason}); check that it is there.") from error
    with stream:
        if not is_ordinary:
            raise ImageError(f"{name} is no ordinary file but a pipe, device or folder; choose an image.")
        if not size:
            raise ImageError(f"{name} is empty (0 bytes); save or upload it again.")
        if size > MAX_BYTES:
            raise ImageError(f"{name} is larger than {MAX_BYTES // 10**6} MB; make it smaller first.")
        yield stream


def _read_header(stream: BinaryIO, name: str, max_pixels: int) -> Image.Image:
    too_large = f"the limit is {max_pixels:,} pixels; make it smaller first."
    try:
        with _warnings_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we have a limit of our own
            image = Image.open(stream, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} is too large: {too_large}") from error
    except UnidentifiedImageError as error:
        message = f"{name} is not an image we can read; use JPEG, PNG, WebP, BMP, GIF, TIFF or PPM."
        raise ImageError(message) from error
    except Exception as error:  # a header that names a format and then breaks its rules
        raise ImageError(f"{name} has a damaged header; save or upload it again.") from error
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(f"{name} is too large, {width:,} × {height:,} pixels: {too_large}")
    return image


def _decode(image: Image.Image, name: str) -> Image.Image:
    try:
        if image.format in ("JPEG", "MPO") and min(image.size) > 2 * DRAFT_SIDE:
            image.draft(None, (DRAFT_SIDE, DRAFT_SIDE))
        image.load()
        with contextlib.suppress(Exception):  # an image with broken EXIF data is still an image
            ImageOps.exif_transpose(image, in_place=True)
        rgb = _to_rgb(image)
    except Exception as error:  # Pillow's decoders fail in many ways; each means the bytes are bad
        reason = printable(" ".join(str(error).split())).rstrip(".") or type(error).__name__
        raise ImageError(f"{name} is cut short or damaged ({reason}); save or upload it again.") from error
    rgb.info.clear()  # text and profiles, up to 64 MB of them
    return rgb


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        low, high = _grey_range(image)
        return _by_tiles(image, partial(_scaled_grey, low=low, high=high))
    if image.has_transparency_data:
        return _by_tiles(image, _over_white)
    return image.convert("RGB")


def _by_tiles(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """`convert` for each part of the image, so that what it needs besides stays small."""
    rgb = Image.new("RGB", image.size)
    for corner, tile in _tiles(image):
        rgb.paste(convert(tile), corner)
    return rgb


def _tiles(image: Image.Image) -> Iterator[tuple[tuple[int, int], Image.Image]]:
    width, height = image.size
    for top, left in product(range(0, height, TILE), range(0, width, TILE)):
        yield (left, top), image.crop((left, top, min(left + TILE, width), min(top + TILE, height)))


def _over_white(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _grey_range(image: Image.Image) -> tuple[float, float]:
    """The values that become black and white. Raises ValueError if no pixel is finite."""
    low, high = math.inf, -math.inf
    for _, tile in _tiles(image):
        values = np.asarray(tile)
        finite = values[np.isfinite(values)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low > high:
        raise ValueError("none of its pixels is a finite number")
    if image.mode != "F" and low >= 0 and high <= WHITE_LEVELS[-1]:
        return 0, next(white for white in WHITE_LEVELS if high <= white)
    return low, high


def _scaled_grey(image: Image.Image, low: float, high: float) -> Image.Image:
    values = np.nan_to_num(np.asarray(image).astype(np.float64), nan=low, posinf=high, neginf=low)
    scaled = (values - low) / max(high - low, np.finfo(np.float64).tiny) * 255
    return Image.fromarray(np.round(scaled).astype(np.uint8)).convert("RGB")
