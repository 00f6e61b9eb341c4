"""Every sampler by its name: the steps are those of the function that it stands for."""

import numpy as np
import pytest

from minidiff.beyond import (
    dpm_pp_steps,
    heun_steps,
    inner_times,
    log_snr_times,
    sa_steps,
    straight_schedule,
)
from minidiff.diffusion import ddim_steps, ddpm_steps, make_schedule, make_tau
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.engine.random import RNG
from minidiff.sampling.solvers import (
    SAMPLERS,
    SamplerSettings,
    network_calls,
    sample,
    sampler_steps,
    sampler_times,
    steps_for_calls,
)

MIXTURE = GaussianMixture([0.5, 0.5], [[-0.8, 0.1], [0.8, 0.2]], 0.2)
SCHEDULE = make_schedule("linear", 30)
ORACLE = MIXTURE.eps_theta(SCHEDULE)
X_T = RNG(0).normal((5, 2))


def last(steps):
    return [step.x_prev for step in steps][-1]


DIRECTLY = {
    "ddim": lambda: ddim_steps(ORACLE, X_T, SCHEDULE, RNG(1), steps=6, eta=0.5, clip=1.0),
    "ddpm": lambda: ddpm_steps(ORACLE, X_T, SCHEDULE, RNG(1), variance="beta", clip=1.0, tau=make_tau(30, 6)),
    "heun": lambda: heun_steps(ORACLE, X_T, SCHEDULE, steps=6, clip=1.0),
    "sa": lambda: sa_steps(ORACLE, X_T, SCHEDULE, RNG(1), steps=6, eta=0.5, clip=1.0),
    "dpm++": lambda: dpm_pp_steps(ORACLE, X_T, SCHEDULE, steps=6, clip=1.0),
}


@pytest.mark.parametrize("name", DIRECTLY)
def test_a_name_stands_for_its_function(name):
    settings = SamplerSettings(name, 6, eta=0.5, variance="beta")
    found = sample(ORACLE, "eps", SCHEDULE, X_T, RNG(1), settings)
    np.testing.assert_array_equal(found, last(DIRECTLY[name]()))


def test_all_steps_of_ddpm_are_the_deck_s():
    """Without a schedule of fewer steps, whose betas are rounded anew."""
    found = sample(ORACLE, "eps", SCHEDULE, X_T, RNG(1), SamplerSettings("ddpm", None))
    np.testing.assert_array_equal(found, last(ddpm_steps(ORACLE, X_T, SCHEDULE, RNG(1), clip=1.0)))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_calls_are_as_many_as_it_says(sampler):
    for S in (1, 4, 7):
        calls = []

        def network(x, t, calls=calls):
            calls.append(t)
            return ORACLE(x, t)

        settings = SamplerSettings(sampler, S)
        assert len(list(sampler_steps(network, "eps", SCHEDULE, X_T, RNG(1), settings))) == S
        assert len(calls) == network_calls(settings, 30)
        assert steps_for_calls(sampler, len(calls)) == S
    assert network_calls(SamplerSettings("ddim", None), 30) == 30


@pytest.mark.parametrize("prediction", ["v", "velocity", "x_0"])
@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "ddpm"])
def test_from_pure_noise_by_every_sampler(sampler, prediction):
    settings = SamplerSettings(sampler, 5, "log-snr")
    x_0 = sample(lambda x, t: 0.1 * x, prediction, straight_schedule(20), (4, 1, 2, 2), RNG(0), settings)
    assert x_0.shape == (4, 1, 2, 2) and x_0.dtype == np.float32 and np.abs(x_0).max() <= 1 + 1e-6


def test_what_cannot_be_is_named():
    with pytest.raises(ValueError, match="alpha_bar_T = 0 leaves no x_0_hat in an eps: take ddim with eta = 1"):
        sample(ORACLE, "v", straight_schedule(20), (4, 1), RNG(0), SamplerSettings("ddpm", 20))
    with pytest.raises(ValueError, match=r"sampler must be one of ddim, ddpm, heun, dpm\+\+, sa, flow-euler, flow-heun, got 'euler'"):
        SamplerSettings("euler")
    with pytest.raises(ValueError, match="spacing must be one of uniform, quadratic, log-snr, inner, got 'karras'"):
        SamplerSettings(spacing="karras")


def test_the_times_of_each_spacing():
    for spacing in ("uniform", "quadratic"):
        assert sampler_times(SCHEDULE, SamplerSettings(steps=6, spacing=spacing)) == make_tau(30, 6, spacing).tolist()
    assert sampler_times(SCHEDULE, SamplerSettings(steps=6, spacing="log-snr")) == log_snr_times(SCHEDULE, 6).tolist()
    assert sampler_times(SCHEDULE, SamplerSettings(steps=6, spacing="inner")) == inner_times(SCHEDULE, 6).tolist()
    assert sampler_times(SCHEDULE, SamplerSettings(steps=None)) == list(range(1, 31))
