"""A picture file as x_0: one array of floats in [-1, 1], whatever way its pixels are stored."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from .files import open_file
from .scaling import as_int, to_float

if TYPE_CHECKING:  # Pillow is imported where a picture is read: a browser has none
    from PIL import Image

FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM")
"""What is read. Pillow knows more; some of them start other programs."""

MOST_PIXELS = 50_000_000  # a large camera's; unpacked they are at most 200 MB
MOST_BYTES = 1 << 28
WORDS = ("I;16", "I;16L", "I;16B", "I;16N")  # modes of grey in 0..65535
ORIENTATION = 0x0112  # of EXIF
TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
Box = tuple[int, int, int, int]  # left, top, right, bottom
EIGHT_BITS = (
    "1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV",
)  # fmt: skip


class PictureError(ValueError):
    """A file that is no picture, is damaged, too large, or has no agreed range of greys."""


def read_picture(
    path: str | os.PathLike[str], shape: Sequence[int], centred: bool = False
) -> np.ndarray:
    """Read a picture file, resized to `shape` = (C, H, W).    C: 1 (grey) or 3 (red, green, blue)

    centred: keep its proportions: the largest part in its middle that has those of `shape`.
    -> (1, C, H, W) float32 in [-1, 1]: black is -1, white is 1, and what is transparent is black.
    The picture is turned as its EXIF data say. 16-bit greys keep their steps; 65535 is white.
    Refused are animations, more than 50 million pixels, and pixels without an agreed white: those
    of 32 bits and floats.

    Raises: PictureError in one line; FileNotFoundError, IsADirectoryError or PermissionError if the
    file can't be opened; ValueError for a shape that is not (1 or 3, H, W).
    """
    channels, height, width = _check_shape(shape)
    with open_file(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, about damage that is told below
        try:
            picture = _open(_bytes_of(file))
            words = _is_16_bit(picture)  # asked now: a turned picture forgets its format
            picture = _upright(picture)
            if centred:
                picture = picture.crop(centre_of(picture.size, (width, height)))
            if words and channels == 1:
                return _grey_of_16_bits(picture, height, width)
            picture = _eight_bits(picture) if words else _on_black(picture)
            pixels = picture.convert("L" if channels == 1 else "RGB").resize((width, height))
        except PictureError as error:
            raise PictureError(f"wanted a picture file, got {path}: {error}") from error
        except MemoryError as error:
            raise PictureError(f"wanted a picture file, got {path}: too little memory") from error
        except Exception as error:  # damage can raise anything in Pillow: struct.error, KeyError
            reason = " ".join(str(error).split())[:200]
            raise PictureError(
                f"wanted a picture file, got {path}: {reason or type(error).__name__}"
            ) from error
    array = np.asarray(pixels, np.uint8).reshape(1, height, width, channels)
    return to_float(array.transpose(0, 3, 1, 2))


def centre_of(size: tuple[int, int], wanted: tuple[int, int]) -> Box:
    """The largest part in the middle of a picture with the proportions that are wanted.

    size, wanted: (width, height) -> left, top, right, bottom, in whole pixels
    """
    scale = min(size[0] / wanted[0], size[1] / wanted[1])
    width, height = (max(1, round(scale * side)) for side in wanted)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return left, top, left + width, top + height


def _bytes_of(file: BinaryIO) -> io.BytesIO:
    """The whole file: of this Pillow can't read more than is there, whatever its lengths say."""
    size = os.fstat(file.fileno()).st_size
    if size > MOST_BYTES:
        raise PictureError(f"it has {size:,} bytes, more than {MOST_BYTES:,}")
    return io.BytesIO(file.read())


def _check_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    sizes = tuple(as_int("read_picture: shape", n) for n in shape)
    if len(sizes) != 3 or sizes[0] not in (1, 3) or min(sizes) < 1:
        raise ValueError(f"read_picture: shape must be (C, H, W) with C = 1 or 3, got {sizes}")
    if sizes[1] * sizes[2] > MOST_PIXELS:
        raise ValueError(
            f"read_picture: shape must have at most {MOST_PIXELS:,} pixels, got {sizes}"
        )
    return sizes


def _open(file: io.BytesIO) -> Image.Image:
    """The picture, after what its header says has been checked: no pixel is unpacked before."""
    from PIL import Image

    Image.init()
    try:
        formats = [name for name in FORMATS if name in Image.OPEN]
        picture: Image.Image = Image.open(file, formats=formats)
    except Image.DecompressionBombError as error:
        raise PictureError(f"it has more than {MOST_PIXELS:,} pixels") from error
    except Image.UnidentifiedImageError as error:
        raise PictureError(f"it is none of {', '.join(FORMATS)}, or it is damaged") from error
    if picture.width * picture.height > MOST_PIXELS:
        raise PictureError(
            f"it has {picture.width} x {picture.height} pixels, more than {MOST_PIXELS:,}"
        )
    # a telephone's MPO file holds the picture and smaller or second ones behind it
    if getattr(picture, "is_animated", False) and picture.format != "MPO":
        raise PictureError("it holds several pictures: an animation, or the pages of a document")
    if picture.mode not in EIGHT_BITS and not _is_16_bit(picture):
        raise PictureError(
            f"its pixels have mode {picture.mode}, in which no number is agreed to be white; "
            "save it with 8 or 16 bits"
        )
    picture.load()
    return picture


def _is_16_bit(picture: Image.Image) -> bool:
    """Whether these are greys in 0..65535. Older Pillows read those of PNG and PGM in mode I."""
    return picture.mode in WORDS or (picture.mode == "I" and picture.format in ("PNG", "PPM"))


def _upright(picture: Image.Image) -> Image.Image:
    """Turned as EXIF says. A camera stores what its chip saw, and how it was held."""
    from PIL import Image

    turn = TURNS.get(picture.getexif().get(ORIENTATION, 1))
    return picture if turn is None else picture.transpose(Image.Transpose[turn])


def _grey_of_16_bits(picture: Image.Image, height: int, width: int) -> np.ndarray:
    """Resized as floats. `convert("L")` would clip to 0..255: all but the darkest became white."""
    from PIL import Image

    white = _unit(picture).resize((width, height), Image.Resampling.BICUBIC)
    x_0 = np.asarray(white, np.float32).clip(0, 1) * 2 - 1  # bicubic curves overshoot at edges
    return x_0[None, None]


def _unit(picture: Image.Image) -> Image.Image:
    """0..65535 -> 0..1, mode F."""
    from PIL import Image

    greys = np.asarray(picture).astype(np.float32)
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):
        greys[greys == transparent] = 0
    return Image.fromarray(greys / np.float32(65535))


def _eight_bits(picture: Image.Image) -> Image.Image:
    """0..65535 -> 0..255, mode L."""
    from PIL import Image

    greys = np.asarray(_unit(picture)).clip(0, 1)
    return Image.fromarray(np.rint(greys * 255).astype(np.uint8))


def _on_black(picture: Image.Image) -> Image.Image:
    """The picture without transparency: laid on black, the paper of MNIST."""
    from PIL import Image

    if picture.mode in ("La", "1"):
        picture = picture.convert("LA" if picture.mode == "La" else "L")
    if picture.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, (0, 0, 0, 255)), layer)
    return picture
