"""The difference between the slide and the right form, in numbers. Constants are those of the errata list."""

import math

import numpy as np
import pytest

from minidiff.beyond.loss_weights import prediction_weight, x_0_error_of
from minidiff.classroom import as_printed
from minidiff.classroom.derivations.loss_weight import loss_weight, squared_norm
from minidiff.classroom.derivations.removed_fraction import removed_fraction
from minidiff.diffusion import forward, losses
from minidiff.diffusion.ddim import ddim_sample
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG

MIXTURE = GaussianMixture([0.5, 0.5], [[-0.8], [0.8]], 0.05)


def near_a_mode(x):
    return (np.abs(np.abs(x) - 0.8) < 0.2).mean()


def test_1_a_standard_normal_step_forgets_the_image(linear):
    x, eps = np.full((1, 2), 0.9), np.array([[0.3, -1.0]])
    assert np.array_equal(as_printed.q_step(x, 1, eps, linear), eps)
    right = forward.q_step(x, 1, eps, linear)
    np.testing.assert_allclose(right, 0.99995 * x + 0.01 * eps, rtol=1e-6)


def test_5_the_noise_of_one_step_is_a_small_part_of_what_the_network_predicts(linear):
    """The coefficient of eps_{t-1} in x_t over that of the merged eps, from the two forward formulas themselves."""
    one = np.ones((1, 1))
    for t, expected in ((1, 1.0), (2, 0.7384), (500, 0.1044), (1000, 0.1414)):
        step = forward.q_step(0 * one, t, one, linear).item()
        total = forward.q_sample(0 * one, t, one, linear).item()
        assert as_printed.step_noise_share(t, linear) == pytest.approx(step / total, rel=1e-12)
        assert step / total == pytest.approx(expected, abs=1e-4)


def test_6_the_clipped_cosine_leaves_signal():
    left = [math.sqrt(as_printed.cosine_schedule(T).at(T).alpha_bar) for T in (1000, 100, 50)]
    np.testing.assert_allclose(left, [0.057, 0.44, 0.63], atol=0.005)
    assert math.sqrt(make_schedule("cosine", 50).at(50).alpha_bar) < 0.002


def test_9_formula_and_code_add_different_noise(linear):
    ratios = []
    for t in (1, 2, 3, 100):
        formula, code = as_printed.sigma_of_formula_and_code(t, linear)
        ratios.append((formula / code) ** 2)
    np.testing.assert_allclose(ratios, [0, 0.4547, 0.6113, 0.9819], atol=5e-5)


def test_10_and_13_the_reconstruction_counted_T_minus_1_times_or_not_at_all():
    L_T, L, L_0 = 0.5, [0.1] * 999, 2.0
    assert as_printed.vlb_last_line(L_T, L, L_0) == pytest.approx(0.5 + 99.9 + 999 * 2.0)
    assert as_printed.vlb_simplified(L_T, L, L_0) == pytest.approx(99.9)
    assert L_T + sum(L) + L_0 == pytest.approx(102.4)


def test_14_the_squared_spectral_norm_makes_the_weight_ten_thousand_times_larger(linear):
    assert as_printed.weight_with_squared_norm(1, linear) == pytest.approx(5001, abs=0.6)
    assert loss_weight(1, linear) == pytest.approx(0.5001, abs=1e-4)
    assert np.linalg.norm(linear.at(1).beta * np.eye(5), 2) == pytest.approx(linear.at(1).beta, rel=1e-12)


def test_15_the_constant_weight_falls_ninety_fold(linear):
    assert loss_weight(1, linear) / loss_weight(500, linear) == pytest.approx(90.9, abs=0.1)


def test_17_the_printed_norm_is_D_times_the_mse_of_the_code(images):
    _, _, eps = images
    assert squared_norm(eps, 0 * eps).mean() / losses.L_simple(eps, 0 * eps) == pytest.approx(16, rel=1e-12)


def test_21_an_unshaped_t_fails_or_scales_columns_instead_of_images(linear):
    alpha_hat = linear.tables["alpha_bar"][1:]
    t = np.array([0, 300, 600, 999])
    with pytest.raises(ValueError, match="could not be broadcast"):
        as_printed.diffuse_image(np.ones((4, 1, 6, 6)), t, alpha_hat, 0)
    silent = as_printed.diffuse_image(np.ones((4, 1, 4, 4)), t, alpha_hat, 0)
    right = forward.q_sample(np.ones((4, 1, 4, 4)), t + 1, np.zeros((4, 1, 4, 4)), linear)
    np.testing.assert_allclose(silent[0, 0, 0], right[:, 0, 0, 0], rtol=1e-12)
    assert np.ptp(silent[0]) > 0.9 and np.ptp(right[0]) == 0


def test_22_sampling_upwards_does_not_reach_the_data(linear):
    """Exact predictor, 500 samples: all near a mode counting down; counting up 24 %, which is what pure noise has."""
    x_T = RNG(0).normal((500, 1), dtype=np.float64)
    upwards = as_printed.sample(MIXTURE.eps_theta(linear), x_T, linear, RNG(1))
    downwards = ddim_sample(MIXTURE.eps_theta(linear), x_T, linear, steps=200)
    assert near_a_mode(upwards) == pytest.approx(near_a_mode(x_T), abs=0.06)
    assert near_a_mode(upwards) < 0.3
    assert near_a_mode(downwards) > 0.99


def test_24_a_zero_based_i_leaves_t_2_without_noise():
    assert as_printed.noise_free_times(1000) == [2, 1]


def test_25_the_removed_fraction_is_another_number(linear):
    printed = [as_printed.removed_fraction(t, linear) for t in (1, 10, 100)]
    np.testing.assert_allclose(printed, [0.01, 0.0064, 0.0065], atol=6e-5)
    right = [removed_fraction(t, linear) for t in (1, 2, 10, 500, 1000)]
    np.testing.assert_allclose(right, [1, 0.545, 0.147, 0.0109, 0.0200], atol=6e-4)


def test_28_alpha_for_alpha_bar_hardly_moves_the_noise(linear):
    """As printed, 999 exact predictions bring a third of the samples near a mode, where pure noise has a quarter."""
    x = RNG(0).normal((500, 1), dtype=np.float64)
    eps_theta = MIXTURE.eps_theta(linear)
    printed = x
    for t in range(1000, 1, -1):
        printed = as_printed.ddim_step(printed, t, eps_theta(printed, np.full(500, t)), linear)
    assert near_a_mode(printed) == pytest.approx(0.33, abs=0.04)
    assert near_a_mode(ddim_sample(eps_theta, x, linear)) > 0.99


def test_29_the_radicand_is_negative_at_t_1_and_2_only(linear):
    negative = [t for t in range(1, 1001) if as_printed.radicand_with_beta(t, linear) < 0]
    assert negative == [1, 2]
    assert as_printed.radicand_with_beta(1, linear) == pytest.approx(-1e-4)


def test_36_the_embedding_is_neither_the_order_nor_the_frequencies_of_the_transformer():
    d, t = 8, 100
    slide = np.concatenate([f(t / 10000 ** (np.arange(d) / (d - 1))) for f in (np.sin, np.cos)])
    transformer = as_printed.transformer_embedding(t, d)
    assert np.abs(np.sort(slide) - np.sort(transformer)).max() > 0.1
    assert 10000 ** ((d - 1) / (d - 1)) == 10000 and 10000 ** ((d - 1) / d) == pytest.approx(3162, abs=1)


def test_37_channel_multipliers_multiply_up():
    assert as_printed.channels(64, (1, 2, 2, 4)) == [64, 128, 256, 1024]
    assert [64 * m for m in (1, 2, 2, 4)] == [64, 128, 128, 256]


def test_39_four_levels_do_not_fit_28_pixels():
    assert as_printed.sizes_down_and_up(28, 4) == ([28, 14, 7, 4], [8, 14, 28])
    assert as_printed.sizes_down_and_up(28, 3) == ([28, 14, 7], [14, 28])
    assert as_printed.sizes_down_and_up(32, 4) == ([32, 16, 8, 4], [8, 16, 32])


def test_the_famous_weights_of_v_are_another_loss(linear):
    """As a weight for |x_0 - x_0_hat|^2, the one number that all forms share: min(SNR, 5) against what the programs trained with."""
    for t, right, printed, floored in ((1000, 4.04e-5, 1.0, 2.0), (500, 0.0853, 1.0853, 2.1706), (1, 5.0, 5.0, 10005.0)):
        snr, unit = linear.snr(t), x_0_error_of("v", t, linear)
        assert prediction_weight("v", t, linear) / unit == pytest.approx(right, rel=2e-3)
        assert as_printed.min_snr_weight_of_v(snr) / unit == pytest.approx(printed, rel=2e-3)
        assert as_printed.min_snr_weight_of_v_floored(snr) / unit == pytest.approx(floored, rel=2e-3)


def test_the_famous_weight_is_felt_where_the_image_is_lost(linear):
    """Of the sum of the weights of v over all t, the noisier half of the times has 3.5 % by the right form, 55 % as it was."""
    t = np.arange(1, 1001)
    snr = linear.snr(t)

    def share_of_noisy_half(w):
        return w[500:].sum() / w.sum()

    assert share_of_noisy_half(prediction_weight("v", t, linear)) == pytest.approx(0.035, abs=0.001)
    assert share_of_noisy_half(as_printed.min_snr_weight_of_v(snr)) == pytest.approx(0.551, abs=0.001)
