"""The same network outputs give the same steps as the field's own schedulers, which compute in float32."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="comparison with diffusers needs the compare extra (torch)")
diffusers = pytest.importorskip("diffusers", reason="comparison with diffusers needs the compare extra (diffusers)")

from minidiff.beyond import (  # noqa: E402
    dpm_pp_steps,
    heun_steps,
    pair_ddim_steps,
    sa_steps,
    zero_terminal,
)
from minidiff.beyond.flow_ode import edm_sigma, euler_step  # noqa: E402
from minidiff.beyond.loss_weights import prediction_weight  # noqa: E402
from minidiff.beyond.sa_solver import mean_weights  # noqa: E402
from minidiff.diffusion import make_schedule  # noqa: E402
from minidiff.engine.random import RNG  # noqa: E402

SCHEDULE = make_schedule("linear", 1000)
BETAS = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear"}
X_T = RNG(0).normal((6, 2), np.float64)


def network(x_t, t):
    return np.tanh(x_t) * 0.8 + 0.1 + 1e-4 * np.asarray(t).reshape(-1, 1)


def in_float64(scheduler, schedule=SCHEDULE):
    for theirs, ours in (("betas", "beta"), ("alphas", "alpha"), ("alphas_cumprod", "alpha_bar")):
        setattr(scheduler, theirs, torch.tensor(schedule.tables[ours][1:], dtype=torch.float64))
    return scheduler


def tau_of(scheduler):
    """Our times: theirs count from 0, and Heun's list has each but the first twice."""
    return sorted({int(t) + 1 for t in scheduler.timesteps.tolist()})


def close(ours, theirs):
    np.testing.assert_allclose(ours, np.asarray(theirs, dtype=np.float64), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("S", [5, 20])
@pytest.mark.parametrize(("prediction", "theirs"), [("eps", "epsilon"), ("v", "v_prediction")])
def test_heun(S, prediction, theirs):
    """Theirs walks in x_bar = x_t / sqrt(alpha_bar_t)."""
    scheduler = in_float64(diffusers.HeunDiscreteScheduler(1000, prediction_type=theirs, timestep_spacing="trailing", **BETAS))
    scheduler.set_timesteps(S)
    steps = list(heun_steps(network, X_T, SCHEDULE, prediction=prediction, steps=tau_of(scheduler)))
    x_bar = torch.tensor(steps[0].x_t / np.sqrt(SCHEDULE.at(steps[0].t).alpha_bar))
    reached = []
    for t in scheduler.timesteps:
        x_t = scheduler.scale_model_input(x_bar, t)
        said = torch.tensor(network(x_t.numpy(), int(t) + 1))
        first = scheduler.state_in_first_order
        x_bar = scheduler.step(said, t, x_bar).prev_sample
        if not first or t == scheduler.timesteps[-1]:
            reached.append(x_bar.numpy())
    assert len(reached) == S
    for step, theirs_x_bar in zip(steps, reached, strict=True):
        close(step.x_prev / np.sqrt(SCHEDULE.at(step.t_prev, first=0).alpha_bar), theirs_x_bar)


@pytest.mark.parametrize("S", [5, 20])
@pytest.mark.parametrize(("prediction", "theirs"), [("eps", "epsilon"), ("v", "v_prediction"), ("x_0", "sample")])
def test_dpm_pp_2m(S, prediction, theirs):
    options = {"algorithm_type": "dpmsolver++", "solver_order": 2, "solver_type": "midpoint", "euler_at_final": True}
    scheduler = diffusers.DPMSolverMultistepScheduler(1000, prediction_type=theirs, timestep_spacing="trailing", **options, **BETAS)
    in_float64(scheduler).set_timesteps(S)
    steps = list(dpm_pp_steps(network, X_T, SCHEDULE, prediction=prediction, steps=tau_of(scheduler)))
    x = torch.tensor(X_T)
    for step, t in zip(steps, scheduler.timesteps, strict=True):
        said = torch.tensor(network(x.numpy(), int(t) + 1))
        x = scheduler.step(said, t, x).prev_sample
        close(step.x_prev, x.numpy())


def test_sa_solver_s_predictor_and_corrector(monkeypatch):
    """Of order one, where theirs is as the paper has it; their last step ends before the data."""
    from minidiff.beyond import sa_solver

    monkeypatch.setattr(sa_solver, "PREDICTOR", 1)
    monkeypatch.setattr(sa_solver, "CORRECTOR", 1)
    options = {"predictor_order": 1, "corrector_order": 1, "tau_func": lambda t: 0.0}
    scheduler = in_float64(diffusers.SASolverScheduler(1000, timestep_spacing="trailing", **options, **BETAS))
    scheduler.set_timesteps(8)
    steps = list(sa_steps(network, X_T, SCHEDULE, steps=tau_of(scheduler)))
    x = torch.tensor(X_T)
    for step, t in zip(steps[:-1], scheduler.timesteps, strict=False):
        x = scheduler.step(torch.tensor(network(x.numpy(), int(t) + 1)), t, x).prev_sample
        close(step.x_predicted / np.abs(step.x_predicted).max(), x.numpy() / np.abs(step.x_predicted).max())


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("lambdas", [[0.2], [0.2, -0.5], [0.9, 0.2, -0.5]])
def test_sa_solver_s_weights(lambdas, eta):
    """The integrals of Lagrange's polynomials times exp((1 + tau^2) lambda), from lambda = 0.2 to 0.9."""
    scheduler = diffusers.SASolverScheduler(1000)
    n, tau = len(lambdas), np.sqrt(eta)
    nodes = torch.tensor(lambdas, dtype=torch.float64)
    theirs = scheduler.get_coefficients_fn(n, torch.tensor(0.2).double(), torch.tensor(0.9).double(), nodes, tau)
    whole = (np.exp((1 + eta) * 0.9) - np.exp((1 + eta) * 0.2)) / (1 + eta)
    close(mean_weights([value - 0.2 for value in lambdas], 0.7, 1 + eta), [float(c) / whole for c in theirs])


@pytest.mark.parametrize("S", [5, 20])
def test_euler(S):
    """EulerDiscrete's step in sigma, DDIM on pairs, and our `euler_step`: one thing."""
    scheduler = in_float64(diffusers.EulerDiscreteScheduler(1000, timestep_spacing="trailing", **BETAS))
    scheduler.set_timesteps(S)
    steps = list(pair_ddim_steps(network, X_T, SCHEDULE, steps=tau_of(scheduler)))
    x_bar = torch.tensor(X_T / np.sqrt(SCHEDULE.at(steps[0].t).alpha_bar))
    for step, t in zip(steps, scheduler.timesteps, strict=True):
        said = torch.tensor(network(scheduler.scale_model_input(x_bar, t).numpy(), int(t) + 1))
        x_bar = scheduler.step(said, t, x_bar).prev_sample
        close(step.x_prev / np.sqrt(SCHEDULE.at(step.t_prev, first=0).alpha_bar), x_bar.numpy())
        close(euler_step(step.x_t, step.eps_hat, step.t, step.t_prev, SCHEDULE), step.x_prev)
    assert scheduler.sigmas[0].item() == pytest.approx(edm_sigma(steps[0].t, SCHEDULE), rel=1e-6)


def test_flow_matching_euler():
    """FlowMatchEuler walks z_s; on the straight schedule so does ours, at s = t / T."""
    from minidiff.beyond import flow_steps, straight_schedule, time_and_scale

    schedule = straight_schedule(1000)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(1000)
    scheduler.set_timesteps(sigmas=[1.0, 0.75, 0.5, 0.25])
    z = torch.tensor(X_T)
    for step, t in zip(flow_steps(network, X_T, schedule, steps=[250, 500, 750, 1000]), scheduler.timesteps, strict=True):
        s, scale = time_and_scale(step.t, schedule)
        assert s == pytest.approx(float(t) / 1000, abs=1e-6)
        z = scheduler.step(torch.tensor(network(z.numpy() / scale, step.t)), t, z).prev_sample
        close(step.z_prev, z.numpy())


def test_zero_terminal_snr():
    betas = diffusers.DDPMScheduler(1000, rescale_betas_zero_snr=True, **BETAS).betas.numpy()
    np.testing.assert_allclose(zero_terminal(SCHEDULE).tables["beta"][1:], betas, rtol=2e-3, atol=1e-6)
    assert betas[-1] == 1


def test_min_snr_weights_of_v():
    """min(SNR, gamma) / (SNR + 1) with the library's own SNR."""
    from diffusers.training_utils import compute_snr

    t = np.arange(1000)
    snr = compute_snr(diffusers.DDPMScheduler(1000, **BETAS), torch.tensor(t)).numpy()
    close(prediction_weight("v", t + 1, SCHEDULE), np.minimum(snr, 5) / (snr + 1))
