import numpy as np
import pytest

from minidiff.data import digits as drawing
from minidiff.data import load_mnist, make_digits, measure, to_bytes
from minidiff.data.measures import CHUNK, MEASURES
from minidiff.engine.random import RNG

GRID = np.arange(28) - 13.5


def picture(inside, edge=0.5):
    """A shape from the signed distance to its outline, inside positive.    -> (1, 1, 28, 28) uint8"""
    return to_bytes(np.clip(0.5 + inside / (2 * edge), 0, 1))[None, None]


def bar(thickness, lean=0.0, half_length=9.0):
    """A straight line through the middle, `lean` to the right for each pixel upwards."""
    x, y = np.meshgrid(GRID, GRID)
    across = np.abs(x + lean * y) / np.hypot(1, lean)
    return picture(np.minimum(thickness / 2 - across, half_length - np.abs(y)))


def drawn_digits(n=60, leaning=1):
    """The program's digits with the hand that wrote them.    -> images, labels, pen radius, slant, width"""
    labels, rng = np.repeat(np.arange(10), n), RNG(3)
    points = drawing._write(labels, rng).transpose(1, 0, 2)
    size = (len(labels),)
    radius, slant, width = 0.9 + 1.2 * rng.uniform(size), leaning * (0.14 + 0.23 * rng.normal(size)), np.exp(0.2 + 0.18 * rng.normal(size))
    points = np.stack([points[..., 0] * width - slant * points[..., 1], points[..., 1]], axis=-1).transpose(1, 0, 2)
    return to_bytes(drawing._ink(drawing._place(points, radius), radius))[:, None], labels, radius, slant, width


def correlations(a, b, labels):
    return np.array([np.corrcoef(a[labels == i], b[labels == i])[0, 1] for i in range(10)])


@pytest.mark.parametrize("thickness", [2, 2.5, 3, 4, 5])
def test_the_thickness_of_a_line_is_measured_in_pixels(thickness):
    length = 18
    expected = 2 * thickness * length / (2 * thickness + 2 * length)  # a line has ends, too
    assert measure("thickness", bar(thickness)) == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("name", ["thickness", "slant", "width"])
def test_a_faint_picture_measures_as_a_dark_one(name):
    image = bar(3, 0.3)
    assert measure(name, image // 2) == pytest.approx(measure(name, image), rel=0.01)


@pytest.mark.parametrize("lean", [-0.4, 0, 0.2, 0.6])
def test_the_slant_of_a_line_is_its_slope(lean):
    assert measure("slant", bar(2, lean)) == pytest.approx(lean, abs=0.02)


@pytest.mark.parametrize("wide, high", [(5, 10), (10, 5), (8, 8), (2, 12)])
def test_the_width_of_a_rectangle_is_its_ratio(wide, high):
    image = np.zeros((1, 1, 28, 28), np.uint8)
    image[..., 3 : 3 + high, 6 : 6 + wide] = 200
    assert measure("width", image) == pytest.approx(wide / high, rel=1e-5)
    assert measure("brightness", image) == pytest.approx(200 / 255, rel=1e-5)


def test_the_ground_does_not_count_as_dark():
    image = np.zeros((2, 1, 28, 28), np.uint8)
    image[0, 0, 4:6, 4:6], image[1, 0, 4:24, 4:24] = 100, 100
    np.testing.assert_allclose(measure("brightness", image), 100 / 255, rtol=1e-5)


def test_thickness_finds_the_pen_and_slant_the_hand_of_drawn_digits():
    images, labels, radius, slant, width = drawn_digits()
    thickness = measure("thickness", images)
    assert correlations(thickness, radius, labels).min() > 0.95
    assert np.corrcoef(thickness, radius)[0, 1] > 0.95
    slope, offset = np.polyfit(2 * radius, thickness, 1)
    assert 0.85 < slope < 1.05 and abs(offset) < 0.35  # pixels
    assert correlations(measure("slant", images), slant, labels).min() > 0.75


def test_width_finds_the_width_of_upright_digits_that_have_one():
    images, labels, _, _, width = drawn_digits(leaning=0)
    correlation = correlations(measure("width", images), width, labels)
    assert np.delete(correlation, 1).min() > 0.6  # a one has none


def test_shearing_a_real_digit_adds_to_its_slant(real_mnist):
    images = load_mnist(real_mnist, download=False).images[:300]
    sheared = np.zeros_like(images)
    for row in range(28):  # 1/4 to the right for each row upwards, in whole pixels
        sheared[:, 0, row] = np.roll(images[:, 0, row], round((13.5 - row) / 4), axis=-1)
    np.testing.assert_allclose(measure("slant", sheared) - measure("slant", images), 0.25, atol=0.07)
    np.testing.assert_allclose((measure("slant", sheared) - measure("slant", images)).mean(), 0.25, atol=0.02)


def test_thickening_a_real_digit_adds_to_its_thickness(real_mnist):
    """Each pixel takes the largest of itself and its right and lower neighbours: a pixel more of pen."""
    images = load_mnist(real_mnist, download=False).images[:300]
    thick = images.copy()
    for axis in (2, 3):
        thick = np.maximum(thick, np.roll(thick, 1, axis=axis))
    gain = measure("thickness", thick) - measure("thickness", images)
    assert 0.8 < gain.mean() < 1.6 and gain.min() > 0.3


@pytest.mark.parametrize("name", MEASURES)
def test_any_picture_has_a_finite_measure_and_chunks_do_not_matter(name):
    images = make_digits(8, seed=1).images
    images[0] = 0
    images[1], images[2] = 255, 0
    images[2, 0, 5, 5] = 1
    values = measure(name, images)
    assert values.shape == (8,) and values.dtype == np.float32 and np.isfinite(values).all()
    many = np.concatenate([images] * (CHUNK // 8 + 1))
    np.testing.assert_allclose(measure(name, many)[-8:], values, rtol=1e-5, atol=1e-6)
    assert measure(name, images[:0]).shape == (0,)


def test_bad_arguments():
    images = np.zeros((2, 1, 28, 28), np.uint8)
    with pytest.raises(ValueError, match="measure: name must be one of thickness, slant, width, brightness, got 'size'"):
        measure("size", images)
    for wrong, got in ((images[:, 0], r"\(2, 28, 28\) uint8"), (images / 255, r"\(2, 1, 28, 28\) float64"), ([1], "list")):
        with pytest.raises(ValueError, match=rf"measure: images must be a NumPy array \(N, 1, H, W\) uint8, got {got}"):
            measure("slant", wrong)
    with pytest.raises(ValueError, match=r"got \(2, 3, 28, 28\) uint8"):
        measure("slant", np.zeros((2, 3, 28, 28), np.uint8))
