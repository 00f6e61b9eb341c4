"""The forms of the deck that break, exactly as printed, to run them beside the right ones.

Each function names its erratum. `tests/classroom/test_as_printed.py` states the difference in
numbers. The last two are of no slide but of a library's programs, which were used for years.
Nothing else in the package imports this module.
"""

from __future__ import annotations

import math

import numpy as np

from minidiff.diffusion.schedule import DECK_CLIP, Schedule, make_schedule


def q_step(x_prev, t, eps, schedule):
    """Erratum 1: "q(x_t | x_{t-1}) is standard normal".    -> (B, ...)

    Then x_t is the noise itself, and x_{t-1} is forgotten.
    """
    return 0 * x_prev + eps


def step_noise_share(t, schedule):
    """Erratum 5: eps_{t-1}, "the noise at each timestep", as the target.    -> float

    Its correlation with the eps that is in x_t: x_t holds sqrt(beta_t) of the noise of step t and
    sqrt(1 - alpha_bar_t) in all. A network trained on the step's noise would predict this fraction
    of eps: 0.10 at t = 500.
    """
    now = schedule.at(t)
    return math.sqrt(now.beta / now.one_minus_alpha_bar)


def cosine_schedule(T: int) -> Schedule:
    """Erratum 6: the cosine betas clipped to [0.0001, 0.02]."""
    return make_schedule("cosine", T, **DECK_CLIP)


def sigma_of_formula_and_code(t, schedule):
    """Erratum 9: one slide adds sqrt(beta_tilde) z in its formula, sqrt(beta) z in its code.

    -> (float, float)
    """
    now = schedule.at(t)
    return math.sqrt(now.beta_tilde), math.sqrt(now.beta)


def vlb_last_line(L_T, L_t_minus_1, L_0):
    """Erratum 10: -log p(x_0 | x_1) inside the sum over t = 2..T, and so counted T - 1 times.

    L_t_minus_1: T - 1 values -> float
    """
    return L_T + sum(term + L_0 for term in L_t_minus_1)


def vlb_simplified(L_T, L_t_minus_1, L_0):
    """Erratum 13: the bound without L_T and L_0. (L_simple is not without t = 1.)"""
    return sum(L_t_minus_1)


def weight_with_squared_norm(t, schedule):
    """Erratum 14: 1 / (2 ||Sigma||_2^2).    -> float

    The spectral norm of sigma^2 I is sigma^2, and its square is sigma^4.
    """
    now = schedule.at(t)
    sigma_squared = now.beta
    return now.beta**2 / (2 * now.alpha * now.one_minus_alpha_bar * sigma_squared**2)


def diffuse_image(x, t, alpha_hat, E):
    """Erratum 21: `alpha_hat[t]` without a shape.

    For a batch of t, NumPy lines t up with the *last* axis of the images.
    x: (B, C, H, W); t: int or (B,); alpha_hat: (T,), entry 0 is t = 1
    -> (B, C, H, W), if it works at all
    """
    return np.sqrt(alpha_hat[t]) * x + np.sqrt(1 - alpha_hat[t]) * E


def sample(eps_theta, x, schedule, rng):
    """Errata 9, 22, 24: `for i in range(noise_steps)` counts upwards, noise `if i > 1`.    -> x_0

    alpha and the others are read at i, which counts from 0, so that table entry i + 1 is meant.
    What the slide leaves undefined (t, the index) is filled in with i.
    """
    for i in range(schedule.T):
        t = np.full(len(x), i + 1)
        predicted_noise = eps_theta(x, t)
        noise = rng.normal(x.shape, dtype=x.dtype) if i > 1 else 0 * x
        now = schedule.at(i + 1)
        alpha, alpha_hat, beta = now.alpha, now.alpha_bar, now.beta
        x = 1 / math.sqrt(alpha) * (
            x - ((1 - alpha) / (math.sqrt(1 - alpha_hat))) * predicted_noise
        ) + math.sqrt(beta) * noise
    return x


def noise_free_times(T):
    """Erratum 24: with i = t - 1 counting down from T - 1 to 0, `if i > 1` is false for these t.

    -> list of ints
    """
    return [i + 1 for i in range(T - 1, -1, -1) if not i > 1]


def removed_fraction(t, schedule):
    """Erratum 25: beta / sqrt(alpha (1 - alpha_bar)).    -> float

    This is the coefficient of eps_theta, not the fraction of the noise.
    """
    now = schedule.at(t)
    return now.beta / math.sqrt(now.alpha * now.one_minus_alpha_bar)


def ddim_step(x_t, t, eps_hat, schedule):
    """Erratum 28: the deterministic step in DDIM's letters, its alpha read as the slides' alpha_t.

    t: int in 2..T
    """
    alpha, alpha_prev = schedule.at(t).alpha, schedule.at(t - 1).alpha
    x_0_hat = (x_t - math.sqrt(1 - alpha) * eps_hat) / math.sqrt(alpha)
    direction = math.sqrt(1 - alpha_prev) * eps_hat
    return math.sqrt(alpha_prev) * x_0_hat + direction


def radicand_with_beta(t, schedule):
    """Erratum 29: 1 - alpha_bar_{t-1} - sigma_t^2 with the sigma_t^2 = beta_t of the slide's code.

    -> float, negative at t = 1 and 2
    """
    return schedule.at(t - 1, first=0).one_minus_alpha_bar - schedule.at(t).beta


def transformer_embedding(t, half_dim):
    """Erratum 36: "same as those from the transformer".    -> (2 half_dim,)

    In the transformer sines and cosines alternate, and the exponent is 2i / d_model.
    """
    i = np.arange(half_dim)
    angle = t / 10000 ** (i / half_dim)
    return np.stack([np.sin(angle), np.cos(angle)], axis=1).ravel()


def channels(n_channels, ch_mults):
    """Erratum 37: `out_channels = in_channels * ch_mults[i]` multiplies cumulatively.

    -> channels of each level
    """
    result, in_channels = [], n_channels
    for mult in ch_mults:
        in_channels = in_channels * mult
        result.append(in_channels)
    return result


def sizes_down_and_up(size, levels):
    """Erratum 39: sides of the skip connections going down, and of what comes up.    -> two lists

    Down: 3x3, stride 2, padding 1. Up: doubled.
    """
    down = [size]
    for _ in range(levels - 1):
        down.append((down[-1] + 1) // 2)
    up = [2 * side for side in down[:0:-1]]
    return down, up


def min_snr_weight_of_v(snr, gamma=5.0):
    """Min-SNR for v as diffusers' training programs had it up to the end of 2023 (its issue 5654): SNR + 1 in both places.   -> as snr.

    The weight of v's error is min(SNR, gamma) / (SNR + 1), or else it is another loss than that for x_0 and eps: where
    x_t is nearly all noise, the right weight goes to 0, and this one to 1.
    """
    return np.minimum(snr + 1, gamma) / (snr + 1)


def min_snr_weight_of_v_floored(snr, gamma=5.0):
    """The form of the same programs that added 1 to the weight for eps, "floored to an SNR weight of one".   -> as snr.

    No weight for x_0 belongs to it: clean images count 1 + gamma / SNR for v, and (SNR + 1 + gamma) for x_0.
    """
    return np.minimum(snr, gamma) / snr + 1
