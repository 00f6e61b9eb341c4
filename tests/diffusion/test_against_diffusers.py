"""The same betas, times, model outputs and noise give the same steps as the schedulers of the `diffusers` library."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="comparison with diffusers needs the compare extra (torch)")
diffusers = pytest.importorskip("diffusers", reason="comparison with diffusers needs the compare extra (diffusers)")

from minidiff.diffusion import ddim  # noqa: E402
from minidiff.diffusion.ddpm import ddpm_steps  # noqa: E402
from minidiff.diffusion.noise_prediction import clip_x_0  # noqa: E402
from minidiff.diffusion.schedule import make_schedule  # noqa: E402
from minidiff.engine.random import RNG  # noqa: E402


def eps_theta(x_t, t):
    return np.tanh(x_t) * 0.8 + 0.1


def in_float64(scheduler, schedule):
    """Give a scheduler our float64 tables (its own are float32; entry 0 is t = 1), so that steps can be compared to rounding."""
    for theirs, ours in (("betas", "beta"), ("alphas", "alpha"), ("alphas_cumprod", "alpha_bar")):
        setattr(scheduler, theirs, torch.tensor(schedule.tables[ours][1:], dtype=torch.float64))
    scheduler.one = scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    return scheduler


@pytest.mark.parametrize(("name", "theirs"), [("linear", "linear"), ("cosine", "squaredcos_cap_v2")])
def test_the_same_betas(name, theirs):
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=1000, beta_schedule=theirs, beta_start=0.0001, beta_end=0.02)
    np.testing.assert_allclose(make_schedule(name, 1000).tables["beta"][1:], scheduler.betas.numpy(), rtol=3e-6)


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize(("variance", "theirs"), [("beta", "fixed_large"), ("beta_tilde", "fixed_small")])
@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_ddpm_steps(monkeypatch, name, variance, theirs, clip):
    schedule = make_schedule(name, 60)
    scheduler = in_float64(diffusers.DDPMScheduler(num_train_timesteps=60, variance_type=theirs, clip_sample=clip is not None), schedule)
    scheduler.set_timesteps(60)
    steps = list(ddpm_steps(eps_theta, RNG(100).normal((3, 2), np.float64), schedule, RNG(0), variance=variance, clip=clip))
    assert [s.t - 1 for s in steps] == scheduler.timesteps.tolist()
    for step in steps:
        monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *args, z=step.z, **kwargs: torch.tensor(z))
        output = scheduler.step(torch.tensor(eps_theta(step.x_t, None)), step.t - 1, torch.tensor(step.x_t))
        np.testing.assert_allclose(output.pred_original_sample.numpy(), step.x_0_hat, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(output.prev_sample.numpy(), step.x_prev, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("spacing", "S"), [("leading", 10), ("trailing", 10), ("leading", 1000)])
def test_ddim_steps(eta, spacing, S):
    schedule = make_schedule("linear", 1000)
    scheduler = in_float64(diffusers.DDIMScheduler(clip_sample=False, timestep_spacing=spacing), schedule)
    scheduler.set_timesteps(S)
    tau = sorted(t + 1 for t in scheduler.timesteps.tolist())
    steps = list(ddim.ddim_steps(eps_theta, RNG(100).normal((3, 2), np.float64), schedule, RNG(0), steps=tau, eta=eta))
    for step in steps[:: max(1, S // 25)]:
        args = torch.tensor(step.eps_hat), step.t - 1, torch.tensor(step.x_t)
        output = scheduler.step(*args, eta=eta, variance_noise=torch.tensor(step.z) if eta else None)
        np.testing.assert_allclose(output.prev_sample.numpy(), step.x_prev, rtol=1e-9, atol=1e-9)


def test_ddim_with_clipping_re_derives_the_noise():
    schedule = make_schedule("linear", 1000)
    scheduler = in_float64(diffusers.DDIMScheduler(clip_sample=True), schedule)
    scheduler.set_timesteps(10)
    x_t = RNG(1).normal((3, 2), dtype=np.float64)
    for t, t_prev in ((901, 801), (101, 1), (1, 0)):
        x_0_hat, eps_hat = clip_x_0(x_t, t, eps_theta(x_t, t), schedule, clip=1.0)
        direction = ddim.ddim_direction(eps_hat, t_prev, 0.0, schedule)
        ours = ddim.ddim_step(x_0_hat, direction, t_prev, 0.0, 0 * x_t, schedule)
        theirs = scheduler.step(torch.tensor(eps_theta(x_t, t)), t - 1, torch.tensor(x_t), use_clipped_model_output=True)
        np.testing.assert_allclose(theirs.prev_sample.numpy(), ours, rtol=1e-9, atol=1e-9)
