import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from minidiff.pictures import (
    image_grid,
    save_code_usage,
    save_gif,
    save_grid,
    save_loss_curve,
    save_loss_per_t,
    save_perplexity,
)
from minidiff.pictures import images as pictures

RANDOM = np.random.default_rng(0)
GREY = RANDOM.uniform(-1, 1, (5, 1, 28, 28)).astype(np.float32)
COLOUR = RANDOM.uniform(0, 1, (5, 3, 32, 32)).astype(np.float32)


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def tile(picture, row, column, size, top=pictures.GAP, left=pictures.GAP, row_height=None):
    """The image at row, column of the grid."""
    y = top + row * (row_height or size + pictures.GAP)
    x = left + column * (size + pictures.GAP)
    return picture[y : y + size, x : x + size]


@pytest.mark.parametrize(("images", "value_range"), [(GREY, (-1, 1)), (COLOUR, (0, 1))], ids=["grey", "colour"])
def test_each_pixel_is_a_square_of_its_value_and_images_go_row_by_row(tmp_path, images, value_range):
    save_grid(tmp_path / "grid.png", images, columns=3, value_range=value_range)
    picture = pixels(tmp_path / "grid.png")
    low, high = value_range
    bytes_ = np.rint((images - low) / (high - low) * 255).transpose(0, 2, 3, 1)
    size = images.shape[2] * 3
    assert picture.shape == (2 * (size + 6) + 6, 3 * (size + 6) + 6, 3)
    for i in range(5):
        shown = tile(picture, i // 3, i % 3, size)
        for dy in range(3):
            for dx in range(3):
                np.testing.assert_array_equal(shown[dy::3, dx::3], np.broadcast_to(bytes_[i], (*images.shape[2:], 3)))
    assert (tile(picture, 1, 2, size) == 255).all()  # the sixth place is empty
    assert os.listdir(tmp_path) == ["grid.png"]


@pytest.mark.parametrize("n", [1, 2, 5, 9, 10])
def test_columns_are_as_square_as_possible(tmp_path, n):
    save_grid(tmp_path / "grid.png", np.zeros((n, 1, 28, 28)))
    height, width, _ = pixels(tmp_path / "grid.png").shape
    columns = (width - 6) // 90
    rows = (height - 6) // 90
    assert rows <= columns <= rows + 1 and rows * columns >= n


def test_large_images_are_not_enlarged(tmp_path):
    save_grid(tmp_path / "grid.png", np.zeros((1, 1, 100, 120)))
    assert pixels(tmp_path / "grid.png").shape == (112, 132, 3)


def test_title_and_labels_are_written_outside_the_images(tmp_path):
    save_grid(tmp_path / "plain.png", GREY, columns=5)
    save_grid(tmp_path / "texts.png", GREY, columns=5, title="five", labels=[3, "a", "dog", "airplane", ""])
    plain, texts = pixels(tmp_path / "plain.png"), pixels(tmp_path / "texts.png")
    top = pictures.TITLE_HEIGHT + pictures.LABEL_HEIGHT
    np.testing.assert_array_equal(texts[top:], plain[pictures.GAP :])
    title, labels = texts[: pictures.TITLE_HEIGHT], texts[pictures.TITLE_HEIGHT : top]
    assert title.min() < 100 and (title[:, :150] == 255).all()  # in the middle
    dark = [(tile(labels[:, :, 0], 0, i, 84, top=0) < 128).sum() for i in range(5)]
    assert 0 < dark[1] < dark[2] < dark[3] and dark[4] == 0


def test_labels_may_be_an_array(tmp_path):
    save_grid(tmp_path / "list.png", GREY, labels=[3, 1, 4, 1, 5])
    save_grid(tmp_path / "array.png", GREY, labels=np.array([3, 1, 4, 1, 5]))
    np.testing.assert_array_equal(pixels(tmp_path / "array.png"), pixels(tmp_path / "list.png"))


def test_long_labels_take_several_lines_of_readable_size(tmp_path):
    save_grid(tmp_path / "short.png", GREY, columns=5, labels=["eight"] * 5)
    save_grid(tmp_path / "long.png", GREY, columns=5, labels=["an upright eight", "eight", "two", "", "one"])
    short, long = pixels(tmp_path / "short.png"), pixels(tmp_path / "long.png")
    more = len(long) - len(short)
    assert 2 * 12 <= more <= 2 * 24  # two lines more
    label_height = pictures.LABEL_HEIGHT + more
    np.testing.assert_array_equal(long[-90:], short[-90:])  # the images
    labels = long[pictures.GAP : pictures.GAP + label_height, :, 0] < 128
    rows = np.flatnonzero(labels[:, : 84 + pictures.GAP].any(axis=1))  # that the first label has ink in
    assert 0.7 * label_height < np.ptp(rows) < label_height
    columns = np.flatnonzero(labels.any(axis=0))
    assert not np.isin(np.arange(84 + pictures.GAP, 84 + 2 * pictures.GAP), columns).any()  # none runs into the next


def test_a_long_title_widens_the_picture(tmp_path):
    save_grid(tmp_path / "long.png", GREY[:1], title="a title much wider than one image")
    picture = pixels(tmp_path / "long.png")
    left = (picture.shape[1] - 96) // 2 + pictures.GAP
    assert (picture[:, [0, -1]] == 255).all()  # not cut off
    np.testing.assert_array_equal(tile(picture, 0, 0, 84, top=44, left=left)[::3, ::3, 0], np.rint((GREY[0, 0] + 1) / 2 * 255))


@pytest.mark.parametrize(
    ("message", "change"),
    [
        (r"images must be in \[-1, 1\] but lies in \[0, 2\]", {"images": np.array([0.0, 2]).reshape(1, 1, 1, 2)}),
        (r"images must be in \[0, 1\] but lies in \[-", {"value_range": (0, 1)}),
        (r"images must be in \[-1, 1\] but lies in \[nan, nan\]", {"images": np.full((1, 1, 2, 2), np.nan)}),
        (r"images has shape \(1, 28, 28\) but \(N, C, H, W\) with N >= 1 and C = 1 or 3 is wanted", {"images": GREY[0]}),
        (r"images has shape \(5, 28, 28, 1\) but", {"images": GREY.transpose(0, 2, 3, 1)}),
        (r"images has shape \(0, 1, 28, 28\) but", {"images": GREY[:0]}),
        (r"value_range must be \(-1, 1\) or \(0, 1\), got \(0, 255\)", {"value_range": (0, 255)}),
        ("save_grid: labels has 2 texts but images has N = 5", {"labels": [1, 2]}),
        ("save_grid: columns must be >= 1, got -1", {"columns": -1}),
        ("save_grid: columns must be >= 1, got 0", {"columns": 0}),
    ],
)
def test_save_grid_refuses_by_name_and_writes_nothing(tmp_path, message, change):
    with pytest.raises(ValueError, match=message):
        save_grid(tmp_path / "grid.png", **{"images": GREY, **change})
    assert os.listdir(tmp_path) == []


def test_a_gif_has_every_frame_and_holds_the_last(tmp_path):
    frames = [np.full((1, 1, 28, 28), value, np.float32) for value in (-1, 0, 1)]
    save_gif(tmp_path / "a.gif", frames, titles=["t = 1000", "t = 1", "x"], seconds=0.9, hold=1.5)
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.n_frames, gif.info["loop"]) == (3, 0)
        shown, durations = [], []
        for i in range(3):
            gif.seek(i)
            shown.append(np.asarray(gif.convert("RGB"))[-50, gif.width // 2].tolist())
            durations.append(gif.info["duration"])
    assert shown == [[0] * 3, [128] * 3, [255] * 3]
    assert durations == [300, 300, 1800]


def test_images_of_a_gif_stay_where_they_are_under_titles_of_any_length(tmp_path):
    frames = [np.full((1, 1, 28, 28), value, np.float32) for value in (-1, 0, -0.5)]
    save_gif(tmp_path / "a.gif", frames, titles=["t", "t = 1000, noise", ""])
    with Image.open(tmp_path / "a.gif") as gif:
        places = set()
        for i in range(3):
            gif.seek(i)
            inked = np.flatnonzero(np.asarray(gif.convert("L"))[-50] < 255)
            places.add((inked.min(), inked.max(), gif.width))
    ((left, right, width),) = places
    assert (right - left + 1, left - pictures.GAP) == (84, (width - 96) // 2)


def test_a_colour_gif_keeps_its_colours(tmp_path):
    frames = [np.zeros((1, 3, 4, 4)), np.zeros((1, 3, 4, 4))]
    frames[1][0, 2] = 1
    save_gif(tmp_path / "a.gif", frames, value_range=(0, 1))
    with Image.open(tmp_path / "a.gif") as gif:
        gif.seek(1)
        np.testing.assert_allclose(np.asarray(gif.convert("RGB"))[40, 40], [0, 0, 255], atol=8)


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("save_gif: frames is empty but at least one frame is wanted", {"frames": []}),
        ("save_gif: titles has 1 texts but frames has 2 frames", {"frames": [GREY, GREY], "titles": ["t"]}),
        (r"save_gif: frames must have one shape, got \[\(2, 1, 28, 28\), \(5, 1, 28, 28\)\]", {"frames": [GREY, GREY[:2]]}),
        (r"images must be in \[-1, 1\] but lies in", {"frames": [GREY, 2 * GREY]}),
    ],
)
def test_save_gif_refuses_by_name_and_writes_nothing(tmp_path, message, arguments):
    with pytest.raises(ValueError, match=message):
        save_gif(tmp_path / "a.gif", **arguments)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "save",
    [
        lambda path: save_grid(path, GREY),
        lambda path: save_gif(path, [GREY]),
        lambda path: save_loss_curve(path, [1], [1]),
        lambda path: save_loss_per_t(path, [1], [1]),
        lambda path: save_code_usage(path, np.ones(1)),
        lambda path: save_perplexity(path, [1], 2),
    ],
)
def test_a_path_that_cannot_be_written_is_named(tmp_path, save):
    with pytest.raises(FileNotFoundError, match=r"cannot write: .*missing.picture'"):
        save(tmp_path / "missing" / "picture")


def test_a_failure_while_writing_leaves_the_old_picture(tmp_path, monkeypatch):
    (tmp_path / "grid.png").write_bytes(b"old")

    def interrupted(image, path, **options):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_grid(tmp_path / "grid.png", GREY)
    assert (tmp_path / "grid.png").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["grid.png"]


def test_pyplot_is_left_alone(tmp_path):
    program = """if True:
        import sys
        import numpy as np
        from minidiff.pictures import save_grid, save_loss_curve
        save_grid("grid.png", np.zeros((1, 1, 2, 2)), title="title")
        save_loss_curve("loss.png", [1, 2], [1, 2])
        assert "matplotlib.pyplot" not in sys.modules
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, timeout=120)
    assert sorted(os.listdir(tmp_path)) == ["grid.png", "loss.png"]


def test_a_picture_for_a_notebook_is_the_one_that_is_saved_and_clips_noise(tmp_path):
    images = np.random.default_rng(0).normal(0, 2, (3, 1, 8, 8))
    with pytest.raises(ValueError):
        save_grid(tmp_path / "noisy.png", images)
    save_grid(tmp_path / "clipped.png", np.clip(images, -1, 1), labels="abc")
    assert np.array_equal(np.asarray(image_grid(images, labels="abc")), np.asarray(Image.open(tmp_path / "clipped.png")))
