"""Every way in which Pillow keeps pixels is converted, to what one sees, or refused with the reason."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from minidiff.data import PictureError, picture, read_picture

RAMP = np.linspace(0, 255, 784).reshape(28, 28)
WANTED = RAMP / 127.5 - 1


@pytest.fixture
def read(tmp_path):
    """Save a picture, or bytes, and read it again as (1, 28, 28)."""

    def run(picture, ending="png", shape=(1, 28, 28), **options):
        path = tmp_path / f"p.{ending}"
        if isinstance(picture, bytes):
            path.write_bytes(picture)
        else:
            picture.save(path, **options)
        return read_picture(path, shape)

    return run


def grey():
    return Image.fromarray(RAMP.round().astype(np.uint8))


def words():
    return Image.fromarray((RAMP * 257).round().astype(np.uint16))


def pgm_of_words():
    """Written by hand: old versions of Pillow read this format and can't write it."""
    return b"P5 28 28 65535\n" + (RAMP * 257).round().astype(">u2").tobytes()


def with_alpha(alpha):
    return Image.merge("LA", [Image.new("L", (28, 28), 255), Image.fromarray(alpha)])


OPAQUE = Image.new("L", (28, 28), 255)
SEEN = [
    ("L", grey, "png"),
    ("RGB", lambda: grey().convert("RGB"), "png"),
    ("RGB, bmp", lambda: grey().convert("RGB"), "bmp"),
    ("CMYK", lambda: grey().convert("RGB").convert("CMYK"), "tiff"),
    ("P", lambda: grey().convert("P"), "png"),
    ("P, gif", lambda: grey().convert("P"), "gif"),
    ("LA", lambda: Image.merge("LA", [grey(), OPAQUE]), "png"),
    ("LA, its alpha is what shows", lambda: with_alpha(RAMP.round().astype(np.uint8)), "png"),
    ("RGBA", lambda: grey().convert("RGBA"), "png"),
    ("I;16", words, "png"),
    ("I;16, tiff", words, "tiff"),
    ("I;16 of a PGM file", pgm_of_words, "ppm"),
    ("I;16B", lambda: words().convert("I").convert("I;16B"), "tiff"),
]


@pytest.mark.parametrize(("make", "ending"), [case[1:] for case in SEEN], ids=[case[0] for case in SEEN])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_ramp_is_a_ramp_in_every_mode(read, make, ending, channels):
    x_0 = read(make(), ending, shape=(channels, 28, 28))
    assert x_0.shape == (1, channels, 28, 28) and x_0.dtype == np.float32
    np.testing.assert_allclose(x_0, np.broadcast_to(WANTED, x_0.shape), atol=2.1 / 127.5)  # CMYK rounds twice


def test_bits_are_black_and_white(read):
    board = np.indices((28, 28)).sum(axis=0) % 2 == 0
    np.testing.assert_array_equal(read(Image.fromarray(board))[0, 0], np.where(board, 1, -1))


def test_16_bits_keep_their_steps_and_stay_in_range(read):
    fine = (30_000 + np.arange(784)).reshape(28, 28).astype(np.uint16)
    x_0 = read(Image.fromarray(fine))
    assert len(np.unique(x_0)) > 700  # 8 bits would have four
    edge = np.repeat(np.array([0, 65535], np.uint16), 50)[None].repeat(100, axis=0)
    x_0 = read(Image.fromarray(edge))
    assert x_0.min() == -1 and x_0.max() == 1  # bicubic curves overshoot


def test_16_bits_that_older_pillows_keep_in_32():
    old = words().convert("I")
    old.format = "PNG"
    assert picture._is_16_bit(old)
    np.testing.assert_allclose(picture._grey_of_16_bits(old, 28, 28)[0, 0], WANTED, atol=1e-3)


def test_what_is_transparent_is_black(read):
    assert (read(Image.new("RGBA", (28, 28), (255, 255, 255, 0))) == -1).all()
    palette = Image.new("P", (28, 28), 1)
    palette.putpalette([0, 0, 0, 255, 255, 255])
    assert (read(palette, transparency=1) == -1).all() and (read(palette) == 1).all()
    assert (read(Image.new("L", (28, 28), 200), transparency=200) == -1).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_exif_says(read, orientation):
    corner = np.zeros((28, 28), np.uint8)
    corner[:7, :14] = 255
    turns = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose, 6: lambda a: np.rot90(a, 3),
             7: lambda a: np.rot90(a, 2).T, 8: np.rot90}  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    for make in (lambda a: Image.fromarray(a), lambda a: Image.fromarray(a.astype(np.uint16) * 257)):
        x_0 = read(make(corner), exif=exif)
        np.testing.assert_allclose(x_0[0, 0], turns[orientation](corner) / 127.5 - 1, atol=1e-6)


def test_a_picture_is_resized_to_the_shape_in_whatever_integers(read):
    assert read(grey(), shape=np.array([3, 14, 7])).shape == (1, 3, 14, 7)
    for shape in [(2, 28, 28), (1, 28), (1, 0, 28), (1, 10**6, 10**6)]:
        with pytest.raises(ValueError, match="read_picture: shape must"):
            read(grey(), shape=shape)
    with pytest.raises(TypeError, match="read_picture: shape must be an integer, got 28.0"):
        read(grey(), shape=(1, 28.0, 28))


def frames(n=3):
    file = io.BytesIO()
    grey().convert("P").save(file, "GIF", save_all=True, append_images=[grey().rotate(90 * i) for i in range(1, n)])
    return file.getvalue()


def pages():
    file = io.BytesIO()
    grey().save(file, "TIFF", save_all=True, append_images=[grey()])
    return file.getvalue()


def moving_png():
    file = io.BytesIO()
    grey().save(file, "PNG", save_all=True, append_images=[grey().rotate(90)])
    return file.getvalue()


def huge(width, height):
    """A PNG file of a few bytes that declares so many pixels."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def of_floats(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "TIFF")
    return file.getvalue()


def laid_out(format):
    file = io.BytesIO()
    grey().convert("RGB").save(file, format)
    return file.getvalue()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (frames, "it holds several pictures"),
        (pages, "it holds several pictures"),
        (moving_png, "it holds several pictures"),
        (lambda: of_floats(RAMP.astype(np.float32)), "its pixels have mode F, in which no number is agreed to be white"),
        (lambda: of_floats(RAMP.astype(np.int32)), "its pixels have mode I, in which no number"),
        (lambda: huge(10_000, 10_000), "it has 10000 x 10000 pixels, more than 50,000,000"),
        (lambda: huge(60_000, 60_000), "it has more than 50,000,000 pixels"),
        (lambda: huge(28, 28)[:48], "."),
        (lambda: laid_out("EPS"), "it is none of PNG, JPEG"),  # Pillow would start Ghostscript
        (lambda: b"", "it is none of PNG, JPEG"),
        (lambda: b"not a picture", "it is none of PNG, JPEG"),
        (lambda: laid_out("PNG")[:-30], "."),
    ],
)
def test_other_pictures_are_refused_in_one_line(read, make, message):
    with pytest.raises(PictureError, match=r"wanted a picture file, got .*p\.png: " + message) as caught:
        read(make())
    assert "\n" not in str(caught.value)


def test_a_bomb_is_refused_before_it_is_unpacked(read):
    from support.fuzzing import bounded_memory

    with bounded_memory(20), pytest.raises(PictureError):
        read(huge(50_000, 50_000))


def test_a_missing_file_a_folder_and_a_pipe_are_no_pictures(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "none.png", (1, 28, 28))
    with pytest.raises(IsADirectoryError, match="wants a file, this is a folder"):
        read_picture(tmp_path, (1, 28, 28))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OSError, match="wants an ordinary file, this is a pipe or device"):
            read_picture(tmp_path / "pipe", (1, 28, 28))


def test_names_in_any_alphabet(tmp_path):
    grey().save(tmp_path / "Ziffer vier – 四.png")
    assert read_picture(str(tmp_path / "Ziffer vier – 四.png"), (1, 28, 28)).shape == (1, 1, 28, 28)
