"""The difference between what the deck prints and what is right, as numbers that are computed here.

Each function runs the printed form (`as_printed`) and the right one, and says both in a sentence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from minidiff.classroom import as_printed
from minidiff.classroom.derivations.loss_weight import loss_weight
from minidiff.classroom.derivations.removed_fraction import removed_fraction
from minidiff.diffusion.ddim import ddim_sample
from minidiff.diffusion.forward import q_sample, q_step
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.schedule import make_schedule
from minidiff.diffusion.schedule_check import unit_pixel_L_T
from minidiff.engine.random import RNG

LINEAR = make_schedule("linear", 1000)
MODES = GaussianMixture([0.5, 0.5], [[-0.8], [0.8]], 0.05)
N = 500


@cache
def difference(number: int) -> str | None:
    """The sentence for erratum `number`; None where no number tells the two apart."""
    return _DIFFERENCES[number]() if number in _DIFFERENCES else None


def has_difference() -> list[int]:
    """The numbers of the errata whose difference is computed."""
    return sorted(_DIFFERENCES)


def _near_a_mode(x: np.ndarray) -> str:
    return f"{100 * (np.abs(np.abs(x) - 0.8) < 0.2).mean():.0f} %"


def _start() -> np.ndarray:
    return RNG(0).normal((N, 1), dtype=np.float64)


def _right_samples() -> str:
    return _near_a_mode(ddim_sample(MODES.eps_theta(LINEAR), _start(), LINEAR, steps=200))


def _1() -> str:
    x, eps = np.array([[0.9]]), np.array([[0.3]])
    printed, right = as_printed.q_step(x, 1, eps, LINEAR), q_step(x, 1, eps, LINEAR)
    values = f"printed x_1 = {printed.item():.4f}, right {right.item():.4f}"
    return f"x_0 = 0.9, t = 1, eps = 0.3: {values}."


def _2() -> str:
    x, eps = np.array([[0.9], [-0.4]]), np.array([[0.3], [0.3]])
    added = q_step(x, 500, eps, LINEAR) - q_step(x, 500, 0 * eps, LINEAR)
    return (
        f"t = 500: {added[0].item():.4f} is added to a pixel of 0.9, "
        f"and {added[1].item():.4f} to one of -0.4."
    )


def _4() -> str:
    long, short = (
        math.sqrt(make_schedule("linear", T, rescale=False).at(T).alpha_bar) for T in (1000, 50)
    )
    return f"Part of the image left in x_T: {long:.4f} for T = 1000, {short:.2f} for T = 50."


def _5() -> str:
    shares = ", ".join(f"{as_printed.step_noise_share(t, LINEAR):.2f}" for t in (1, 2, 500))
    return f"The step's noise is this part of the merged noise at t = 1, 2, 500: {shares}."


def _6() -> str:
    parts = []
    for T in (1000, 50):
        printed = math.sqrt(as_printed.cosine_schedule(T).at(T).alpha_bar)
        right = math.sqrt(make_schedule("cosine", T).at(T).alpha_bar)
        left = f"{100 * printed:.1f} % of the image is left, right {100 * right:.2g} %"
        parts.append(f"T = {T}: {left}")
    return "; ".join(parts) + "."


def _9() -> str:
    ratios = []
    for t in (1, 2, 100):
        formula, code = as_printed.sigma_of_formula_and_code(t, LINEAR)
        ratios.append(f"{formula / code:.2f}")
    return f"Noise of the formula over noise of the code at t = 1, 2, 100: {', '.join(ratios)}."


def _10() -> str:
    printed, right = as_printed.vlb_last_line(0.5, [0.1] * 999, 2.0), 0.5 + 99.9 + 2.0
    return f"L_T = 0.5, 999 terms of 0.1, L_0 = 2: printed {printed:.1f}, right {right:.1f} nats."


def _12() -> str:
    linear, clipped = (
        unit_pixel_L_T(schedule.at(1000).alpha_bar)
        for schedule in (LINEAR, as_printed.cosine_schedule(1000))
    )
    return f"L_T in bits of one pixel of 1: linear {linear:.1e}, the deck's cosine {clipped:.1e}."


def _13() -> str:
    printed = as_printed.vlb_simplified(0.5, [0.1] * 999, 2.0)
    return f"L_T = 0.5, 999 terms of 0.1, L_0 = 2: printed {printed:.1f}, the bound 102.4 nats."


def _14() -> str:
    printed, right = as_printed.weight_with_squared_norm(1, LINEAR), loss_weight(1, LINEAR)
    return f"Weight of the squared error at t = 1: printed {printed:.0f}, right {right:.2f}."


def _15() -> str:
    weights = ", ".join(f"{loss_weight(t, LINEAR):.4f}" for t in (1, 10, 500, 1000))
    return f"The weight at t = 1, 10, 500, 1000: {weights}."


def _17() -> str:
    error = np.full((1, 1, 28, 28), 0.1)
    values = f"norm {(error**2).sum():.2f}, MSE {(error**2).mean():.2f}"
    return f"An error of 0.1 in each of 784 pixels: {values}."


def _18() -> str:
    factors = ", ".join(
        f"{math.sqrt(now.one_minus_alpha_bar / now.alpha_bar):.2g}"
        for now in map(LINEAR.at, (1, 500, 1000))
    )
    return f"An error of 1 in eps is an error in x_0 of this size at t = 1, 500, 1000: {factors}."


def _21() -> str:
    alpha_hat, t = LINEAR.tables["alpha_bar"][1:], np.array([0, 300, 600, 999])
    images = np.ones((4, 1, 4, 4))
    printed = as_printed.diffuse_image(images, t, alpha_hat, 0)[0, 0, 0]
    right = q_sample(images, t + 1, 0 * images, LINEAR)[:, 0, 0, 0]
    row = ", ".join(f"{value:.2f}" for value in printed)
    factors = ", ".join(f"{value:.2f}" for value in right)
    return f"The factors of 4 images, {factors}, scale columns of each: {row}."


def _22() -> str:
    upwards = as_printed.sample(MODES.eps_theta(LINEAR), _start(), LINEAR, RNG(1))
    return (
        f"Samples near a mode, with the exact predictor: upwards {_near_a_mode(upwards)}, "
        f"noise alone {_near_a_mode(_start())}, downwards {_right_samples()}."
    )


def _24() -> str:
    times = ", ".join(map(str, as_printed.noise_free_times(1000)))
    return f"With i = 0..T-1 counting down, the steps t = {times} get no noise; right is t = 1."


def _25() -> str:
    pairs = "; ".join(
        f"t = {t}: printed {as_printed.removed_fraction(t, LINEAR):.4f}, "
        f"right {removed_fraction(t, LINEAR):.4f}"
        for t in (1, 10, 500)
    )
    return pairs + "."


def _28() -> str:
    x, eps_theta = _start(), MODES.eps_theta(LINEAR)
    for t in range(1000, 1, -1):
        x = as_printed.ddim_step(x, t, eps_theta(x, np.full(N, t)), LINEAR)
    shares = f"printed {_near_a_mode(x)}, right {_right_samples()}"
    return f"Samples near a mode, with the exact predictor: {shares}."


def _29() -> str:
    radicands = ", ".join(f"{as_printed.radicand_with_beta(t, LINEAR):.1e}" for t in (1, 2, 3))
    return f"1 - alpha_bar_(t-1) - beta_t at t = 1, 2, 3: {radicands}. A root needs it positive."


def _36() -> str:
    slide = 10000 ** -(np.arange(8) / 7)
    transformer = 10000 ** -(np.arange(8) / 8)
    return f"Lowest frequency of 8: slide {slide[-1]:.1e}, transformer {transformer[-1]:.1e}."


def _37() -> str:
    printed, right = as_printed.channels(64, (1, 2, 2, 4)), [64 * m for m in (1, 2, 2, 4)]
    return f"64 channels, multipliers 1, 2, 2, 4: printed {printed}, right {right}."


def _39() -> str:
    down, up = as_printed.sizes_down_and_up(28, 4)
    return f"28 pixels, four levels: down {down}, up {up}; a skip of 7 meets an 8."


_DIFFERENCES: dict[int, Callable[[], str]] = {
    1: _1, 2: _2, 4: _4, 5: _5, 6: _6, 9: _9, 10: _10, 12: _12, 13: _13, 14: _14, 15: _15, 17: _17,
    18: _18, 21: _21, 22: _22, 24: _24, 25: _25, 28: _28, 29: _29, 36: _36, 37: _37, 39: _39,
}  # fmt: skip
