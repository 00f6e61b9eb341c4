"""The exact consistency function on a line: one number along each path, samples in one call, and what a solver's step costs."""

import numpy as np
import pytest

from minidiff.beyond import consistency_steps, exact_consistency, flow_map, pair_ddim_steps
from minidiff.beyond.consistency import consistency, consistency_loss
from minidiff.beyond.exact_flow import quantile
from minidiff.beyond.pairs import move, predict_pair
from minidiff.diffusion import make_schedule
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.engine.random import RNG

LINE = GaussianMixture([0.3, 0.7], [[-0.8], [0.6]], [0.15, 0.25])
X = np.linspace(-2, 2, 41)[:, None]
MEAN = float((LINE.weights * LINE.means[:, 0]).sum())
SECOND = float((LINE.weights * (LINE.means[:, 0] ** 2 + LINE.stds**2)).sum())


@pytest.mark.checks("consistency.function")
def test_it_is_one_number_along_a_path_and_the_image_itself_at_its_end(linear):
    end = consistency(X, 900, LINE, linear)
    for s in (1000, 500, 30, 1):
        np.testing.assert_allclose(consistency(flow_map(X, 900, s, LINE, linear), s, LINE, linear), end, atol=1e-12)
    np.testing.assert_allclose(consistency(X, 0, LINE, linear), X, atol=1e-12)


@pytest.mark.checks("consistency.function")
def test_it_is_where_the_ode_ends(linear):
    """DDIM with all steps follows the path without knowing of quantiles; its error falls as 1 / T."""
    fine, x_T = [make_schedule("linear", T) for T in (2000, 4000)], X[::4]
    ends = []
    for schedule in fine:
        steps = pair_ddim_steps(LINE.eps_theta(schedule), x_T, schedule, prediction="eps", steps=None)
        ends.append([step.x_prev for step in steps if step.t_prev <= schedule.T // 100][0])
    for schedule, end in zip(fine, ends, strict=True):
        at = schedule.T // 100
        assert abs(consistency(end, at, LINE, schedule) - consistency(x_T, schedule.T, LINE, schedule)).max() < 20 / schedule.T


@pytest.mark.checks("consistency.loss")
def test_the_exact_function_has_no_loss_on_its_path_and_a_little_one_after_a_step_of_euler(linear):
    """The loss is a square, and Euler's error of one step is of second order: half the stride, a sixteenth of the loss."""
    on_path = consistency(flow_map(X, 500, 400, LINE, linear), 400, LINE, linear)
    assert consistency_loss(consistency(X, 500, LINE, linear), on_path) < 1e-24
    losses = []
    for T in (400, 800, 1600):
        schedule = make_schedule("linear", T)
        t = T // 2
        after = move(*predict_pair(LINE.eps_theta(schedule), X, t, schedule), t - T // 40, schedule)
        ends = consistency(X, t, LINE, schedule), consistency(after, t - T // 40, LINE, schedule)
        losses.append(consistency_loss(*ends))
        half = move(*predict_pair(LINE.eps_theta(schedule), X, t, schedule), t - T // 80, schedule)
        losses[-1] /= consistency_loss(ends[0], consistency(half, t - T // 80, LINE, schedule))
    assert losses == pytest.approx([16] * 3, rel=0.15)


@pytest.mark.checks("consistency.loss")
def test_it_is_the_mean_square():
    assert consistency_loss(np.array([1.0, -2.0]), np.array([0.0, 1.0])) == 5.0


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_samples_have_the_moments_of_the_data_after_any_number_of_calls(linear, steps):
    """x_T at the quantiles of q(x_T); the noise between two calls is drawn, so that the bound is that of 20,000 draws."""
    u = (np.arange(20_000) + 0.5) / 20_000
    start = quantile(u, 1 - u, 1000, LINE, linear)
    taken = list(consistency_steps(exact_consistency(LINE, linear), start, linear, RNG(0), steps=steps))
    x_0 = taken[-1].x_prev
    bound = 1e-4 if steps == 1 else 4 * np.sqrt(SECOND / len(u))
    assert len(taken) == steps and x_0.shape == start.shape
    assert x_0.mean() == pytest.approx(MEAN, abs=bound) and (x_0**2).mean() == pytest.approx(SECOND, abs=bound)
    assert taken[0].names == ("x_t", "x_0_hat", "z", "x_prev") and taken[0].algorithm == "consistency"


def test_the_best_denoiser_in_its_place_gives_the_mean_alone(linear):
    """E[x_0 | x_T] is no sample: one call of it is the mean of the data, wherever x_T is."""
    best = LINE.eps_theta(linear)

    def denoiser(x_t, t):
        return predict_pair(best, x_t, int(t.max()), linear)[0]

    (step,) = consistency_steps(denoiser, X, linear, RNG(0))
    assert abs(step.x_prev - MEAN).max() < 0.02
    (exact,) = consistency_steps(exact_consistency(LINE, linear), X, linear, RNG(0))
    assert exact.x_prev.std() > 0.5


def test_wrong_answers_of_the_network_are_refused(linear):
    with pytest.raises(ValueError, match=r"eps_theta must return the shape of x_t, \(41, 1\), got \(41,\)"):
        next(consistency_steps(lambda x_t, t: x_t[:, 0], X, linear, RNG(0)))
