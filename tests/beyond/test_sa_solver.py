"""SA-Solver: the order that its paper promises, the identities that it has with DDIM, and the law of its noise."""

import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss

from minidiff.beyond import (
    inner_times,
    log_snr_times,
    sa_solver,
    sa_steps,
    straight_schedule,
    zero_terminal,
)
from minidiff.beyond.exact_flow import flow_map
from minidiff.beyond.sa_solver import mean_weights, sa_step
from minidiff.beyond.solvers import dpm_pp_step, half_log_snr
from minidiff.diffusion import ddim_steps, make_schedule
from minidiff.diffusion.ddim import ddim_direction, ddim_sigma, ddim_step
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.engine.random import RNG

LINE = GaussianMixture([0.4, 0.6], [[-0.4], [0.4]], [0.3, 0.4])
FINE = make_schedule("linear", 20_000)
START = RNG(0).normal((200, 1), np.float64)
STEPS = [(1000, 700), (300, 299), (5, 0)]


@pytest.mark.checks("solver.sa_step")
@pytest.mark.parametrize("predictor", [1, 2])
def test_an_order_more_than_that_of_the_predictor(predictor, monkeypatch):
    """On the exact map: the corrector adds one, so that S calls leave an error of S^-3."""
    monkeypatch.setattr(sa_solver, "PREDICTOR", predictor)
    monkeypatch.setattr(sa_solver, "CORRECTOR", predictor + 1)
    exact = flow_map(START, FINE.T, 1, LINE, FINE)
    errors = []
    for S in (40, 80, 160):
        steps = sa_steps(LINE.eps_theta(FINE), START, FINE, steps=log_snr_times(FINE, S + 1))
        x_1 = next(step.x_prev for step in steps if step.t_prev == 1)
        errors.append(float(np.sqrt(((x_1 - exact) ** 2).mean())))
    errors = np.array(errors)
    np.testing.assert_allclose(np.log2(errors[:-1] / errors[1:]), predictor + 1, atol=0.15)


@pytest.mark.checks("solver.sa_step")
@pytest.mark.parametrize(("t", "t_prev"), STEPS)
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_a_single_point_keeps_its_exact_law(linear, t, t_prev, eta):
    """x_0 = D for sure: x_t = a D + b eps has mean a D and variance b^2 at every t, whatever the share of fresh noise."""
    zero, one = np.zeros((1, 1)), np.ones((1, 1))
    now, prev = linear.at(t), linear.at(t_prev, first=0)
    mean = sa_step(np.sqrt(now.alpha_bar) * 0.7 * one, 0.7 * one, zero, t, t_prev, linear, eta)
    kept, fresh = (sa_step(x, zero, z, t, t_prev, linear, eta) for x, z in ((one, zero), (zero, one)))
    assert mean[0, 0] == pytest.approx(np.sqrt(prev.alpha_bar) * 0.7, rel=1e-12)
    assert (kept**2 * now.one_minus_alpha_bar + fresh**2)[0, 0] == pytest.approx(prev.one_minus_alpha_bar, rel=1e-12, abs=1e-15)


@pytest.mark.checks("solver.sa_step")
@pytest.mark.parametrize(("t", "t_prev"), STEPS)
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_step_is_ddim_s_with_the_same_eta(linear, t, t_prev, eta):
    """For the ODE and for the SDE, not between: there the two share out the noise in different ways."""
    x_t, x_0_hat, z = RNG(1).normal((3, 4, 2), np.float64)
    now = linear.at(t)
    eps_hat = (x_t - np.sqrt(now.alpha_bar) * x_0_hat) / np.sqrt(now.one_minus_alpha_bar)
    sigma_t = ddim_sigma(t, t_prev, linear, eta)
    theirs = ddim_step(x_0_hat, ddim_direction(eps_hat, t_prev, sigma_t, linear), t_prev, sigma_t, z, linear)
    np.testing.assert_allclose(sa_step(x_t, x_0_hat, z, t, t_prev, linear, eta), theirs, rtol=1e-12, atol=1e-12)
    if eta == 0:
        np.testing.assert_allclose(dpm_pp_step(x_t, x_0_hat, t, t_prev, linear), theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("c", [1.0, 2.0])
@pytest.mark.parametrize("h", [0.05, 0.7, 6.6])
@pytest.mark.parametrize("nodes", [[0.0], [0.0, -0.6], [0.7, 0.0, -0.6], [0.05, 0.0, -0.4, -1.1]])
def test_the_weights_are_a_mean_of_polynomials(nodes, h, c):
    """Against Gauss-Legendre quadrature with 60 points, for every power that the nodes hold."""
    weights = mean_weights(nodes, h, c)
    points, mass = leggauss(60)
    u = h * (points + 1) / 2
    mass = mass * np.exp(c * (u - h))
    for power in range(len(nodes)):
        mean = (mass * u**power).sum() / mass.sum()
        assert np.dot(weights, np.array(nodes) ** power) == pytest.approx(mean, rel=1e-9, abs=1e-12)


def test_the_noise_leaves_the_law_of_the_data():
    """One Gaussian, whose predictor is exact: after 60 steps of the SDE the samples have its mean and its spread."""
    bell, schedule = GaussianMixture([1.0], [[0.5]], [0.4]), make_schedule("cosine", 500)
    start = RNG(3).normal((20_000, 1), np.float64)
    for eta in (0.4, 1.0):
        *_, last = sa_steps(bell.eps_theta(schedule), start, schedule, RNG(4), steps=inner_times(schedule, 60), eta=eta)
        assert last.x_prev.mean() == pytest.approx(0.5, abs=0.01) and last.x_prev.std() == pytest.approx(0.4, rel=0.02)


def test_the_steps_of_both_ways_to_say_eta(linear):
    """eta = 0 draws nothing; the first step, before there is anything to interpolate, is DDIM's."""
    eps_theta = LINE.eps_theta(linear)
    first = next(sa_steps(eps_theta, START, linear, steps=8))
    theirs = next(ddim_steps(eps_theta, START, linear, steps=8))
    np.testing.assert_allclose(first.x_predicted, theirs.x_prev, rtol=1e-11, atol=1e-12)
    assert not np.any(first.z) and np.any(first.x_prev != first.x_predicted)
    for a, b in zip(sa_steps(eps_theta, START, linear, RNG(1), steps=5), sa_steps(eps_theta, START, linear, steps=5), strict=True):
        np.testing.assert_array_equal(a.x_prev, b.x_prev)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_from_pure_noise_it_reaches_the_data(eta):
    """alpha_bar_T = 0: nothing is known about lambda_T but that it is minus infinity."""
    schedule = zero_terminal(make_schedule("cosine", 400))
    mean = (LINE.weights[:, None] * LINE.means).sum()

    def x_0_theta(x_t, t):
        if int(t[0]) == schedule.T:
            return 0 * x_t + mean
        now = schedule.at(t, like=x_t)
        return (x_t - np.sqrt(now.one_minus_alpha_bar) * LINE.eps_theta(schedule)(x_t, t)) / np.sqrt(now.alpha_bar)

    *_, last = sa_steps(x_0_theta, START, schedule, RNG(5), prediction="x_0", steps=60, eta=eta)
    assert np.isfinite(last.x_prev).all()
    if eta == 0:
        exact = flow_map(START, schedule.T, 0, LINE, schedule)
        assert np.sqrt(((last.x_prev - exact) ** 2).mean()) < 0.01


def test_float32_stays_float32_and_every_call_is_counted(linear):
    calls = []

    def network(x_t, t):
        assert t.shape == (3,) and x_t.dtype == np.float32
        calls.append(int(t[0]))
        return np.float32(0.1) * x_t

    steps = list(sa_steps(network, (3, 1, 2, 2), linear, RNG(0), steps=6, clip=1.0, eta=np.float64(0.7)))
    assert steps[-1].x_prev.dtype == np.float32 and steps[-1].x_prev.shape == (3, 1, 2, 2)
    assert calls == [1000, 800, 600, 401, 201, 1] and [step.t for step in steps] == calls and steps[-1].t_prev == 0


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_the_inner_times_are_where_image_and_noise_mix(name):
    schedule = make_schedule(name, 1000)
    tau = inner_times(schedule, 10)
    found = np.array([half_log_snr(int(t), schedule) for t in tau[:-1]])
    np.testing.assert_allclose(found, np.linspace(3, -3, 10)[:-1], atol=0.06)
    assert tau[-1] == 1000 and (np.diff(tau) > 0).all() and tau.dtype.kind == "i"
    for S in (1, 2, 999, 1000):
        tau = inner_times(schedule, S)
        assert len(tau) == S and tau[-1] == 1000 and (np.diff(tau) > 0).all() and tau[0] >= 1
    assert inner_times(straight_schedule(10), 4)[-1] == 10
    for S in (0, 1001):
        with pytest.raises(ValueError, match=rf"inner_times: the number of steps S must be in 1..T = 1..1000, got {S}"):
            inner_times(schedule, S)


@pytest.mark.parametrize(("options", "message"), [
    ({"eta": 1.5}, r"sa_steps: eta must be in \[0, 1\] \(0 is the ODE, 1 is the SDE\), got 1.5"),
    ({"eta": 0.5}, "sa_steps: rng may be left out only if eta = 0, got eta = 0.5"),
])  # fmt: skip
def test_what_cannot_be_is_named(linear, options, message):
    with pytest.raises(ValueError, match=message):
        next(sa_steps(LINE.eps_theta(linear), START, linear, **options))
