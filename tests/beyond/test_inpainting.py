"""Filling holes on a mixture: the exact answer by sums over a grid, and how far putting back is from it."""

import numpy as np
import pytest

from minidiff.beyond import given, repaint_steps
from minidiff.beyond.inpainting import put_back, weights_given
from minidiff.diffusion import ddpm_sample, make_schedule
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.engine.random import RNG

PLANE = GaussianMixture([0.4, 0.6], [[-0.6, -0.8], [0.6, 0.8]], [0.35, 0.3])
KNOWN, MASK = np.array([0.1, 0.0]), np.array([True, False])


@pytest.mark.checks("inpaint.weights")
def test_the_posterior_is_the_joint_density_over_its_integral():
    """p(x_2 | x_1) = p(x_1, x_2) / integral over x_2: a sum over a fine grid is exact to rounding."""
    grid = np.linspace(-6, 6, 4001)
    joint = np.exp(PLANE.log_prob(np.stack([np.full_like(grid, 0.1), grid], axis=1)))
    expected = joint / (joint.sum() * (grid[1] - grid[0]))
    found = np.exp(given(KNOWN, MASK, PLANE).log_prob(grid[:, None]))
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-14)
    w = weights_given(KNOWN, MASK, PLANE)
    assert w.sum() == pytest.approx(1, abs=1e-15) and w[1] > 0.7


@pytest.mark.checks("inpaint.weights")
def test_known_numbers_far_from_everything_do_not_underflow():
    w = weights_given(np.array([90.0, 0.0]), MASK, PLANE)
    assert np.isfinite(w).all() and w.sum() == pytest.approx(1)


@pytest.mark.checks("inpaint.replace")
def test_put_back_changes_what_is_known_only():
    unknown, known = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[-1.0, -2.0], [-3.0, -4.0]])
    np.testing.assert_array_equal(put_back(unknown, known, np.array([1.0, 0.0])), [[-1, 2], [-3, 4]])


def share(schedule, rounds, n=3000):
    """Of the samples with the known first number, those whose second is above 0; and the samples."""
    steps = repaint_steps(PLANE.eps_theta(schedule), np.zeros((n, 2)) + RNG(1).normal((n, 2), np.float64), KNOWN, 1.0 * MASK, schedule, RNG(2), rounds=rounds)
    for step in steps:
        x = step.x_prev
    return (x[:, 1] > 0).mean(), x


def test_putting_back_follows_the_joint_density_and_rounds_come_nearer_to_the_answer():
    """The first component has 0.4 of the data and little of what is given. Putting back hardly notices; ten rounds do."""
    schedule, posterior = make_schedule("linear", 100), given(KNOWN, MASK, PLANE)
    exact = (posterior.sample(100_000, RNG(0))[:, 0] > 0).mean()
    once, x = share(schedule, 1)
    often, _ = share(schedule, 10)
    np.testing.assert_array_equal(x[:, 0], KNOWN[0])
    assert exact - once > 0.08  # about 10 standard deviations of 3,000 draws
    assert 0 < exact - often < 0.6 * (exact - once)


def test_the_exact_noise_of_the_posterior_needs_no_putting_back():
    schedule, posterior = make_schedule("linear", 400), given(KNOWN, MASK, PLANE)
    x = ddpm_sample(posterior.eps_theta(schedule), RNG(0).normal((4000, 1), np.float64), schedule, RNG(1))
    exact = (posterior.sample(100_000, RNG(0))[:, 0] > 0).mean()
    assert (x > 0).mean() == pytest.approx(exact, abs=0.03)


def test_the_steps_have_their_terms_and_the_end_has_no_noise():
    schedule = make_schedule("linear", 5)
    steps = list(repaint_steps(PLANE.eps_theta(schedule), (3, 2), KNOWN.astype(np.float32), 1.0 * MASK.astype(np.float32), schedule, RNG(0), rounds=2))
    assert [step.t for step in steps] == [5, 4, 3, 2, 1] and steps[0].algorithm == "repaint"
    assert steps[0].names == ("x_t", "eps_hat", "mu", "z", "x_0_hat", "known_prev", "x_prev")
    assert not steps[-1].z.any() and (steps[-1].x_prev[:, 0] == np.float32(0.1)).all() and steps[-1].x_prev.dtype == np.float32


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((KNOWN, np.array([1, 0]), PLANE), r"given: mask must be bool \(2,\), got int64 \(2,\)"),
        ((KNOWN, np.array([True, True]), PLANE), "given: mask must leave something known and something unknown"),
        ((np.zeros(3), MASK, PLANE), r"given: x_known must be \(2,\), got \(3,\)"),
    ],
)
def test_bad_masks_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        given(*arguments)


def test_no_rounds_are_refused():
    with pytest.raises(ValueError, match="repaint_steps: rounds must be at least 1, got 0"):
        next(repaint_steps(PLANE.eps_theta(make_schedule("linear", 5)), (3, 2), KNOWN, MASK, make_schedule("linear", 5), RNG(0), rounds=0))
