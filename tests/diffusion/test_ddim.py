import math

import numpy as np
import pytest

from minidiff.diffusion import ddim
from minidiff.diffusion.ddim import ddim_sample, ddim_steps, make_tau
from minidiff.diffusion.ddpm import ddpm_steps
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.gaussian import log_density
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.reverse import mu_theta, p_step
from minidiff.diffusion.schedule import make_schedule
from minidiff.diffusion.targets import eps_from_v, v_target, x_0_from_eps
from minidiff.engine.random import RNG


def step_from_parts(x_0_hat, eps_hat, t_prev, sigma_t, z, schedule):
    """DDIM's step with its direction made from eps_hat, as the sampler does."""
    direction = ddim.ddim_direction(eps_hat, t_prev, sigma_t, schedule)
    return ddim.ddim_step(x_0_hat, direction, t_prev, sigma_t, z, schedule)


def half(x_t, t):
    return 0.5 * x_t


@pytest.mark.checks("ddim.tau")
@pytest.mark.parametrize("T", [10, 50, 100, 300, 1000])
def test_every_number_of_steps_gives_that_many_times_from_T_down_to_1(T):
    for spacing in ("uniform", "quadratic"):
        for S in range(1, T + 1):
            tau = make_tau(T, S, spacing)
            assert len(tau) == S and tau[-1] == T and (S == 1 or tau[0] == 1) and np.all(np.diff(tau) > 0)
        assert make_tau(T, T, spacing).tolist() == list(range(1, T + 1))


@pytest.mark.checks("ddim.tau")
def test_tau_is_the_rounded_line_or_parabola():
    np.testing.assert_array_equal(make_tau(1000, 5), [1, 251, 501, 750, 1000])
    exact = 1 + 999 * (np.arange(12) / 11) ** 2
    assert np.abs(make_tau(1000, 12, "quadratic") - exact).max() <= 0.5
    exact = 1 + 999 * np.arange(12) / 11
    assert np.abs(make_tau(1000, 12) - exact).max() <= 0.5


@pytest.mark.parametrize("T", [10, 50, 100])
def test_the_sampler_takes_exactly_S_steps_from_T_to_the_data(T):
    schedule = make_schedule("linear", T)
    for S in range(1, T + 1, max(1, T // 13)):
        steps = list(ddim_steps(half, (1, 1), schedule, RNG(0), steps=S))
        assert len(steps) == S and steps[0].t == T and steps[-1].t_prev == 0
        assert all(a.t_prev == b.t for a, b in zip(steps, steps[1:], strict=False))
        np.testing.assert_array_equal(steps[-1].x_prev, steps[-1].x_0_hat)


@pytest.mark.checks("ddim.sigma")
def test_sigma_at_eta_1_is_the_posterior_of_the_jump(linear):
    """Precisions add, for a jump as for a step: 1/sigma^2 = alpha/beta + 1/(1 - alpha_bar_prev) with the alpha of the jump."""
    for t, t_prev in ((2, 1), (500, 499), (1000, 900), (300, 7)):
        alpha = linear.at(t).alpha_bar / linear.at(t_prev).alpha_bar
        precision = alpha / (1 - alpha) + 1 / linear.at(t_prev).one_minus_alpha_bar
        assert ddim.ddim_sigma(t, t_prev, linear, eta=1.0) ** 2 == pytest.approx(1 / precision, rel=1e-11)
        assert ddim.ddim_sigma(t, t_prev, linear, eta=0.3) == pytest.approx(0.3 * math.sqrt(1 / precision), rel=1e-11)
    assert ddim.ddim_sigma(1, 0, linear, eta=1.0) == 0
    assert ddim.ddim_sigma(500, 499, linear, eta=1.0) ** 2 == pytest.approx(linear.at(500).beta_tilde, rel=1e-12)
    with pytest.raises(ValueError, match=r"eta must be in \[0, 1\] .* got 1.5"):
        ddim.ddim_sigma(2, 1, linear, eta=1.5)


@pytest.mark.checks("ddim.sigma_hat")
def test_sigma_hat_makes_the_noise_of_ddpm_with_beta(linear, images):
    """mu_theta is the eta = 1 step without its noise, whatever noise is added: so with sigma_hat the step is DDPM's with beta."""
    x_t, z, eps_hat = images[0], images[2], 0.3 * images[2]
    for t in (2, 500, 1000):
        sigma, sigma_hat = ddim.ddim_sigma(t, t - 1, linear, 1.0), ddim.ddim_sigma_hat(t, t - 1, linear)
        without_noise = step_from_parts(x_0_from_eps(x_t, t, eps_hat, linear), eps_hat, t - 1, sigma, 0 * z, linear)
        expected = p_step(mu_theta(x_t, t, eps_hat, linear), math.sqrt(linear.at(t).beta), z)
        np.testing.assert_allclose(without_noise + sigma_hat * z, expected, rtol=1e-12, atol=1e-12)
    assert ddim.ddim_sigma_hat(900, 100, linear) ** 2 == pytest.approx(1 - linear.at(900).alpha_bar / linear.at(100).alpha_bar, rel=1e-12)


@pytest.mark.checks("ddim.step", "ddim.direction")
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_the_step_keeps_the_marginal_of_the_forward_process(linear, eta):
    """From x_t = sqrt(abar) x_0 + sqrt(1 - abar) eps with the true eps: mean sqrt(abar_prev) x_0, variance 1 - abar_prev, for any eta."""
    x_0, one, zero = (np.full((1, 1), v) for v in (0.6, 1.0, 0.0))
    for t, t_prev in ((1000, 999), (1000, 300), (37, 2), (2, 1), (5, 0)):
        sigma = ddim.ddim_sigma(t, t_prev, linear, eta)
        mean = step_from_parts(x_0, zero, t_prev, sigma, zero, linear).item()
        from_eps = step_from_parts(zero, one, t_prev, sigma, zero, linear).item()
        from_z = step_from_parts(zero, zero, t_prev, sigma, one, linear).item()
        assert mean == pytest.approx(0.6 * math.sqrt(linear.at(t_prev, first=0).alpha_bar), rel=1e-12)
        assert from_eps**2 + from_z**2 == pytest.approx(1 - linear.at(t_prev, first=0).alpha_bar, abs=1e-12)
        assert from_z == pytest.approx(sigma, rel=1e-12)
        assert ddim.ddim_direction(one, t_prev, sigma, linear).item() == pytest.approx(from_eps, rel=1e-12)


@pytest.mark.checks("ddim.sigma", "ddim.direction", "ddim.step", "reverse.sigma_squared")
def test_eta_1_on_the_full_chain_is_ddpm_with_beta_tilde(linear):
    """One trajectory of 1000 steps, the same noise in both: to 1e-12 of the largest x (erratum 29)."""
    mixture = GaussianMixture([0.5, 0.5], [[-0.8, 0.2], [0.8, 0.1]], 0.05)
    eps_theta = mixture.eps_theta(linear)
    ddpm = ddpm_steps(eps_theta, RNG(100).normal((4, 2), np.float64), linear, RNG(0), variance="beta_tilde")
    for ours in ddpm:
        t = ours.t
        sigma = ddim.ddim_sigma(t, t - 1, linear, eta=1.0)
        theirs = step_from_parts(ours.x_0_hat, ours.eps_hat, t - 1, sigma, ours.z, linear)
        np.testing.assert_allclose(theirs, ours.x_prev, rtol=1e-12, atol=1e-12)
    from_ddpm = list(ddpm_steps(eps_theta, RNG(100).normal((4, 2), np.float64), linear, RNG(5), variance="beta_tilde"))[-1].x_prev
    from_ddim = ddim_sample(eps_theta, RNG(100).normal((4, 2), np.float64), linear, RNG(5), eta=1.0)
    np.testing.assert_allclose(from_ddim, from_ddpm, rtol=0, atol=1e-12)


def test_sigma_squared_beta_is_outside_the_family_at_t_1_and_2(linear):
    one = np.ones((1, 1))
    for t in (1, 2):
        with pytest.raises(ValueError, match=rf"sigma_t\^2 must be <= 1 - alpha_bar at t_prev = {t - 1}"):
            ddim.ddim_direction(one, t - 1, math.sqrt(linear.at(t).beta), linear)
    ddim.ddim_direction(one, 2, math.sqrt(linear.at(3).beta), linear)


def test_eta_0_is_deterministic_and_needs_no_rng(linear):
    x_T = RNG(0).normal((2, 3))
    first = ddim_sample(half, x_T, linear, steps=10)
    np.testing.assert_array_equal(first, ddim_sample(half, x_T, linear, RNG(9), steps=10))
    assert first.dtype == np.float32
    with pytest.raises(ValueError, match=r"to draw x_T of shape \(2, 3\), give an rng"):
        list(ddim_steps(half, (2, 3), linear))
    with pytest.raises(ValueError, match="rng may be left out only if eta = 0, got eta = 0.5"):
        list(ddim_steps(half, x_T, linear, eta=0.5))


def test_one_gaussian_is_carried_along_the_exact_flow(linear):
    """For x_0 ~ N(m, s^2) the ODE keeps (x - mean) / std; DDIM's width after S steps tends to s = 0.05 from below, as 1/S."""
    eps_theta = GaussianMixture([1.0], [[0.3]], 0.05).eps_theta(linear)
    z = np.array([[-1.0], [1.0]])
    start = math.sqrt(linear.at(1000).alpha_bar) * 0.3 + math.sqrt(linear.at(1000).alpha_bar * 0.0025 + linear.at(1000).one_minus_alpha_bar) * z
    widths = []
    for tau in ([20 * i for i in range(1, 51)], [10 * i for i in range(1, 101)], list(range(1, 1001))):
        x_0 = ddim_sample(eps_theta, start, linear, steps=tau)
        assert x_0.mean() == pytest.approx(0.3, abs=1e-12)
        widths.append((x_0[1, 0] - x_0[0, 0]) / 2)
    assert widths == pytest.approx([0.02644, 0.03560, 0.04796], abs=1e-5)


def test_few_steps_lose_variance_even_with_a_perfect_network(linear):
    """The errata's figures, times T/S, 2T/S, ..., T: widths .029 (S = 50) and .037 (100); 99.3 % near a mode at S = 20, 100 % at 50."""
    eps_theta = GaussianMixture([0.5, 0.5], [[-0.8], [0.8]], 0.05).eps_theta(linear)
    found = {}
    for S in (10, 20, 50, 100):
        tau = [(i + 1) * 1000 // S for i in range(S)]
        x_0 = np.abs(ddim_sample(eps_theta, RNG(100).normal((8000, 1), np.float64), linear, RNG(0), steps=tau))
        near = np.abs(x_0 - 0.8) < 0.15
        found[S] = near.mean(), x_0[near].std()
    assert found[10][0] == pytest.approx(0.88, abs=0.015)
    assert found[20][0] == pytest.approx(0.993, abs=0.003)
    assert found[50][0] > 0.999
    assert found[50][1] == pytest.approx(0.029, abs=0.001)
    assert found[100][1] == pytest.approx(0.037, abs=0.001)


def test_wrong_times_are_named(linear):
    with pytest.raises(ValueError, match=r"number of steps S must be in 1\.\.T = 1\.\.1000, got 1001"):
        list(ddim_steps(half, (1, 1), linear, RNG(0), steps=1001))
    for wrong in (3.0, True):
        with pytest.raises(ValueError, match=rf"number of steps S must be in 1\.\.T = 1\.\.1000, got {wrong}"):
            list(ddim_steps(half, (1, 1), linear, RNG(0), steps=wrong))
    with pytest.raises(ValueError, match=r"number of steps S must be in 1\.\.T = 1\.\.1000, got 0"):
        list(ddim_steps(half, (1, 1), linear, RNG(0), steps=0))
    with pytest.raises(ValueError, match="spacing must be one of uniform, quadratic, got 'cubic'"):
        make_tau(10, 3, "cubic")
    with pytest.raises(ValueError, match=r"the times must increase, got \[5, 3\]"):
        list(ddim_steps(half, (1, 1), linear, RNG(0), steps=[5, 3]))


@pytest.mark.checks("ddim.step")
def test_the_deterministic_step_is_q_sample_at_the_earlier_time(linear, images):
    """Without noise, x_prev is what the forward jump makes of x_0_hat and eps_hat at t_prev."""
    x_0_hat, _, eps_hat = images
    for t_prev in (1, 400, 999):
        expected = q_sample(x_0_hat, t_prev, eps_hat, linear)
        np.testing.assert_allclose(step_from_parts(x_0_hat, eps_hat, t_prev, 0.0, 0 * eps_hat, linear), expected, rtol=1e-12)


@pytest.mark.checks("ddim.sigma", "ddim.direction")
def test_q_sigma_by_bayes_has_a_density_for_every_eta(linear):
    """eta = 1: the step's mean given x_t and x_0 is mu_theta with the true eps, so its density is DDPM's posterior."""
    x_0, eps = np.full((1, 1), 0.4), np.full((1, 1), -0.7)
    for t in (2, 500, 1000):
        x_t = q_sample(x_0, t, eps, linear)
        sigma = ddim.ddim_sigma(t, t - 1, linear, 1.0)
        mean = step_from_parts(x_0, eps, t - 1, sigma, 0 * eps, linear)
        expected = log_density(x_0, mu_theta(x_t, t, eps, linear), linear.at(t).beta_tilde)
        np.testing.assert_allclose(log_density(x_0, mean, sigma**2), expected, rtol=1e-9)


def test_a_small_error_of_eps_spoils_deterministic_samples_that_nothing_clips():
    """Cosine, 50 steps, eta = 0, a predictor that is 1 % off: 72 or 51 % near a mode. With a clip, noise, or an error of v: all."""
    schedule, mixture = make_schedule("cosine", 1000), GaussianMixture([0.5, 0.5], [[-0.8], [0.8]], 0.05)
    exact = mixture.eps_theta(schedule)

    def off(x_t, t):
        return 1.01 * exact(x_t, t)

    def off_below(x_t, t):
        return 0.99 * exact(x_t, t)

    def v_off(x_t, t):
        eps = exact(x_t, t)
        v = v_target(x_0_from_eps(x_t, t, eps, schedule), t, eps, schedule)
        return eps_from_v(x_t, t, 1.01 * v, schedule)

    x_T = RNG(0).normal((1000, 1), dtype=np.float64)

    def near(eps_theta, **options):
        x_0 = ddim_sample(eps_theta, x_T, schedule, RNG(1), steps=50, **options)
        return (np.abs(np.abs(x_0) - 0.8) < 0.2).mean()

    assert near(exact) == 1
    assert near(off) == pytest.approx(0.72, abs=0.03) and near(off_below) == pytest.approx(0.51, abs=0.03)
    assert near(off, clip=1.0) == near(off, eta=1.0) == near(v_off) == 1
