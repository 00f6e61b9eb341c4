import numpy as np
import pytest

from minidiff.data import swiss_roll, swiss_roll_curve


def test_shape_type_and_units():
    points = swiss_roll(20_000, seed=1)
    assert points.shape == (20_000, 2) and points.dtype == np.float32
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=5 / np.sqrt(20_000))
    assert points.var() == pytest.approx(1, abs=0.03)
    assert np.abs(points).max() < 2.5


def test_the_seed_decides_and_a_larger_set_is_in_the_same_units():
    np.testing.assert_array_equal(swiss_roll(50, seed=3), swiss_roll(50, seed=3))
    assert (swiss_roll(50, seed=3) != swiss_roll(50, seed=4)).all()
    for n in (1, 5, 3000):  # standardised with the curve's numbers, not with the sample's
        assert distances(swiss_roll(n, noise=0)).max() < 0.005


def distances(points):
    curve = swiss_roll_curve(4000)
    return np.sqrt(((points[:, None] - curve) ** 2).sum(axis=2)).min(axis=1)


def test_the_noise_across_the_roll_has_the_given_deviation():
    """The distance from a smooth curve is |N(0, noise^2)|: its root mean square is the noise, away from the two ends."""
    for noise in (0.02, 0.06):
        assert np.sqrt((distances(swiss_roll(2000, noise=noise)) ** 2).mean()) == pytest.approx(noise, rel=0.06)


def test_the_curve_is_a_spiral_of_one_and_a_half_turns_with_points_equally_far_apart():
    curve = swiss_roll_curve(2000).astype(float)
    gaps = np.linalg.norm(np.diff(curve, axis=0), axis=1)
    assert gaps.max() / gaps.min() < 1.03
    # r = angle: the ends are at radii 1.5 pi and 4.5 pi from the centre, both straight below or above it
    inner, outer = curve[0], curve[-1]
    assert inner[0] == pytest.approx(outer[0], abs=0.01)
    unit = (outer - inner)[1] / (6 * np.pi)  # a length of 1 before the standardisation: -1.5 pi below, 4.5 pi above the centre
    centre = inner + [0, 1.5 * np.pi * unit]
    radius = np.linalg.norm(curve - centre, axis=1) / unit
    assert (np.diff(radius) > 0).all() and radius[0] == pytest.approx(1.5 * np.pi, rel=1e-3)
    angle = np.unwrap(np.arctan2(*(curve - centre).T[::-1]))
    np.testing.assert_allclose(angle - angle[0], radius - radius[0], atol=0.01)


def test_points_are_spread_evenly_along_the_roll():
    curve = swiss_roll_curve(4000)
    nearest = ((swiss_roll(5000, noise=0)[:, None] - curve[::20]) ** 2).sum(axis=2).argmin(axis=1)
    counts = np.histogram(nearest, bins=10, range=(0, 200))[0]
    assert counts.min() > 390 and counts.max() < 610  # 500 +- 5 standard deviations


def test_bad_arguments():
    with pytest.raises(ValueError, match="swiss_roll: n must be >= 1, got 0"):
        swiss_roll(0)
    with pytest.raises(ValueError, match="swiss_roll: noise must be >= 0, got -0.1"):
        swiss_roll(5, noise=-0.1)
    with pytest.raises(ValueError, match="swiss_roll_curve: n must be >= 2, got 1"):
        swiss_roll_curve(1)


def test_numpys_integers_are_integers_here_too():
    np.testing.assert_array_equal(swiss_roll(np.int64(5)), swiss_roll(5))
    assert swiss_roll_curve(np.int32(4)).shape == (4, 2)
    with pytest.raises(TypeError, match="swiss_roll: n must be an integer, got 5.0"):
        swiss_roll(5.0)
    with pytest.raises(ValueError, match="swiss_roll: n must be <= 100,000,000, got 1,000,000,000,000"):
        swiss_roll(10**12)
