"""Solvers against the exact map: their order is what theory says, and their steps are exact where theory says so."""

import math

import numpy as np
import pytest

from minidiff.beyond.exact_flow import flow_map
from minidiff.beyond.flow_matching import flow_steps
from minidiff.beyond.flow_ode import euler_step
from minidiff.beyond.schedules import straight_schedule, zero_terminal
from minidiff.beyond.solvers import (
    dpm_pp_step,
    dpm_pp_steps,
    extrapolated_x_0,
    half_log_snr,
    heun_step,
    heun_steps,
    log_snr_times,
    pair_ddim_steps,
)
from minidiff.diffusion import ddim_steps, make_schedule
from minidiff.diffusion.oracle import GaussianMixture, exact_eps
from minidiff.diffusion.targets import v_target
from minidiff.engine.random import RNG

LINE = GaussianMixture([0.4, 0.6], [[-0.4], [0.4]], [0.3, 0.4])
FINE = make_schedule("linear", 20_000)
START = RNG(0).normal((200, 1), np.float64)
SOLVERS = {
    "ddim": (pair_ddim_steps, {}, 1), "heun": (heun_steps, {}, 2), "dpm++": (dpm_pp_steps, {}, 2),
    "flow-euler": (flow_steps, {"method": "euler"}, 1), "flow-heun": (flow_steps, {"method": "heun"}, 2),
}  # fmt: skip


def error_at_1(solver, options, S, prediction="eps", network=None):
    """RMS distance from the exact map at t = 1; the step from there to the data is of first order for all."""
    exact = flow_map(START, FINE.T, 1, LINE, FINE)
    network = network or LINE.eps_theta(FINE)
    for step in solver(network, START, FINE, prediction=prediction, steps=log_snr_times(FINE, S + 1), **options):
        if step.t_prev == 1:
            return float(np.sqrt(((step.x_prev - exact) ** 2).mean()))
    raise AssertionError("no step ends at t = 1")


@pytest.mark.checks("solver.heun_step", "solver.data_2m", "solver.dpm_pp_step", "flow.euler_step", "flow.heun_step", "ode.euler_step")
@pytest.mark.parametrize("name", SOLVERS)
def test_the_order_of_convergence_on_the_exact_map(name):
    solver, options, order = SOLVERS[name]
    errors = np.array([error_at_1(solver, options, S) for S in (80, 160, 320)])
    np.testing.assert_allclose(np.log2(errors[:-1] / errors[1:]), order, atol=0.15)


def test_the_second_order_is_worth_its_calls():
    """At 80 calls: half as many steps of Heun, as many of 2M, and both are far closer than DDIM."""
    ddim, heun, dpm = (error_at_1(SOLVERS[name][0], {}, S) for name, S in (("ddim", 80), ("heun", 40), ("dpm++", 80)))
    assert heun < ddim / 3 and dpm < ddim / 8, (ddim, heun, dpm)


@pytest.mark.parametrize("name", SOLVERS)
def test_what_the_network_predicts_does_not_matter(name):
    """The oracle's x_0, v and velocity, made from its eps: the same samples."""
    solver, options, _ = SOLVERS[name]
    schedule = make_schedule("linear", 100)
    eps_theta = LINE.eps_theta(schedule)

    def predicting(kind):
        def network(x_t, t):
            eps = eps_theta(x_t, t)
            now = schedule.at(t, like=x_t)
            x_0 = (x_t - np.sqrt(now.one_minus_alpha_bar) * eps) / np.sqrt(now.alpha_bar)
            return {"eps": eps, "x_0": x_0, "v": v_target(x_0, t, eps, schedule), "velocity": eps - x_0}[kind]

        return network

    def sample(kind):
        return [step.x_prev for step in solver(predicting(kind), START, schedule, prediction=kind, steps=10, **options)][-1]

    for kind in ("x_0", "v", "velocity"):
        np.testing.assert_allclose(sample(kind), sample("eps"), rtol=1e-9, atol=1e-9)


@pytest.mark.checks("ode.euler_step", "flow.euler_step")
def test_three_euler_methods_are_ddim():
    """In sigma, on the straight path, and DDIM's own: the same steps to rounding."""
    schedule = make_schedule("cosine", 200)
    eps_theta = LINE.eps_theta(schedule)
    ddim = list(ddim_steps(eps_theta, START, schedule, steps=9, clip=1.0))
    options = {"prediction": "eps", "steps": 9, "clip": 1.0}
    for other in (pair_ddim_steps(eps_theta, START, schedule, **options), flow_steps(eps_theta, START, schedule, **options)):
        for ours, theirs in zip(other, ddim, strict=True):
            np.testing.assert_allclose(ours.x_prev, theirs.x_prev, rtol=1e-11, atol=1e-12)
    for step in ddim[:-1]:
        np.testing.assert_allclose(euler_step(step.x_t, step.eps_hat, step.t, step.t_prev, schedule), step.x_prev, rtol=1e-11, atol=1e-12)


def test_ddim_on_pairs_with_noise_is_ddim(linear):
    eps_theta = LINE.eps_theta(linear)
    for eta in (0.5, 1.0):
        ours = list(pair_ddim_steps(eps_theta, START, linear, RNG(3), steps=7, eta=eta))
        theirs = list(ddim_steps(eps_theta, START, linear, RNG(3), steps=7, eta=eta))
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.x_prev, b.x_prev, rtol=1e-13, atol=1e-13)
    with pytest.raises(ValueError, match="pair_ddim_steps: rng may be left out only if eta = 0, got eta = 0.5"):
        next(pair_ddim_steps(eps_theta, START, linear, eta=0.5))


@pytest.mark.checks("solver.dpm_pp_step")
@pytest.mark.parametrize(("t", "t_prev"), [(1000, 700), (300, 299), (5, 0)])
def test_the_step_is_exact_for_a_constant_data_prediction(linear, t, t_prev):
    """A single point x_0 = D: the flow is x = a D + b eps with the same eps, whatever the stride."""
    D, eps = np.array([[0.7]]), np.array([[-1.3]])

    def on_the_line(t):
        now = linear.at(t, first=0)
        return math.sqrt(now.alpha_bar) * D + math.sqrt(now.one_minus_alpha_bar) * eps

    np.testing.assert_allclose(dpm_pp_step(on_the_line(t), D, t, t_prev, linear), on_the_line(t_prev), rtol=1e-12)


@pytest.mark.checks("solver.data_2m", "solver.half_log_snr")
def test_the_extrapolation_is_exact_for_a_line_in_lambda(linear):
    """x_0_hat = p + q lambda at three times: D is its value in the middle of the next step."""
    p, q, t_before, t, t_prev = 0.3, -0.1, 800, 600, 250
    before, now, prev = (0.5 * math.log(linear.at(i).alpha_bar / (1 - linear.at(i).alpha_bar)) for i in (t_before, t, t_prev))
    D = extrapolated_x_0(np.array([p + q * now]), np.array([p + q * before]), t_before, t, t_prev, linear)
    assert D[0] == pytest.approx(p + q * (now + prev) / 2, rel=1e-12)


@pytest.mark.checks("solver.heun_step")
def test_heun_is_exact_for_a_slope_that_is_linear_in_sigma(linear):
    """d x_bar / d sigma = c + d sigma: the trapezium is the integral."""
    c, d, t, t_prev, x_bar = 0.4, -0.2, 700, 300, 1.1
    sigma, sigma_prev = (math.sqrt(1 / linear.at(i).alpha_bar - 1) for i in (t, t_prev))
    integral = c * (sigma_prev - sigma) + d * (sigma_prev**2 - sigma**2) / 2
    x_t = np.array([math.sqrt(linear.at(t).alpha_bar) * x_bar])
    found = heun_step(x_t, np.array([c + d * sigma]), np.array([c + d * sigma_prev]), t, t_prev, linear)
    assert found[0] == pytest.approx(math.sqrt(linear.at(t_prev).alpha_bar) * (x_bar + integral), rel=1e-12)


@pytest.mark.checks("solver.log_snr_times", "solver.half_log_snr")
@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_the_times_are_as_uniform_in_lambda_as_the_table_allows(name):
    schedule = make_schedule(name, 1000)
    tau = log_snr_times(schedule, 11)
    assert tau[0] == 1 and tau[-1] == 1000 and (np.diff(tau) > 0).all() and tau.dtype.kind == "i"
    table = np.array([half_log_snr(t, schedule) for t in range(1, 1001)])
    np.testing.assert_allclose(np.exp(2 * table), schedule.snr(np.arange(1, 1001)), rtol=1e-12)
    wanted = np.linspace(table[0], max(table[-1], -5.1), 11)
    gap = -np.diff(table[table > -5.1]).min()
    assert np.abs(table[tau[:-1] - 1] - wanted[:-1]).max() <= gap < 0.4


@pytest.mark.checks("solver.log_snr_times")
def test_crowded_times_are_moved_apart(linear):
    for S in (1, 2, 500, 999, 1000):
        tau = log_snr_times(linear, S)
        assert len(tau) == S and tau[-1] == 1000 and (np.diff(tau) > 0).all() and tau[0] >= 1
    np.testing.assert_array_equal(log_snr_times(linear, 1000), np.arange(1, 1001))
    for S in (0, 1001):
        with pytest.raises(ValueError, match=rf"log_snr_times: the number of steps S must be in 1..T = 1..1000, got {S}"):
            log_snr_times(linear, S)


@pytest.mark.checks("solver.half_log_snr")
def test_lambda_is_minus_infinity_without_signal():
    schedule = straight_schedule(10)
    assert half_log_snr(10, schedule) == -math.inf and half_log_snr(5, schedule) == pytest.approx(0, abs=1e-12)
    for S in (1, 2, 5, 10):
        tau = log_snr_times(schedule, S)
        assert tau[-1] == 10 and (np.diff(tau) > 0).all()
    assert log_snr_times(straight_schedule(1), 1).tolist() == [1]


@pytest.mark.checks("pair.from_v")
@pytest.mark.parametrize("name", SOLVERS)
def test_from_pure_noise_every_solver_reaches_the_data(name):
    """alpha_bar_T = 0, v of the exact predictor: the samples are those of the exact map, within the solver's error."""
    solver, options, _ = SOLVERS[name]
    schedule = zero_terminal(make_schedule("cosine", 400))

    def v_theta(x_t, t):
        eps = exact_eps(x_t, t, LINE, schedule)
        if int(t[0]) == schedule.T:  # x_T says nothing about the image: x_0_hat is the mean of the data
            return 0 * x_t - (LINE.weights[:, None] * LINE.means).sum()
        now = schedule.at(t, like=x_t)
        return (eps - np.sqrt(now.one_minus_alpha_bar) * x_t) / np.sqrt(now.alpha_bar)

    *_, last = solver(v_theta, START, schedule, prediction="v", steps=100, **options)
    exact = flow_map(START, schedule.T, 0, LINE, schedule)
    error = np.sqrt(((last.x_prev - exact) ** 2).mean())
    assert error < (0.03 if name in ("ddim", "flow-euler") else 0.01)


@pytest.mark.parametrize("name", SOLVERS)
def test_float32_stays_float32_and_calls_are_counted(name, linear):
    solver, options, order = SOLVERS[name]
    calls = []

    def network(x_t, t):
        assert t.shape == (3,) and x_t.dtype == np.float32
        calls.append(int(t[0]))
        return np.float32(0.1) * x_t

    steps = list(solver(network, (3, 1, 2, 2), linear, RNG(0), prediction="eps", steps=6, clip=1.0, **options))
    assert steps[-1].x_prev.dtype == np.float32 and steps[-1].x_prev.shape == (3, 1, 2, 2)
    assert len(calls) == (11 if "heun" in name else 6)
    assert [step.t for step in steps] == [1000, 800, 600, 401, 201, 1] and steps[-1].t_prev == 0
    with pytest.raises(ValueError, match="to draw x_T of shape"):
        next(solver(network, (3, 1, 2, 2), linear))
