import math
from statistics import NormalDist

import numpy as np
import pytest

from minidiff.diffusion import guidance, oracle
from minidiff.diffusion.ddim import ddim_sample
from minidiff.diffusion.ddpm import ddpm_sample, ddpm_steps
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.reverse import mu_theta
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor

MIXTURE = GaussianMixture([0.9, 0.1], [[-0.8, 0.2], [0.8, 0.4]], [0.05, 0.2])


def gradient_for(y, mixture, schedule):
    return lambda x_t, t: oracle.classifier_gradient(x_t, t, y, mixture, schedule)


@pytest.mark.checks("guidance.classifier_eps", "oracle.classifier_gradient")
def test_with_the_exact_classifier_and_s_1_it_is_the_exact_noise_of_the_class(linear, rng):
    x_t = rng.normal((3, 2), dtype=np.float64)
    for t in (1, 500, 1000, np.array([2, 300, 900])):
        guided = guidance.guide_with_classifier(MIXTURE.eps_theta(linear), gradient_for(1, MIXTURE, linear), linear)
        np.testing.assert_allclose(guided(x_t, t), MIXTURE.eps_theta(linear, y=1)(x_t, t), rtol=1e-12, atol=1e-12)


@pytest.mark.checks("guidance.classifier_mean")
def test_the_shifted_mean_is_mu_theta_of_the_guided_noise_when_sigma_squared_is_beta(linear, rng):
    """mu(eps - sqrt(1 - abar) s g) = mu + beta s g / sqrt(alpha): Algorithms 1 and 2 agree up to sqrt(alpha_t)."""
    x_t, eps, g = (rng.normal((3, 2), dtype=np.float64) for _ in range(3))
    for t in (1, 500, 1000):
        by_noise = mu_theta(x_t, t, guidance.classifier_eps(eps, t, g, linear, s=2.5), linear)
        by_mean = guidance.classifier_mean(mu_theta(x_t, t, eps, linear), linear.at(t).beta, g / math.sqrt(linear.at(t).alpha), s=2.5)
        np.testing.assert_allclose(by_mean, by_noise, rtol=1e-12, atol=1e-12)


@pytest.mark.checks("guidance.classifier_eps")
@pytest.mark.parametrize("s", [0.0, 1.0, 4.0])
def test_where_theory_says_so_guidance_gives_the_tilted_density_for_every_s(linear, s):
    """x_0 ~ N(m, v) and p(y | x_0) ~ exp(a x_0): p(y | x_t) is again log-linear, so guidance is exact: x_0 ~ N(m + s a v, v)."""
    m, v, a = 0.3, 0.25, 1.5
    data = GaussianMixture([1.0], [[m]], math.sqrt(v))
    tilted = GaussianMixture([1.0], [[m + s * a * v]], math.sqrt(v))

    def gradient(x_t, t):
        alpha_bar = linear.at(t, like=x_t).alpha_bar
        return a * np.sqrt(alpha_bar) * v / (alpha_bar * v + 1 - alpha_bar) + 0 * x_t

    guided = guidance.guide_with_classifier(data.eps_theta(linear), gradient, linear, s)
    x_t = np.linspace(-3, 3, 7)[:, None]
    for t in (1, 10, 500, 1000):
        t = np.full(7, t)
        np.testing.assert_allclose(guided(x_t, t), tilted.eps_theta(linear)(x_t, t), rtol=1e-12, atol=1e-12)


def test_where_it_does_not_guided_samples_miss_the_tilted_density(linear):
    """Two classes N(+-1, 0.5^2), s = 4: p(x) p(y|x)^4 has mean 1.062; guidance ends at 1.671, far outside the class.

    Not the sampler's fault: the same sampler with the exact noise of the tilted density itself ends at 1.062. Noising
    and tilting do not commute: p(y | x_t)^s is not the noisy version of p(y | x_0)^s unless s = 1 (or 0).
    DDIM in one dimension keeps the order of points, so 400 quantiles of x_T become 400 quantiles of x_0: no sampling error.
    """
    mixture = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 0.5)
    x_T = np.array([[NormalDist().inv_cdf((i + 0.5) / 400)] for i in range(400)])
    grid = np.linspace(-5, 6, 1101)[:, None]

    def tilted(s):
        p = np.exp(mixture.log_prob(grid) + s * oracle.log_classifier(grid, 0, 1, mixture, linear))
        return p / p.sum()

    def guided(s):
        eps_theta = guidance.guide_with_classifier(mixture.eps_theta(linear), gradient_for(1, mixture, linear), linear, s)
        return ddim_sample(eps_theta, x_T, linear, steps=100).mean()

    p = tilted(4)
    assert (p * grid[:, 0]).sum() == pytest.approx(1.062, abs=0.001)
    assert guided(4) == pytest.approx(1.671, abs=0.01)
    kept = p > 1e-9
    exact = GaussianMixture(p[kept], grid[kept], 0.01).eps_theta(linear)
    assert ddim_sample(exact, x_T[::4], linear, steps=100).mean() == pytest.approx(1.062, abs=0.02)
    assert guided(1) == pytest.approx((tilted(1) * grid[:, 0]).sum(), abs=0.01)


def test_algorithm_1_moves_the_samples_to_the_class():
    """T = 250, 0.9 / 0.1 mixture, wanted: the rare class, s = 1. At least 97 % of DDPM's samples are there, with its mean and width."""
    schedule = make_schedule("linear", 250)
    guide = guidance.shift_mean(gradient_for(1, MIXTURE, schedule), s=1.0)
    x_0 = ddpm_sample(MIXTURE.eps_theta(schedule), RNG(100).normal((1500, 2), np.float64), schedule, RNG(0), variance="beta", guide=guide)
    there = x_0[:, 0] > 0
    assert there.mean() > 0.97
    np.testing.assert_allclose(x_0[there].mean(axis=0), [0.8, 0.4], atol=0.02)
    np.testing.assert_allclose(x_0[there].std(axis=0), 0.2, rtol=0.08)


def test_the_guide_is_called_with_the_step_s_own_variance(linear):
    seen = []
    steps = ddpm_steps(
        lambda x, t: 0 * x, (1, 1), linear, RNG(0), variance="beta", guide=lambda mu, variance, x_t, t: seen.append((variance, t[0])) or mu
    )
    next(steps)
    assert seen == [(linear.at(1000).beta, 1000)]


@pytest.mark.checks("guidance.classifier_free_w", "guidance.classifier_free_s")
def test_the_two_conventions_agree_at_s_1_plus_w_and_are_affine(rng):
    eps_y, eps_uncond = rng.normal((3, 4), dtype=np.float64), rng.normal((3, 4), dtype=np.float64)
    np.testing.assert_array_equal(guidance.classifier_free_w(eps_y, eps_uncond, 0.0), eps_y)
    np.testing.assert_allclose(guidance.classifier_free_w(eps_y, eps_uncond, -1.0), eps_uncond, rtol=1e-12)
    np.testing.assert_allclose(guidance.classifier_free_s(eps_y, eps_uncond, 1.0), eps_y, rtol=1e-12)
    np.testing.assert_array_equal(guidance.classifier_free_s(eps_y, eps_uncond, 0.0), eps_uncond)
    for w in (0.5, 6.5):
        by_w, by_s = guidance.classifier_free_w(eps_y, eps_uncond, w), guidance.classifier_free_s(eps_y, eps_uncond, 1 + w)
        np.testing.assert_allclose(by_w, by_s, rtol=1e-12, atol=1e-12)


@pytest.mark.checks("guidance.classifier_free_s", "guidance.classifier_free_w")
def test_classifier_free_is_classifier_guidance_with_the_implied_classifier(linear, rng):
    """eps_y - eps is -sqrt(1 - abar) grad log p(y | x_t) for exact predictors, so both kinds agree for every s."""
    x_t = rng.normal((3, 2), dtype=np.float64)

    def network(x, t, y):
        return MIXTURE.eps_theta(linear, y)(x, t)

    with_classifier = guidance.guide_with_classifier(MIXTURE.eps_theta(linear), gradient_for(1, MIXTURE, linear), linear, 3.0)
    t = np.array([2, 500, 1000])
    for strength in ({"s": 3.0}, {"w": 2.0}):
        without = guidance.guide_without_classifier(network, 1, None, **strength)
        np.testing.assert_allclose(without(x_t, t), with_classifier(x_t, t), rtol=1e-10, atol=1e-10)
    for wrong in ({}, {"s": 1.0, "w": 0.0}):
        with pytest.raises(ValueError, match="give the strength as s or as w = s - 1, one of them"):
            guidance.guide_without_classifier(network, 1, None, **wrong)


@pytest.mark.checks("guidance.drop_condition")
def test_labels_are_dropped_at_the_given_rate_and_otherwise_kept():
    """40,000 labels, p = 0.1: the count within 5 standard errors. A wrong comparison would drop 0.9 of them."""
    y = np.arange(40_000) % 10
    dropped = guidance.drop_condition(y, 10, 0.1, RNG(0))
    where = dropped == 10
    assert abs(where.sum() - 4000) < 5 * math.sqrt(3600)
    np.testing.assert_array_equal(dropped[~where], y[~where])
    np.testing.assert_array_equal(guidance.drop_condition(y, 10, 0.0, RNG(0)), y)


def test_captions_are_dropped_whole():
    words, null = np.arange(12_000).reshape(4000, 3), np.array([-1, -2, -3])
    dropped = guidance.drop_condition(words, null, 0.25, RNG(0))
    gone = (dropped == null).all(axis=1)
    assert abs(gone.sum() - 1000) < 5 * math.sqrt(750)
    np.testing.assert_array_equal(dropped[~gone], words[~gone])


def test_the_gradient_of_a_trained_classifier_comes_from_autograd():
    """log p = log softmax of (x w): its gradient is w_y - sum_k p_k w_k."""
    w = np.array([[0.5, -1.0], [2.0, 0.3]], np.float32)
    x = np.array([[0.2, 0.4], [-1.0, 0.7], [0.0, 0.0]], np.float32)
    y = np.array([0, 1, 1])

    def log_p(x_t, t):
        logits = x_t @ Tensor(w)
        return logits - logits.exp().sum(axis=1, keepdims=True).log()

    p = np.exp(x @ w) / np.exp(x @ w).sum(axis=1, keepdims=True)
    expected = w.T[y] - p @ w.T
    np.testing.assert_allclose(guidance.gradient_of_classifier(log_p, y)(x, None), expected, rtol=1e-5, atol=1e-6)


def test_a_classifier_guides_ddim_which_records_nothing_itself(linear):
    """One Gaussian, log p = log sigmoid(2 x): DDIM with autograd's gradient goes where the closed form's, 2 sigmoid(-2 x), does."""
    data, y = GaussianMixture([1.0], [[0.0]], 1.0), np.ones(5, int)
    w = Tensor(np.array([[0.0, 2.0]]), requires_grad=True, dtype=np.float64)

    def log_p(x_t, t):
        logits = x_t @ w
        return logits - logits.exp().sum(axis=1, keepdims=True).log()

    x_T = np.linspace(-2, 2, 5)[:, None]
    ends = []
    for gradient in (guidance.gradient_of_classifier(log_p, y), lambda x_t, t: 2 / (1 + np.exp(2 * x_t))):
        guided = guidance.guide_with_classifier(data.eps_theta(linear), gradient, linear, s=1.0)
        ends.append(ddim_sample(guided, x_T, linear, steps=10))
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-10)
    assert ends[0].mean() > 1  # unguided, each ends where it began: at 0 on average
    assert w.grad is None


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_classifier_needs_one_class_per_image(n):
    """A short y used to guide the first images only."""
    gradient = guidance.gradient_of_classifier(lambda x_t, t: x_t.log(), np.zeros(n, int))
    with pytest.raises(ValueError, match=rf"y must be one class per image, \(3,\), got \({n},\)"):
        gradient(np.ones((3, 2)), None)
