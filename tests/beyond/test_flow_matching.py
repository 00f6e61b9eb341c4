import math

import numpy as np
import pytest

from minidiff.beyond.flow_matching import (
    exact_velocity,
    flow_euler_step,
    flow_heun_step,
    flow_steps,
    straight_path,
    time_and_scale,
    velocity_from_v,
    velocity_target,
)
from minidiff.beyond.pairs import to_pair
from minidiff.beyond.schedules import straight_schedule
from minidiff.diffusion import make_schedule, q_sample
from minidiff.diffusion.oracle import GaussianMixture, exact_eps
from minidiff.diffusion.targets import v_target
from minidiff.engine.random import RNG

LINE = GaussianMixture([0.3, 0.7], [[-0.8], [0.6]], [0.15, 0.25])
X_0, EPS = np.array([[0.5, -1.0], [0.9, 0.1]]), np.array([[1.0, -0.5], [-0.2, 1.3]])
Z = np.array([[-0.9], [0.0], [0.7], [1.5]])


@pytest.mark.checks("flow.path", "flow.target")
def test_the_path_is_straight_and_its_derivative_is_the_target():
    np.testing.assert_array_equal(straight_path(X_0, EPS, 0.0), X_0)
    np.testing.assert_array_equal(straight_path(X_0, EPS, 1.0), EPS)
    for s in (0.1, 0.5):
        slope = (straight_path(X_0, EPS, s + 0.25) - straight_path(X_0, EPS, s)) / 0.25
        np.testing.assert_allclose(slope, velocity_target(X_0, EPS), rtol=1e-12)
    one = np.float32(0.5)
    assert straight_path(X_0.astype(np.float32), EPS.astype(np.float32), np.float64(0.5)).dtype == one.dtype


@pytest.mark.checks("flow.time_and_scale", "flow.path")
@pytest.mark.parametrize("t", [1, 300, 1000, np.array([7, 900])])
def test_diffusion_passes_the_straight_path_in_another_scale(linear, t):
    """scale x_t = z_s with the same image and the same noise."""
    s, scale = time_and_scale(t, linear, like=X_0)
    np.testing.assert_allclose(scale * q_sample(X_0, t, EPS, linear), (1 - s) * X_0 + s * EPS, rtol=1e-13)
    assert time_and_scale(0, linear) == (0, 1)


@pytest.mark.checks("flow.velocity_from_v")
@pytest.mark.parametrize("t", [1, 300, np.array([7, 900])])
def test_one_network_serves_both(linear, t):
    """The velocity out of the right v is eps - x_0, and it is linear in v: also that of the pair out of a wrong one."""
    x_t, v = q_sample(X_0, t, EPS, linear), v_target(X_0, t, EPS, linear)
    np.testing.assert_allclose(velocity_from_v(x_t, t, v, linear), EPS - X_0, rtol=1e-11, atol=1e-13)
    x_0_hat, eps_hat = to_pair("v", x_t, t, 0.3 * v + 0.1, linear)
    np.testing.assert_allclose(velocity_from_v(x_t, t, 0.3 * v + 0.1, linear), eps_hat - x_0_hat, rtol=1e-11, atol=1e-13)


def quadrature(n=200):
    z, p = np.polynomial.hermite_e.hermegauss(n)
    x_0 = np.concatenate([m[0] + s * z for m, s in zip(LINE.means, LINE.stds, strict=True)])
    return x_0, np.concatenate([w * p / p.sum() for w in LINE.weights])


@pytest.mark.checks("flow.oracle_velocity")
@pytest.mark.parametrize("s", [0.3, 0.6, 1.0])
def test_the_oracle_s_velocity_is_the_conditional_mean(s):
    """E[eps - x_0 | z_s] by quadrature over x_0, where eps = (z - (1 - s) x_0) / s."""
    x_0, weight = quadrature()
    for z in Z[:, 0]:
        eps = (z - (1 - s) * x_0) / s
        share = weight * np.exp(-(eps**2) / 2)
        expected = (share * (eps - x_0)).sum() / share.sum()
        assert exact_velocity(np.array([[z]]), s, LINE)[0, 0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.checks("flow.oracle_velocity", "flow.time_and_scale")
@pytest.mark.parametrize("t", [1, 40, 500, 999])
def test_the_velocity_of_the_straight_path_is_that_of_diffusion(linear, t):
    """Two closed forms: the mixture's score through the pair at x_t, and this one at (s, z_s)."""
    eps = exact_eps(Z, t, LINE, linear)
    x_0_hat, eps_hat = to_pair("eps", Z, t, eps, linear)
    s, scale = time_and_scale(t, linear)
    np.testing.assert_allclose(exact_velocity(scale * Z, s, LINE), eps_hat - x_0_hat, rtol=1e-10)


@pytest.mark.checks("flow.oracle_velocity")
def test_the_velocity_keeps_the_share_of_probability_to_the_left():
    """dF_s(z(s))/ds = 0: u = -(dF/ds) / q, the exact velocity of the quantiles, by central differences of F."""

    def F(z, s):
        parts = zip(LINE.weights, LINE.means[:, 0], LINE.stds, strict=True)
        return sum(w * 0.5 * math.erfc(-(z - (1 - s) * m) / math.sqrt(2 * ((1 - s) ** 2 * d**2 + s**2))) for w, m, d in parts)

    h = 1e-4
    for s in (0.2, 0.5, 0.8):
        for z in Z[:, 0]:
            change = (F(z, s - 2 * h) - 8 * F(z, s - h) + 8 * F(z, s + h) - F(z, s + 2 * h)) / (12 * h)
            q = (F(z - 2 * h, s) - 8 * F(z - h, s) + 8 * F(z + h, s) - F(z + 2 * h, s)) / (12 * h)
            assert exact_velocity(np.array([[z]]), s, LINE)[0, 0] == pytest.approx(-change / q, rel=1e-5, abs=1e-6)


@pytest.mark.checks("flow.target", "flow.oracle_velocity")
@pytest.mark.parametrize("s", [0.4, 0.8])
def test_the_conditional_loss_is_the_marginal_one_and_a_constant(s):
    """E|eps - x_0 - u(z)|^2 = E|u*(z) - u(z)|^2 + constant, for three networks u, by quadrature in x_0 and eps."""
    x_0, w_0 = quadrature(120)
    eps, p = np.polynomial.hermite_e.hermegauss(120)
    w = (w_0[:, None] * p[None] / p.sum()).ravel()
    x_0, eps = (a.ravel()[:, None] for a in np.broadcast_arrays(x_0[:, None], eps[None]))
    z = straight_path(x_0, eps, s)
    best, target = exact_velocity(z, s, LINE), velocity_target(x_0, eps)
    constants = []
    for u in (-z, 0.3 * z**2 - 1, best):
        conditional, marginal = ((w * ((goal - u) ** 2)[:, 0]).sum() for goal in (target, best))
        constants.append(conditional - marginal)
    np.testing.assert_allclose(constants, constants[2], rtol=1e-11)
    assert constants[2] > 0.05


@pytest.mark.checks("flow.euler_step", "flow.heun_step")
def test_the_steps_are_exact_for_velocities_that_are_constant_and_linear_in_s():
    z, s, s_prev = np.array([[0.3]]), 0.9, 0.4
    assert flow_euler_step(z, np.array([[2.0]]), s, s_prev)[0, 0] == pytest.approx(0.3 - 1.0, rel=1e-12)
    linear = [np.array([[1 + 3 * at]]) for at in (s, s_prev)]
    integral = (s_prev - s) + 1.5 * (s_prev**2 - s**2)
    assert flow_heun_step(z, *linear, s, s_prev)[0, 0] == pytest.approx(0.3 + integral, rel=1e-12)


def test_on_the_straight_schedule_the_times_are_uniform():
    """s_t = t / T: what flow matching does, with z_s = scale x_t."""
    schedule = straight_schedule(40)
    s = [time_and_scale(t, schedule)[0] for t in range(41)]
    np.testing.assert_allclose(s, np.arange(41) / 40, atol=1e-14)
    seen = []

    def network(x_t, t):
        s, scale = time_and_scale(int(t[0]), schedule)
        seen.append(s)
        return exact_velocity(scale * x_t, s, LINE)

    x = RNG(0).normal((50, 1), np.float64)
    z, count = x.copy(), 0
    for step in flow_steps(network, x, schedule, steps=[10, 20, 30, 40]):
        z = z + (-0.25) * exact_velocity(z, 1 - 0.25 * count, LINE)  # Euler as a textbook has it
        count += 1
        np.testing.assert_allclose(step.z_prev, z, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(seen, [1, 0.75, 0.5, 0.25], atol=1e-14)
    np.testing.assert_allclose(step.x_prev, z, rtol=1e-11)


def test_another_method_is_refused():
    with pytest.raises(ValueError, match="flow_steps: method must be one of euler, heun, got 'rk4'"):
        next(flow_steps(lambda x, t: x, (2, 1), make_schedule("linear", 10), RNG(0), method="rk4"))
