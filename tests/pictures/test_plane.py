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


def test_ways_are_pale_where_they_begin_and_end_in_a_dark_dot(tmp_path):
    way = np.linspace([-2.0, 0.0], [2.0, 0.0], 20)[:, None]
    save_ways(tmp_path / "w.png", {"left to right": way}, np.array([[0.0, 2.0]]))
    picture = pixels(tmp_path / "w.png")
    panel = picture[: int(0.85 * len(picture))]  # the legend is below
    width = picture.shape[1]
    line = panel[np.nonzero(blue(panel[:, : width // 2 + 40]))[0].max()]
    left, right = (line[slice(*(int(share * width) for share in part))].mean(axis=0) for part in ((0.2, 0.3), (0.6, 0.7)))
    assert right[0] < left[0] - 60, "the line darkens"
    dark = (panel.max(axis=-1) < 60)[int(0.2 * len(panel)) : int(0.8 * len(panel))]
    assert dark[:, int(0.83 * width) : int(0.95 * width)].sum() > 25 > dark[:, int(0.4 * width) : int(0.6 * width)].sum(), "a filled dot at the end"
    assert (picture[int(0.9 * len(picture)) :].min(axis=-1) < 60).sum() > 100, "a legend below"


def test_dots_can_be_seen_and_are_smaller_where_there_are_many(tmp_path):
    def ink(n):
        save_clouds(tmp_path / "c.png", {"a": [("t", np.linspace([-2.0, -2.0], [2.0, 2.0], n))]})
        return (pixels(tmp_path / "c.png")[..., 2] - pixels(tmp_path / "c.png")[..., 0] > 30).sum()

    assert ink(10) / 10 > 9, "more than a pixel or two a dot"
    assert 2 < ink(300) / 300 < ink(10) / 10


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
