"""Guidance on a mixture: what its score is the score of, and that its samples are not the tilted data."""

import math

import numpy as np
import pytest

from minidiff.beyond.solvers import heun_steps, log_snr_times
from minidiff.beyond.tilted import (
    grid_quantiles,
    guide_by_worse,
    guide_in_interval,
    interval_strength,
    noisy_score,
    on_a_grid,
    tilted_log_density,
    tilted_score,
    wasserstein_1,
)
from minidiff.diffusion import guide_without_classifier
from minidiff.diffusion.oracle import GaussianMixture, exact_eps, exact_score, log_marginal

TWO = GaussianMixture([0.5, 0.5], [[-0.5], [0.5]], [0.4, 0.4], labels=[0, 1])
X = np.array([[-0.9], [0.0], [0.7], [1.5]])
GRID = np.linspace(-4, 4, 8001)
U = (np.arange(400) + 0.5) / 400


@pytest.mark.checks("tilted.log_density")
@pytest.mark.parametrize("t", [0, 300])
def test_the_tilted_density_is_the_joint_with_a_power(linear, t):
    """q^(1 - s) q_y^s, up to a constant, where q_y is the class's own density."""
    for s in (0.0, 1.0, 3.0):
        found = tilted_log_density(X, t, 1, TWO, linear, s)
        expected = (1 - s) * log_marginal(X, t, TWO, linear) + s * (log_marginal(X, t, TWO.of_class(1), linear) + math.log(0.5))
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.checks("tilted.score")
@pytest.mark.parametrize("t", [1, 300, 1000])
def test_its_score_is_the_derivative_and_what_guidance_follows(linear, t):
    s, h = 2.5, 1e-4
    values = [tilted_log_density(X + k * h, t, 1, TWO, linear, s) for k in (-2, -1, 1, 2)]
    slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
    score = tilted_score(X, t, 1, TWO, linear, s)
    np.testing.assert_allclose(score[:, 0], slope, rtol=1e-7, atol=1e-7)

    def network(x_t, t, y):
        return exact_eps(x_t, t, TWO if y is None else TWO.of_class(y), linear)

    guided = guide_without_classifier(network, 1, None, s=s)(X, t)
    np.testing.assert_allclose(guided, -math.sqrt(linear.at(t).one_minus_alpha_bar) * score, rtol=1e-11, atol=1e-12)


def data(s):
    x = GRID[:, None]
    density = tilted_log_density(x, 0, 1, TWO, SCHEDULE, s)
    return x, on_a_grid(density, GRID)[0]


@pytest.fixture(autouse=True)
def _schedule(linear):
    global SCHEDULE
    SCHEDULE = linear


@pytest.mark.checks("tilted.noisy_score")
@pytest.mark.parametrize("t", [50, 400, 900])
def test_the_noisy_score_of_the_grid_is_the_oracle_s_where_both_are_known(linear, t):
    """s = 1: the tilted data are the class itself, a single Gaussian. The sum over a fine grid is exact to rounding."""
    x_0, p = data(1.0)
    np.testing.assert_allclose(noisy_score(X, t, x_0, p, linear), exact_score(X, t, TWO.of_class(1), linear), rtol=1e-9)


@pytest.mark.checks("tilted.noisy_score", "tilted.score")
def test_guidance_follows_another_score_than_that_of_the_tilted_data(linear):
    """They agree at s = 1, and at t near 0; in between, for s = 3, guidance pulls far harder."""
    x_0, p = data(3.0)
    near = np.abs(noisy_score(X, 1, x_0, p, linear) - tilted_score(X, 1, 1, TWO, linear, 3.0)).max()
    middle = np.abs(noisy_score(X, 400, x_0, p, linear) - tilted_score(X, 400, 1, TWO, linear, 3.0)).max()
    assert near < 0.02 and middle > 0.3


def samples(s, first=1, last=1000):
    def network(x_t, t, y):
        return exact_eps(x_t, t, TWO if y is None else TWO.of_class(y), SCHEDULE)

    eps_theta = guide_in_interval(network, 1, None, s, first, last)
    x = np.linspace(-7, 7, 28001)
    normal = on_a_grid(-0.5 * x**2, x)[0]
    x_T = grid_quantiles(U, x, normal)[:, None]
    *_, last_step = heun_steps(eps_theta, x_T, SCHEDULE, steps=log_snr_times(SCHEDULE, 120))
    return last_step.x_prev[:, 0]


def test_guidance_does_not_sample_the_tilted_density():
    """s = 1 does, to the solver's error. s = 3 ends beyond it: 0.28 away on average, where the density is 0.33 wide."""
    x_0, p = data(1.0)
    right = wasserstein_1(samples(1.0), x_0[:, 0], p)
    x_0, p = data(3.0)
    wrong = wasserstein_1(samples(3.0), x_0[:, 0], p)
    assert right < 2e-3 and wrong == pytest.approx(0.282, abs=0.002)


def test_in_an_interval_it_comes_near():
    """Guided only at t = 200..300: 0.013 away instead of 0.28. Where all is noise, guidance does the harm."""
    x_0, p = data(3.0)
    inside, high = (wasserstein_1(samples(3.0, *interval), x_0[:, 0], p) for interval in ((200, 300), (500, 1000)))
    assert inside == pytest.approx(0.013, abs=0.002) and high > 3 * inside


@pytest.mark.checks("tilted.interval")
def test_in_an_interval_guidance_is_on_and_outside_it_is_the_class():
    assert [t for t in range(1, 1001) if interval_strength(t, 3.0, 100, 300) == 3] == list(range(100, 301))
    assert {interval_strength(t, 3.0, 100, 300) for t in (1, 99, 301, 1000)} == {1}
    asked = []

    def network(x_t, t, y):
        asked.append(y)
        return x_t + (y == "cat")

    eps_theta = guide_in_interval(network, "cat", "anything", np.float32(3), 100, 300)
    assert eps_theta(X, np.full(4, 300))[1, 0] == 3 and asked == ["cat", "anything"]
    assert eps_theta(X, np.full(4, 301))[1, 0] == 1 and asked[2:] == ["cat"]
    with pytest.raises(ValueError, match="interval_strength: first must be <= last, got first = 7, last = 3"):
        interval_strength(5, 2.0, 7, 3)


def test_a_grid_has_quantiles_and_a_distance():
    p, left = on_a_grid(-0.5 * GRID**2, GRID)
    assert p.sum() == pytest.approx(1) and left[4000] == pytest.approx(0.5)
    q = grid_quantiles(np.array([0.5, 0.975]), GRID, p)
    np.testing.assert_allclose(q, [0, 1.96], atol=1e-2)
    moved = grid_quantiles(U, GRID, p) + 0.3
    assert wasserstein_1(moved[::-1], GRID, p) == pytest.approx(0.3, rel=1e-9)


@pytest.mark.parametrize("t", [1, 400, 1000])
def test_guidance_away_from_a_worse_network_is_exact_for_gaussians(linear, t):
    """Both scores are lines through 0, and so is the guided one: of the Gaussian with precision s p - (s - 1) p_worse."""
    s, good, worse = 1.5, GaussianMixture([1], [[0.0]], 0.4), GaussianMixture([1], [[0.0]], 0.7)
    guided = guide_by_worse(good.eps_theta(linear), worse.eps_theta(linear), s)(X, np.full(len(X), t))
    now = linear.at(t)
    precision = [1 / (now.alpha_bar * std**2 + now.one_minus_alpha_bar) for std in (0.4, 0.7)]
    exact = math.sqrt(now.one_minus_alpha_bar) * (s * precision[0] - (s - 1) * precision[1]) * X
    np.testing.assert_allclose(guided, exact, rtol=1e-12, atol=1e-14)


def test_guidance_of_strength_1_asks_one_network(linear):
    def network(x_t, t):
        return x_t

    assert guide_by_worse(network, None, 1.0) is network
