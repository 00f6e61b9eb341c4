import numpy as np
import pytest

from minidiff.beyond.loss_weights import (
    SCHEMES,
    WEIGHTED,
    edm,
    min_snr,
    p2,
    prediction_weight,
    target_of,
    weighted_loss,
    weighted_training_terms,
    x_0_error_of,
)
from minidiff.beyond.pairs import to_pair
from minidiff.beyond.schedules import straight_schedule
from minidiff.diffusion import make_schedule, q_sample, training_terms
from minidiff.diffusion.targets import Prediction
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor

X_0, EPS = RNG(0).normal((3, 1, 2, 2), np.float64), RNG(1).normal((3, 1, 2, 2), np.float64)
T_BATCH = np.array([3, 400, 990])


@pytest.mark.checks("weights.of_error")
@pytest.mark.parametrize("prediction", WEIGHTED)
@pytest.mark.parametrize("t", [1, 500, 1000])
def test_an_error_of_the_prediction_is_one_of_x_0(linear, prediction, t):
    """Any wrong answer: |x_0 - x_0_hat|^2 over |target - answer|^2, through the pair that samplers take."""
    x_t, target = q_sample(X_0, t, EPS, linear), target_of(prediction, X_0, t, EPS, linear)
    said = target + RNG(2).normal(target.shape, np.float64)
    x_0_hat, _ = to_pair(prediction, x_t, t, said, linear)
    ratio = ((X_0 - x_0_hat) ** 2).sum() / ((target - said) ** 2).sum()
    assert x_0_error_of(prediction, t, linear) == pytest.approx(ratio, rel=1e-9)


@pytest.mark.checks("weights.of_prediction", "weights.min_snr", "weights.p2", "weights.edm")
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("t", [1, 300, 900])
def test_three_forms_one_number(linear, scheme, t):
    """One wrong image, said as eps, x_0, v and velocity: each with its weight costs the same."""
    x_t, wrong = q_sample(X_0, t, EPS, linear), 0.7 * X_0 + 0.2
    a, b = np.sqrt(linear.at(t).alpha_bar), np.sqrt(linear.at(t).one_minus_alpha_bar)
    eps = (x_t - a * wrong) / b
    said = {"eps": eps, "x_0": wrong, "v": a * eps - b * wrong, "velocity": eps - wrong}
    costs = [
        prediction_weight(kind, t, linear, scheme) * ((target_of(kind, X_0, t, EPS, linear) - said[kind]) ** 2).sum() for kind in WEIGHTED
    ]
    np.testing.assert_allclose(costs, costs[0], rtol=1e-9)


@pytest.mark.checks("weights.min_snr", "weights.of_prediction")
@pytest.mark.parametrize("gamma", [1.0, 5.0])
def test_min_snr_in_the_forms_of_the_paper(linear, gamma):
    t = np.arange(1, 1001)
    snr = linear.snr(t)
    smaller = np.where(snr < gamma, snr, gamma)
    np.testing.assert_allclose(prediction_weight("x_0", t, linear, gamma=gamma), smaller, rtol=1e-12)
    np.testing.assert_allclose(prediction_weight("eps", t, linear, gamma=gamma), smaller / snr, rtol=1e-12)
    np.testing.assert_allclose(prediction_weight("v", t, linear, gamma=gamma), smaller / (snr + 1), rtol=1e-12)
    assert min_snr(2.0) == 2 and min_snr(7.0) == 5


@pytest.mark.checks("weights.p2", "weights.edm")
def test_p2_and_edm_by_hand(linear):
    """P2 is stated for eps, EDM by sigma: 1 / (k + SNR)^gamma and (sigma^2 + d^2) / (sigma d)^2."""
    t = np.array([1, 500, 1000])
    snr = linear.snr(t)
    np.testing.assert_allclose(prediction_weight("eps", t, linear, "p2", k=2.0, gamma=0.5), 1 / np.sqrt(2 + snr), rtol=1e-12)
    sigma, d = 1 / np.sqrt(snr), 0.5
    np.testing.assert_allclose(edm(snr, d), (sigma**2 + d**2) / (sigma * d) ** 2, rtol=1e-12)
    np.testing.assert_allclose(prediction_weight("v", t, linear, "edm", sigma_data=1.0), 1, rtol=1e-9)
    assert p2(3.0) == 0.75


@pytest.mark.checks("weights.loss")
def test_the_loss_is_the_mean_of_weighted_squares():
    w, target, said = np.array([[2.0], [0.5]]), np.array([[1.0, 0.0], [2.0, -2.0]]), np.zeros((2, 2))
    assert weighted_loss(target, said, w) == pytest.approx((2 * 1 + 0 + 0.5 * 4 + 0.5 * 4) / 4, rel=1e-12)


@pytest.mark.checks("weights.loss", "weights.of_prediction")
def test_a_training_step_has_the_weights_and_their_gradient(linear):
    """By hand for each image, and d loss / d p of a network p * x_t."""
    p, said = Tensor(np.array(0.4), requires_grad=True), {}

    def network(x_t, t):
        said["x_t"] = x_t
        return p * Tensor(x_t)

    step = weighted_training_terms(network, X_0, T_BATCH, EPS, linear, "v", "min_snr")
    step.loss.backward()
    per_image, slope = [], []
    for i, t in enumerate(T_BATCH.tolist()):
        x_t = q_sample(X_0[i : i + 1], t, EPS[i : i + 1], linear)
        snr = linear.snr(t)
        error = target_of("v", X_0[i : i + 1], t, EPS[i : i + 1], linear) - 0.4 * x_t
        per_image.append(min(snr, 5) / (snr + 1) * (error**2).mean())
        slope.append(min(snr, 5) / (snr + 1) * (-2 * error * x_t).mean())
    assert float(step.loss.data) == pytest.approx(np.mean(per_image), rel=1e-12)
    assert float(p.grad) == pytest.approx(np.mean(slope), rel=1e-12)
    assert step.w.shape == (3, 1, 1, 1) and step.names[-2:] == ("w", "loss")


def test_without_weights_it_is_the_deck_s_loss(linear):
    def network(x_t, t):
        return 0.3 * x_t

    for prediction in ("eps", "x_0", "v", "mu_tilde"):
        ours = weighted_training_terms(network, X_0, T_BATCH, EPS, linear, prediction, None)
        assert ours.loss == training_terms(network, X_0, T_BATCH, EPS, linear, prediction).loss
    velocity = weighted_training_terms(network, X_0, T_BATCH, EPS, linear, "velocity", None)
    assert velocity.loss == pytest.approx(((EPS - X_0 - 0.3 * velocity.x_t) ** 2).mean(), rel=1e-12)


def test_float32_stays_float32(linear):
    step = weighted_training_terms(
        lambda x_t, t: 0.3 * Tensor(x_t), X_0.astype(np.float32), T_BATCH, EPS.astype(np.float32), linear, "velocity", "min_snr"
    )
    assert step.w.dtype == np.float32 and step.loss.data.dtype == np.float32


def test_what_has_no_weight_is_named(linear):
    with pytest.raises(ValueError, match="prediction must be one of eps, x_0, v, velocity, got 'mu_tilde'"):
        prediction_weight("mu_tilde", 5, linear)
    with pytest.raises(ValueError, match="scheme must be one of min_snr, p2, edm, got 'max_snr'"):
        prediction_weight("v", 5, linear, "max_snr")
    with pytest.raises(ValueError, match="an error of eps_hat is an infinite one of x_0_hat where SNR_t = 0"):
        prediction_weight("eps", np.array([3, 10]), straight_schedule(10))
    assert prediction_weight("v", 10, straight_schedule(10)) == 0
    with pytest.raises(ValueError, match=r"training: eps_theta must return the shape of x_t, \(3, 1, 2, 2\), got \(3, 1, 2\)"):
        weighted_training_terms(lambda x, t: x[..., 0], X_0, T_BATCH, EPS, make_schedule())
    with pytest.raises(ValueError, match="training: a learned variance has a loss of its own, no weights"):
        weighted_training_terms(lambda x, t: Prediction(x, x), X_0, T_BATCH, EPS, make_schedule())
