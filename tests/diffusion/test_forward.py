import math

import numpy as np
import pytest

from minidiff.diffusion.forward import (
    forward_steps,
    q_mean_variance,
    q_sample,
    q_step,
)
from minidiff.diffusion.schedule import make_schedule


@pytest.mark.checks("forward.q_step")
def test_q_step_has_the_mean_and_variance_of_the_slide(linear, images):
    """A linear map: its value at eps = 0 is the mean, its slope in eps the standard deviation."""
    x, _, eps = images
    for t in (1, 500, 1000):
        beta = 0.0001 + (t - 1) * 0.0199 / 999
        mean = q_step(x, t, 0 * eps, linear)
        np.testing.assert_allclose(mean, math.sqrt(1 - beta) * x, rtol=1e-12)
        np.testing.assert_allclose(q_step(0 * x, t, eps, linear), math.sqrt(beta) * eps, rtol=1e-12)


@pytest.mark.checks("forward.q_sample", "forward.q_mean_variance")
def test_T_single_steps_have_the_mean_and_the_variance_of_the_closed_form():
    """No sampling: the mean goes through q_step without noise, the variance is added up step by step."""
    schedule = make_schedule("linear", 1000)
    x_0 = np.array([[0.7, -1.0]])
    mean, variance = x_0, 0.0
    for t in range(1, 1001):
        one = np.ones_like(x_0)
        noise = q_step(0 * x_0, t, one, schedule)[0, 0]
        kept = q_step(one, t, 0 * x_0, schedule)[0, 0]
        mean = q_step(mean, t, 0 * x_0, schedule)
        variance = kept**2 * variance + noise**2
        if t in (1, 2, 3, 100, 1000):
            closed_mean, closed_variance = q_mean_variance(x_0, t, schedule)
            np.testing.assert_allclose(closed_mean, mean, rtol=1e-12)
            assert closed_variance == pytest.approx(variance, rel=1e-12)
            np.testing.assert_allclose(q_sample(x_0, t, 0 * x_0, schedule), mean, rtol=1e-12)
            np.testing.assert_allclose(q_sample(0 * x_0, t, one, schedule), math.sqrt(variance), rtol=1e-12)


@pytest.mark.checks("forward.q_sample")
def test_a_batch_carries_one_t_per_image(linear, images):
    x_0, t, eps = images
    x_t = q_sample(x_0, t, eps, linear)
    for i in range(len(t)):
        np.testing.assert_allclose(x_t[i], q_sample(x_0[i : i + 1], int(t[i]), eps[i : i + 1], linear)[0], rtol=1e-12)


def test_q_sample_refuses_the_data_step(linear, images):
    x_0, _, eps = images
    with pytest.raises(ValueError, match=r"t must be in 1\.\.T = 1\.\.1000, got 0"):
        q_sample(x_0, np.array([0, 5, 9]), eps, linear)


@pytest.mark.parametrize("t", [7, np.array([1, 2, 1000])])
def test_float32_stays_float32(linear, images, t):
    x_0, _, eps = (a.astype(np.float32) for a in images)
    assert q_sample(x_0, t, eps, linear).dtype == np.float32
    assert q_step(x_0, t, eps, linear).dtype == np.float32


def test_the_chain_yields_every_step(rng):
    schedule = make_schedule("cosine", 20)
    x_0 = np.ones((2, 3))
    steps = list(forward_steps(x_0, schedule, rng))
    assert [s.t for s in steps] == list(range(1, 21))
    assert steps[0].x_prev is x_0
    for before, after in zip(steps, steps[1:], strict=False):
        assert after.x_prev is before.x_t
    np.testing.assert_allclose(steps[4].x_t, q_step(steps[4].x_prev, 5, steps[4].eps_step, schedule))


def test_samples_of_the_chain_look_like_the_closed_form(rng):
    """20,000 walks: mean within 5 and variance within 5 standard errors. Adding sqrt(beta_t) to t-1's noise twice would miss by 100."""
    schedule = make_schedule("linear", 25)
    x_0 = np.full((20_000, 1), 0.8)
    x_10 = list(forward_steps(x_0, schedule, rng))[9].x_t
    mean, variance = q_mean_variance(x_0, 10, schedule)
    assert abs(x_10.mean() - mean[0, 0]) < 5 * math.sqrt(variance / 20_000)
    assert abs(x_10.var() / variance - 1) < 5 * math.sqrt(2 / 20_000)
