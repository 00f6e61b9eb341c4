"""A strided DDPM on the times tau, and DDIM's sigma_hat: two programs, one step."""

import numpy as np
import pytest

from minidiff.diffusion.ddim import ddim_sample, ddim_steps
from minidiff.diffusion.ddpm import ddpm_sample, ddpm_steps
from minidiff.diffusion.guidance import shift_mean
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.schedule import at_times, make_schedule, respace
from minidiff.diffusion.vlb import vlb, vlb_steps
from minidiff.engine.random import RNG

MIXTURE = GaussianMixture([0.5, 0.5], [[-0.8, 0.2], [0.8, 0.1]], 0.05)
TAU = [1, 40, 300, 700, 1000]


def test_the_network_of_a_strided_chain_is_asked_at_the_times_it_was_trained_for(linear):
    asked = []

    def eps_theta(x_t, t):
        asked.append(t.tolist())
        return 0.5 * x_t

    steps = list(ddpm_steps(eps_theta, (2, 3), linear, RNG(0), tau=TAU))
    assert asked == [[t, t] for t in reversed(TAU)]
    assert [s.t for s in steps] == [5, 4, 3, 2, 1]
    assert not steps[-1].z.any() and all(s.z.any() for s in steps[:-1])


@pytest.mark.checks("ddim.sigma_hat", "ddim.sigma", "ddpm.algorithm_2")
@pytest.mark.parametrize("tau", [TAU, list(range(1, 1001, 3)), [7, 500]])
@pytest.mark.parametrize(("variance", "eta"), [("beta_tilde", 1.0), ("beta", "sigma_hat")])
def test_a_strided_ddpm_is_ddim_on_the_same_times(linear, tau, variance, eta):
    """The mean of q(x_{t-1} | x_t, x_0_hat) on the respaced chain against DDIM's eq. 12: the same samples from the same noise."""
    x_T = RNG(1).normal((4, 2), dtype=np.float64)
    eps_theta = MIXTURE.eps_theta(linear)
    ours = ddpm_steps(eps_theta, x_T, linear, RNG(0), variance=variance, tau=tau)
    theirs = ddim_steps(eps_theta, x_T, linear, RNG(0), steps=tau, eta=eta)
    for a, b in zip(ours, theirs, strict=True):
        assert tau[a.t - 1] == b.t
        np.testing.assert_allclose(a.x_prev, b.x_prev, rtol=1e-10, atol=1e-12)


@pytest.mark.checks("ddim.sigma_hat")
def test_sigma_hat_on_the_full_chain_is_ddpm_with_beta():
    schedule = make_schedule("linear", 50)
    x_T, options = RNG(1).normal((4, 2), dtype=np.float64), {"eta": "sigma_hat"}
    eps_theta = MIXTURE.eps_theta(schedule)
    ddpm = ddpm_sample(eps_theta, x_T, schedule, RNG(0), variance="beta")
    np.testing.assert_allclose(ddim_sample(eps_theta, x_T, schedule, RNG(0), **options), ddpm, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="rng may be left out only if eta = 0, got eta = sigma_hat"):
        ddim_sample(eps_theta, x_T, schedule, **options)


def test_a_name_that_is_no_eta_is_refused(linear):
    with pytest.raises(ValueError, match=r"eta must be in \[0, 1\] or 'sigma_hat', got 'beta'"):
        next(ddim_steps(MIXTURE.eps_theta(linear), (2, 2), linear, RNG(0), eta="beta"))


def test_guidance_of_a_strided_chain_sees_the_same_times_as_the_network(linear):
    seen = []

    def gradient(x_t, t):
        seen.append(t.tolist())
        return 0 * x_t

    ddpm_sample(lambda x, t: 0.5 * x, (2, 3), linear, RNG(0), tau=TAU, guide=shift_mean(gradient))
    assert seen == [[t, t] for t in reversed(TAU)]


def test_the_bound_of_a_strided_model(linear):
    """All times are the full chain; fewer give a worse bound of the same data."""
    x_0, eps_theta = MIXTURE.sample(50, RNG(0)), MIXTURE.eps_theta(linear)
    full = vlb(eps_theta, x_0, linear, RNG(1), levels=None)
    every = np.arange(1, 1001)
    same = vlb(at_times(every, eps_theta), x_0, respace(linear, every), RNG(1), levels=None)
    np.testing.assert_allclose(same, full, rtol=1e-8)
    tau = every[::20]
    steps = list(vlb_steps(at_times(tau, eps_theta), x_0, respace(linear, tau), RNG(1), levels=None))
    assert len(steps) == 51
    assert sum(s.L for s in steps).mean() > full.mean()
