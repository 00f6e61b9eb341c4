import numpy as np
import pytest

from minidiff.data import draw_digits, load_mnist, make_digits, to_float
from minidiff.data.digits import _curve
from minidiff.data.strokes import WAYS_OF_WRITING
from minidiff.engine.random import RNG


@pytest.fixture(scope="module")
def digits():
    return make_digits(3000, seed=0)


def boxes(images):
    """Width and height of the ink, for (N, 1, 28, 28)."""
    ink = images[:, 0] > 64
    columns, rows = ink.any(axis=1), ink.any(axis=2)
    return [28 - side.argmax(axis=1) - side[:, ::-1].argmax(axis=1) for side in (columns, rows)]


def test_shapes_and_types(digits):
    assert digits.images.shape == (3000, 1, 28, 28) and digits.images.dtype == np.uint8
    assert digits.labels.shape == (3000,) and digits.labels.dtype == np.int64
    assert digits.name == "digits"


def test_the_seed_decides():
    np.testing.assert_array_equal(make_digits(20, seed=3).images, make_digits(20, seed=3).images)
    assert (make_digits(20, seed=3).images != make_digits(20, seed=4).images).any()


def test_classes_are_equally_likely_and_no_two_images_are_the_same(digits):
    counts = np.bincount(digits.labels, minlength=10)
    assert counts.min() > 230 and counts.max() < 370  # 300 +- 4 standard deviations
    assert len(np.unique(digits.images.reshape(3000, -1), axis=0)) == 3000


def test_a_digit_is_in_a_box_of_20_pixels_and_its_mass_in_the_middle_as_in_mnist(digits):
    width, height = boxes(digits.images)
    longest = np.maximum(width, height)
    assert 19.5 < longest.mean() < 20.5 and longest.min() >= 18 and longest.max() <= 22
    mass = digits.images[:, 0].astype(float)
    mass /= mass.sum(axis=(1, 2), keepdims=True)
    middle = np.stack([(mass.sum(axis=1) @ np.arange(28)), (mass.sum(axis=2) @ np.arange(28))])
    np.testing.assert_allclose(middle.mean(axis=1), 14, atol=0.2)
    assert np.abs(middle - 14).max() < 2.5


def test_edges_are_smooth_and_digits_are_not_cut_off_at_the_border(digits):
    grey = (digits.images > 0) & (digits.images < 255)
    assert 0.05 < grey.mean() < 0.2
    border = digits.images[:, 0].copy()
    border[:, 1:-1, 1:-1] = 0
    assert (border > 128).any(axis=(1, 2)).mean() < 0.01  # of real digits: 0.009


@pytest.mark.parametrize(("digit", "way"), [(digit, way) for digit, ways in enumerate(WAYS_OF_WRITING) for way in range(len(ways))])
def test_the_pen_passes_the_points_of_every_stroke_without_jumps(digit, way):
    controls, weights = _curve(digit, way)
    path = weights @ controls
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    distance = np.linalg.norm(path[:, None] - controls, axis=2).min(axis=0)
    assert distance.max() < 2.5  # a digit is 100 high
    jumps = np.linalg.norm(np.diff(path, axis=0), axis=1) > 6
    assert jumps.sum() <= len(WAYS_OF_WRITING[digit][way]) - 1


def nearest_mean_accuracy(train, test):
    means = np.stack([to_float(train.images[train.labels == digit]).mean(axis=0).ravel() for digit in range(10)])
    x = to_float(test.images).reshape(len(test), -1)
    return ((x**2).sum(1)[:, None] - 2 * x @ means.T + (means**2).sum(1)).argmin(axis=1) == test.labels


def test_drawn_digits_are_told_apart_by_their_class_means(digits):
    rest, held_out = digits.split(1000, seed=0)
    assert nearest_mean_accuracy(rest, held_out).mean() > 0.75


def test_the_means_of_drawn_digits_classify_real_ones(digits, real_mnist):
    assert nearest_mean_accuracy(digits, load_mnist(real_mnist, download=False)).mean() > 0.6


def test_ink_and_size_are_those_of_real_digits(digits, real_mnist):
    real = load_mnist(real_mnist, download=False)
    assert abs(digits.images.mean() / real.images.mean() - 1) < 0.1
    assert abs(digits.images.std() / real.images.std() - 1) < 0.1
    for drawn, scanned in zip(boxes(digits.images), boxes(real.images), strict=True):
        assert abs(drawn.mean() - scanned.mean()) < 1


def test_bad_arguments():
    with pytest.raises(ValueError, match="make_digits: n must be >= 1, got 0"):
        make_digits(0)
    with pytest.raises(ValueError, match="draw_digits: labels must be in 0..9 for 10 classes but lie in 3..10"):
        draw_digits(np.array([3, 10]), RNG(0))


def test_numpys_integers_are_integers_here_too():
    digits = make_digits(np.int64(5), np.uint8(3))
    np.testing.assert_array_equal(digits.images, make_digits(5, 3).images)
    assert digits.note == make_digits(5, 3).note
    with pytest.raises(TypeError, match="make_digits: n must be an integer, got 5.0"):
        make_digits(5.0)
    with pytest.raises(TypeError, match="make_digits: seed must be an integer, got '3'"):
        make_digits(5, "3")


def test_more_digits_than_fit_are_refused_at_once():
    with pytest.raises(ValueError, match="make_digits: n must be <= 10,000,000, got 1,000,000,000,000"):
        make_digits(10**12)
