import numpy as np
import pytest
from PIL import Image

from minidiff.engine.random import RNG
from minidiff.pictures.plane import save_clouds, save_fields, save_ways


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def blue(picture):
    return (picture[..., 2] > picture[..., 0] + 60) & (picture[..., 1] > 90)


def test_clouds_lie_where_the_points_are(tmp_path):
    right, above = np.tile([[1.5, 0.0]], (400, 1)), np.tile([[0.0, 1.5]], (400, 1))
    spread = 0.2 * RNG(0).normal((400, 2))
    save_clouds(tmp_path / "c.png", {"row": [("a", right + spread), ("b", above + spread)]})
    picture = pixels(tmp_path / "c.png")
    height, width, _ = picture.shape
    middle = width // 2
    rows, columns = np.nonzero(blue(picture[:, :middle]))
    assert 0.7 < columns.mean() / middle < 0.9 and 0.4 < rows.mean() / height < 0.65
    rows, columns = np.nonzero(blue(picture[:, middle:]))
    assert 0.4 < columns.mean() / middle < 0.6 and 0.15 < rows.mean() / height < 0.4


def test_a_picture_grows_by_rows_and_columns(tmp_path):
    cloud = ("t", RNG(0).normal((10, 2)))
    save_clouds(tmp_path / "1.png", {"a": [cloud]})
    save_clouds(tmp_path / "6.png", {"a": [cloud] * 3, "b": [cloud] * 3})
    one, six = pixels(tmp_path / "1.png").shape, pixels(tmp_path / "6.png").shape
    np.testing.assert_allclose(six[:2], (2 * one[0], 3 * one[1]), atol=3)


def test_ways_begin_in_black_and_end_in_red(tmp_path):
    way = np.linspace([-2.0, 0.0], [2.0, 0.0], 20)[:, None]
    save_ways(tmp_path / "w.png", {"left to right": way}, RNG(0).normal((50, 2)))
    picture = pixels(tmp_path / "w.png")
    red = (picture[..., 0] > 180) & (picture[..., 1:].max(axis=-1) < 80)
    columns = np.nonzero(red)[1]
    assert columns.min() > 0.8 * picture.shape[1]


def test_fields_show_direction_by_arrows_and_length_by_colour(tmp_path):
    grid = np.stack(np.meshgrid(np.linspace(-2, 2, 8), np.linspace(-2, 2, 8)), axis=-1).reshape(-1, 2)
    points = RNG(0).normal((20, 2))
    for name, arrows in (("across", np.tile([1.0, 0.0], (64, 1))), ("up", np.tile([0.0, 1.0], (64, 1)))):
        save_fields(tmp_path / f"{name}.png", [("t", points, grid, arrows)], "length")
    assert (pixels(tmp_path / "across.png") != pixels(tmp_path / "up.png")).any()
    weak_and_strong = [("weak", points, grid, 0.01 * grid), ("strong", points, grid, grid)]
    save_fields(tmp_path / "both.png", weak_and_strong, "length")  # the middle of the grid may hold an arrow of length 0, too
    save_fields(tmp_path / "zero.png", [("t", points, grid, 0 * grid)], "length")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: save_clouds(p, {}), r"save_clouds: rows must have one number of clouds, at least 1, got \{\}"),
        (lambda p: save_clouds(p, {"a": [("t", np.ones((2, 2)))], "b": []}), r"one number of clouds, at least 1, got \{'a': 1, 'b': 0\}"),
        (lambda p: save_clouds(p, {"a": [("t", np.ones((2, 3)))]}), r"save_clouds: points must be \(N, 2\) with N >= 1, got shape \(2,"),
        (lambda p: save_ways(p, {}, np.ones((2, 2))), "save_ways: ways is empty"),
        (lambda p: save_ways(p, {"x": np.ones((2, 2))}, np.ones((2, 2))), r"ways of 'x' must be \(times, N, 2\), got shape \(2, 2\)"),
        (lambda p: save_fields(p, [], ""), "save_fields: fields is empty"),
        (
            lambda p: save_fields(p, [("t", np.ones((2, 2)), np.ones((3, 2)), np.ones((2, 2)))], ""),
            r"save_fields: grid has shape \(3, 2\) but arrows has \(2, 2\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, call, message):
    with pytest.raises(ValueError, match=message):
        call(tmp_path / "p.png")
    assert not list(tmp_path.iterdir())
