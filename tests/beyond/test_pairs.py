import numpy as np
import pytest

from minidiff.beyond.pairs import PREDICTIONS, downwards, move, predict_pair, to_pair
from minidiff.beyond.schedules import zero_terminal
from minidiff.diffusion import make_schedule, q_sample
from minidiff.diffusion.posterior import mu_tilde
from minidiff.diffusion.targets import v_target

X_0, EPS = np.array([[0.5, -1.0], [0.9, 0.1]]), np.array([[1.0, -0.5], [-0.2, 1.3]])


def targets(t, schedule):
    x_t = q_sample(X_0, t, EPS, schedule)
    return x_t, {
        "eps": EPS, "x_0": X_0, "v": v_target(X_0, t, EPS, schedule), "velocity": EPS - X_0,
        "mu_tilde": mu_tilde(x_t, X_0, t, schedule),
    }  # fmt: skip


@pytest.mark.checks("pair.from_v", "pair.from_velocity")
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("t", [1, 300, np.array([7, 900])])
def test_the_right_answer_of_every_kind_is_the_image_and_its_noise(linear, prediction, t):
    x_t, right = targets(t, linear)
    x_0_hat, eps_hat = to_pair(prediction, x_t, t, right[prediction], linear)
    np.testing.assert_allclose(x_0_hat, X_0, rtol=1e-10)
    np.testing.assert_allclose(eps_hat, EPS, rtol=1e-10)


@pytest.mark.checks("pair.from_v", "pair.from_velocity")
@pytest.mark.parametrize("prediction", ["v", "velocity", "x_0"])
def test_where_no_signal_is_left_the_pair_is_there(prediction):
    """alpha_bar_T = 0: x_T is the noise, v is -x_0, and nothing divides by zero."""
    schedule = zero_terminal(make_schedule("cosine", 50))
    x_t, right = targets(50, schedule)
    np.testing.assert_array_equal(x_t, EPS)
    x_0_hat, eps_hat = to_pair(prediction, x_t, 50, right[prediction], schedule)
    np.testing.assert_allclose(x_0_hat, X_0, rtol=1e-14)
    np.testing.assert_allclose(eps_hat, EPS, rtol=1e-14)


@pytest.mark.parametrize("prediction", ["eps", "mu_tilde"])
@pytest.mark.parametrize("t", [50, np.array([3, 50])])
def test_an_eps_says_nothing_there(prediction, t):
    schedule = zero_terminal(make_schedule("cosine", 50))
    with pytest.raises(ValueError, match=r"an eps_hat says nothing about x_0 where alpha_bar_t = 0 \(t = .*50.*\): train the network on v"):
        to_pair(prediction, X_0, t, EPS, schedule)


def test_an_unknown_prediction_is_named(linear):
    with pytest.raises(ValueError, match="prediction must be one of eps, x_0, mu_tilde, v, velocity, got 'w'"):
        to_pair("w", X_0, 5, EPS, linear)


def test_a_clipped_pair_still_makes_x_t(linear):
    x_t, right = targets(300, linear)
    for prediction in PREDICTIONS:
        said = 3 * right[prediction]
        x_0_hat, eps_hat = predict_pair(lambda x, t, said=said: said, x_t, 300, linear, prediction, np.float32(0.5))
        assert np.abs(x_0_hat).max() <= 0.5 and x_0_hat.dtype == np.float64
        np.testing.assert_allclose(q_sample(x_0_hat, 300, eps_hat, linear), x_t, rtol=1e-12)


def test_moving_a_pair_is_noising_it_to_the_other_time(linear):
    np.testing.assert_allclose(move(X_0, EPS, 40, linear), q_sample(X_0, 40, EPS, linear), rtol=1e-14)
    np.testing.assert_array_equal(move(X_0, EPS, 0, linear), X_0)


def test_the_steps_go_down_to_the_data(linear):
    assert downwards(linear, [1, 40, 1000]) == [(1000, 40), (40, 1), (1, 0)]
    assert downwards(linear, 1) == [(1000, 0)] and len(downwards(linear, None)) == 1000
