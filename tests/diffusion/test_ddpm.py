import math

import numpy as np
import pytest

from minidiff.diffusion.ddpm import ddpm_sample, ddpm_steps
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.reverse import mu_theta, p_step
from minidiff.diffusion.schedule import DECK_CLIP, make_schedule
from minidiff.diffusion.targets import Prediction
from minidiff.engine.random import RNG


def half(x_t, t):
    return 0.5 * x_t


@pytest.mark.checks("ddpm.algorithm_2", "reverse.p_step")
@pytest.mark.parametrize("variance", ["beta", "beta_tilde"])
def test_algorithm_2_line_by_line(linear, variance):
    """The algorithm's box written out with scalars, on the noise that the sampler drew."""
    short = make_schedule("linear", 12)
    steps = list(ddpm_steps(half, RNG(100).normal((2, 3), np.float64), short, RNG(0), variance=variance))
    assert [s.t for s in steps] == list(range(12, 0, -1))
    x = steps[0].x_t
    for step in steps:
        t = step.t
        alpha = 1 - short.tables["beta"][t]
        alpha_bar = math.prod(1 - short.tables["beta"][1 : t + 1])
        previous = math.prod(1 - short.tables["beta"][1:t])
        sigma = math.sqrt(1 - alpha) if variance == "beta" else math.sqrt((1 - previous) / (1 - alpha_bar) * (1 - alpha))
        z = step.z if t > 1 else 0
        x = 1 / math.sqrt(alpha) * (x - (1 - alpha) / math.sqrt(1 - alpha_bar) * 0.5 * x) + sigma * z
        np.testing.assert_allclose(step.x_prev, x, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(p_step(mu_theta(step.x_t, t, step.eps_hat, short), sigma, step.z), step.x_prev, rtol=1e-12)


@pytest.mark.checks("ddpm.algorithm_2")
def test_a_learned_variance_lies_between_the_fixed_ones():
    """v = 1 is beta, v = 0 beta_tilde: the same noise gives the samples of the fixed variances (t = 1 adds none)."""
    schedule = make_schedule("linear", 10)
    for v, fixed in ((1.0, "beta"), (0.0, "beta_tilde")):
        learned = ddpm_sample(lambda x, t, v=v: Prediction(0.5 * x, v + 0 * x), RNG(100).normal((2, 3), np.float64), schedule, RNG(0), variance="learned")
        expected = ddpm_sample(half, RNG(100).normal((2, 3), np.float64), schedule, RNG(0), variance=fixed)
        np.testing.assert_allclose(learned, expected, rtol=1e-9)


def test_nothing_to_start_from_is_an_error():
    with pytest.raises(TypeError, match="start must be a shape or an array x_T, got NoneType"):
        next(ddpm_steps(half, None, make_schedule("linear", 10), RNG(0)))


@pytest.mark.checks("ddpm.algorithm_2")
def test_a_guide_moves_the_mean_and_nothing_else():
    schedule = make_schedule("linear", 10)
    free, guided = (
        next(ddpm_steps(half, (2, 3), schedule, RNG(0), variance="beta", guide=guide))
        for guide in (None, lambda mu, variance, x_t, t: mu + variance * t[:, None].astype(np.float32))
    )
    np.testing.assert_allclose(guided.mu - free.mu, 10 * schedule.at(10).beta, rtol=1e-5)
    np.testing.assert_allclose(guided.x_prev - free.x_prev, 10 * schedule.at(10).beta, rtol=1e-5)


def test_no_noise_at_the_last_step_and_fresh_noise_at_every_other(rng):
    steps = list(ddpm_steps(half, (2, 3), make_schedule("cosine", 5), rng, variance="beta"))
    assert not steps[-1].z.any()
    np.testing.assert_array_equal(steps[-1].x_prev, steps[-1].mu)
    assert len({float(s.z[0, 0]) for s in steps[:-1]}) == 4


def test_ddpm_sample_is_the_last_value_of_the_generator():
    schedule = make_schedule("linear", 10)
    last = list(ddpm_steps(half, (2, 3), schedule, RNG(4)))[-1].x_prev
    np.testing.assert_array_equal(ddpm_sample(half, (2, 3), schedule, RNG(4)), last)


@pytest.mark.parametrize("clip", [None, 1.0])
def test_float32_in_float32_out_and_the_start_can_be_given(clip):
    schedule = make_schedule("linear", 10)
    x_T = np.ones((2, 1, 3, 3), np.float32)
    steps = list(ddpm_steps(half, x_T, schedule, RNG(0), clip=clip))
    assert steps[0].x_t is x_T
    assert {a.dtype for s in steps for a in (s.eps_hat, s.x_0_hat, s.mu, s.z, s.x_prev)} == {np.dtype(np.float32)}
    if clip:
        assert max(np.abs(s.x_0_hat).max() for s in steps) <= 1


def test_a_thousand_steps_of_the_exact_predictor_draw_the_mixture(linear):
    """Bar: >= 99.5 % near a mode, each width within 2 % of 0.05, weights 0.9 / 0.1 within 0.01. sigma^2 = beta (see test_vlb)."""
    mixture = GaussianMixture([0.9, 0.1], [[-0.8], [0.8]], 0.05)
    x_0 = ddpm_sample(mixture.eps_theta(linear), RNG(100).normal((12_000, 1), np.float64), linear, RNG(1), variance="beta")
    left = x_0[x_0 < 0]
    assert (np.abs(np.abs(x_0) - 0.8) < 0.2).mean() >= 0.995
    assert abs(left[np.abs(left + 0.8) < 0.2].std() / 0.05 - 1) < 0.02
    assert abs(len(left) / len(x_0) - 0.9) < 0.01


@pytest.mark.parametrize("T", [10, 50, 100, 300])
@pytest.mark.parametrize(("name", "options"), [("linear", {}), ("linear", {"rescale": False}), ("cosine", {}), ("cosine", DECK_CLIP)])
def test_no_nan_for_any_shipped_schedule(T, name, options):
    schedule = make_schedule(name, T, **options)
    mixture = GaussianMixture([0.5, 0.5], [[-0.8], [0.8]], 0.05)
    for variance in ("beta", "beta_tilde"):
        assert np.isfinite(ddpm_sample(mixture.eps_theta(schedule), (50, 1), schedule, RNG(0), variance=variance)).all()
