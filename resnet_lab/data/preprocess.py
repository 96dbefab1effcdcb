"""Pictures from outside: whatever a person uploads, made RGB and then a tensor, or refused in one sentence."""

import contextlib
import io
import threading
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
DRAFT_SIDE = 1024  # JPEGs over twice this are decoded at 1/2, 1/4 or 1/8, but no smaller than this

# warnings.catch_warnings swaps process-wide state; two threads in it at once could leave it swapped.
_warnings_lock = threading.Lock()


class ImageError(ValueError):
    """One sentence for the reader: which file, what is wrong with it, and what to do."""


def read_image(file: bytes | BinaryIO | Path, name: str, max_pixels: int = 50_000_000) -> Image.Image:
    """Read a picture as upright 8-bit RGB.

    JPEG, PNG, WebP, BMP, GIF (first frame) and TIFF, in any mode: CMYK and palettes are converted, 16-bit
    and floating-point greys are scaled to 0..255, transparency is laid over white, EXIF rotation is applied.
    A large JPEG comes back reduced by 2, 4 or 8. `name` is what the reader calls the file.

    Raises ImageError if the file is empty, no picture, damaged, or has more than `max_pixels` pixels, which
    is known from its header, before any memory is spent on it.
    """
    try:
        data = (
            file if isinstance(file, bytes) else file.read_bytes() if isinstance(file, Path) else file.read()
        )
    except OSError as error:
        raise ImageError(f"{name} could not be opened ({error.strerror}); check that it is there.") from error
    if not data:
        raise ImageError(f"{name} is empty (0 bytes); save or upload it again.")
    with _open(data, name, max_pixels) as image:
        try:
            # MPO: a JPEG with further pictures behind it, as many phones write them
            if image.format in ("JPEG", "MPO") and min(image.size) > 2 * DRAFT_SIDE:
                image.draft(None, (DRAFT_SIDE, DRAFT_SIDE))
            image.load()
            return _to_rgb(_upright(image))
        except Exception as error:  # Pillow's decoders fail in many ways; each means the bytes are bad
            reason = str(error).strip().rstrip(".") or type(error).__name__
            message = f"{name} is cut short or damaged ({reason}); save or upload it again."
            raise ImageError(message) from error


def image_to_tensor(image: Image.Image, size: int, *, crop: bool = True) -> Tensor:
    """Scale an RGB picture to uint8 (3, size, size), bicubic with antialiasing.

    With `crop` the short side becomes `size` and the middle is cut out; without, the whole picture is
    squeezed into the square.
    """
    if image.size != (size, size):
        width, height = image.size
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        # Cutting out before scaling gives the same pixels, and a 1 × 1,000,000 picture costs nothing.
        box = (left, top, left + side, top + side) if crop else (0, 0, width, height)
        image = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()  # (H, W, 3) -> (3, H, W)


def _open(data: bytes, name: str, max_pixels: int) -> Image.Image:
    too_large = f"the limit is {max_pixels:,} pixels; make it smaller first."
    try:
        with _warnings_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we have a limit of our own
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} is too large: {too_large}") from error
    except UnidentifiedImageError as error:
        message = f"{name} is not a picture we can read; use JPEG, PNG, WebP, BMP, GIF or TIFF."
        raise ImageError(message) from error
    except Exception as error:  # a header that names a format and then breaks its rules
        raise ImageError(f"{name} has a damaged header; save or upload it again.") from error
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(f"{name} is too large, {width:,} × {height:,} pixels: {too_large}")
    return image


def _upright(image: Image.Image) -> Image.Image:
    with contextlib.suppress(Exception):  # a picture with broken EXIF data is still a picture
        return ImageOps.exif_transpose(image)
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled_grey(image).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _scaled_grey(image: Image.Image) -> Image.Image:
    """Wide greys as 8 bits: 16-bit integers by their full range, anything else from its least to its most."""
    values = np.asarray(image).astype(np.float64)
    if image.mode != "F" and values.min() >= 0 and values.max() <= 65535:
        scaled = values / 257  # 65535 / 255
    else:
        low, high = values.min(), values.max()
        scaled = (values - low) / max(high - low, 1e-12) * 255
    return Image.fromarray(np.round(scaled).astype(np.uint8))
