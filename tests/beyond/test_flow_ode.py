import math

import numpy as np
import pytest

from minidiff.beyond.exact_flow import flow_map
from minidiff.beyond.flow_ode import (
    clock,
    drift,
    drift_divergence,
    edm_sigma,
    euler_step,
    likelihood_steps,
    log_likelihood,
    sde_step,
)
from minidiff.beyond.schedules import zero_terminal
from minidiff.diffusion import make_schedule
from minidiff.diffusion.ddim import ddim_steps
from minidiff.diffusion.forward import q_step
from minidiff.diffusion.oracle import GaussianMixture, exact_score, log_marginal
from minidiff.engine.random import RNG

LINE = GaussianMixture([0.3, 0.7], [[-0.8], [0.6]], [0.15, 0.25])
PLANE = GaussianMixture([0.4, 0.6], [[-0.8, 0.1], [0.5, 0.3]], [0.3, 0.4])
X = np.array([[-0.9], [0.0], [0.7], [1.5]])


def density(x, abar):
    """q of LINE at signal alpha_bar, written out; x may be complex."""
    total = 0
    for w, m, s in zip(LINE.weights, LINE.means[:, 0], LINE.stds, strict=True):
        variance = abar * s**2 + 1 - abar
        total += w * np.exp(-((x - math.sqrt(abar) * m) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    return total


def share_left(x, abar):
    return sum(
        w * 0.5 * math.erfc(-(x - math.sqrt(abar) * m) / math.sqrt(2 * (abar * s**2 + 1 - abar)))
        for w, m, s in zip(LINE.weights, LINE.means[:, 0], LINE.stds, strict=True)
    )


@pytest.mark.checks("ode.drift")
@pytest.mark.parametrize("t", [100, 500, 900])
def test_the_drift_keeps_the_share_of_probability_to_the_left(linear, t):
    """dF_B(x(B))/dB = 0 along the path: x' = -(dF/dB) / q, with dF/dB by central differences of F in the clock."""
    B, h = -math.log(linear.at(t).alpha_bar), 1e-4
    found = drift(X, exact_score(X, t, LINE, linear))[:, 0]
    for x, velocity in zip(X[:, 0], found, strict=True):
        F = [share_left(x, math.exp(-(B + k * h))) for k in (-2, -1, 1, 2)]
        change = (F[0] - 8 * F[1] + 8 * F[2] - F[3]) / (12 * h)
        assert velocity == pytest.approx(-change / density(x, math.exp(-B)), rel=1e-7, abs=1e-9)


@pytest.mark.checks("ode.drift", "ode.clock")
def test_the_exact_map_moves_with_the_drift(linear):
    """From t - 1 to t + 1 on a fine table: the difference over that of the clock, at order 2."""
    errors = []
    for T in (2000, 4000):
        schedule = make_schedule("linear", T)
        t = T // 2
        before, after = (flow_map(X, t, t + k, LINE, schedule) for k in (-1, 1))
        slope = (after - before) / (clock(t + 1, schedule) - clock(t - 1, schedule))
        errors.append(np.abs(slope - drift(X, exact_score(X, t, LINE, schedule))).max())
    assert errors[0] < 1e-4 and errors[0] / errors[1] == pytest.approx(4, rel=0.1)


@pytest.mark.checks("ode.clock")
def test_the_clock_is_the_integral_of_beta(linear):
    B = [clock(t, linear) for t in range(1001)]
    np.testing.assert_allclose(np.diff(B), -np.log1p(-linear.tables["beta"][1:]), rtol=1e-10)
    assert B[0] == 0 and clock(1000, linear) == pytest.approx(10.1, abs=0.1)
    with pytest.raises(ValueError, match="alpha_bar_t = 0 at t = 50 is infinitely far from the data; end at an earlier t"):
        clock(50, zero_terminal(make_schedule("linear", 50)))


@pytest.mark.checks("ode.sde_step")
def test_an_euler_step_of_the_sde_is_the_forward_step_to_the_first_order(linear):
    """sqrt(1 - beta) = 1 - beta/2 - beta^2/8 - ...: the noise is the same, the signal differs by the third term."""
    x, z = np.array([[0.9, -0.4]]), np.array([[0.3, 1.1]])
    for t in (10, 500, 1000):
        beta = linear.at(t).beta
        difference = sde_step(x, t, z, linear) - q_step(x, t, z, linear)
        np.testing.assert_allclose(difference, (beta**2 / 8 + beta**3 / 16) * x, rtol=2 * beta**2, atol=1e-16)


@pytest.mark.checks("ode.euler_step", "ode.edm_sigma")
@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_ddim_is_an_euler_step_in_x_bar_and_sigma(name):
    """eta = 0: every step of the sampler is the Euler step, to rounding."""
    schedule = make_schedule(name, 1000)
    for step in ddim_steps(LINE.eps_theta(schedule), RNG(0).normal((50, 1), np.float64), schedule, steps=[1, 40, 300, 301, 900, 990]):
        euler = euler_step(step.x_t, step.eps_hat, step.t, step.t_prev, schedule)
        np.testing.assert_allclose(euler, step.x_prev, rtol=1e-12, atol=1e-12)


@pytest.mark.checks("ode.edm_sigma")
def test_sigma_is_the_noise_over_the_signal(linear):
    assert edm_sigma(0, linear) == 0
    assert edm_sigma(1000, linear) == pytest.approx(linear.check().amplification, rel=1e-12)
    assert edm_sigma(300, linear) ** -2 == pytest.approx(linear.snr(300), rel=1e-12)


@pytest.mark.checks("ode.divergence")
@pytest.mark.parametrize("t", [0, 5, 500])
def test_the_divergence_is_the_trace_of_the_drift_s_derivatives(linear, t):
    x, h = np.array([[-0.7, 0.2], [0.6, 0.3], [0.1, -0.5]]), 1e-4
    trace = 0
    for d in range(2):
        shift = h * np.eye(2)[d]
        values = [drift(x + k * shift, exact_score(x + k * shift, t, PLANE, linear))[:, d] for k in (-2, -1, 1, 2)]
        trace = trace + (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
    np.testing.assert_allclose(drift_divergence(x, t, PLANE, linear), trace, rtol=1e-8, atol=1e-8)


def by_the_ode(mixture, x_0, schedule, steps):
    def score(x, t):
        return exact_score(x, t, mixture, schedule)

    def divergence(x, t):
        return drift_divergence(x, t, mixture, schedule)

    return list(likelihood_steps(score, divergence, x_0, schedule, steps=steps))[-1]


@pytest.mark.checks("ode.log_likelihood")
def test_the_prior_and_the_volume_make_the_likelihood():
    """Of one Gaussian, where x_T and the volume are known: log N(x_0; m, s^2) = log N(x_T; 0, 1) + log dx_T/dx_0."""
    x_0, m, s = np.array([[0.9], [-0.3]]), 0.4, 0.3
    x_T, log_volume = (x_0 - m) / s, np.full(2, -math.log(s))
    expected = -0.5 * (((x_0[:, 0] - m) / s) ** 2 + math.log(2 * math.pi * s**2))
    np.testing.assert_allclose(log_likelihood(x_T, log_volume), expected, rtol=1e-12)


@pytest.mark.checks("ode.log_likelihood", "ode.divergence", "ode.drift", "ode.clock")
@pytest.mark.parametrize(("mixture", "x_0"), [(LINE, X), (PLANE, np.array([[-0.7, 0.2], [0.6, 0.3], [1.4, -0.5]]))])
def test_the_likelihood_by_the_ode_is_the_oracle_s(mixture, x_0):
    """Order 2 in the steps; with the density of x_T for its prior the limit is log_prob, with N(0, I) it is near."""
    schedule, errors = make_schedule("linear", 4096), []
    for steps in (256, 512, 1024):
        last = by_the_ode(mixture, x_0, schedule, steps)
        found = last.log_volume + log_marginal(last.x_next, schedule.T, mixture, schedule)
        errors.append(np.abs(found - mixture.log_prob(x_0)).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 2, atol=0.15)
    assert errors[-1] < 3e-4
    np.testing.assert_allclose(last.log_p, mixture.log_prob(x_0), atol=0.03)
