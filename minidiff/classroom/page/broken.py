"""The tab Broken on purpose: each class A erratum of the deck as a switch.

Off, the package's own code runs; on, the form that the slide prints. The exact predictor of a
known distribution stands for the network, so whatever breaks, the formula broke it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minidiff.classroom.page.points import LIMIT, distance_of_clouds
from minidiff.classroom.page.printed_forms import (
    Subject,
    alpha_for_alpha_bar,
    beta_for_beta_tilde,
    clip_at_0_02,
    cumulative_channels,
    halved_three_times,
    no_index,
    no_noise_at_2,
    one_t_per_image,
    removed_fraction,
    sigma_to_the_fourth,
    subject,
    upwards,
)
from minidiff.classroom.page.wire import on_page, sentence
from minidiff.classroom.tables.errata import ERRATA
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.engine.random import RNG


class Switch(NamedTuple):
    """An erratum to flip: its number, a name, its slide, and both lines of code."""

    erratum: int
    title: str
    slide: int
    right: str
    printed: str
    run: Callable[[Subject, bool], Any]
    kind: str = "samples"
    watch: str = ""
    narrow: bool = False  # see `subject`; the samples are then judged by the clusters' width


SWITCHES = (
    Switch(
        6, "the clip at 0.02", 5,
        "beta = np.clip(beta, 0.0, 0.999)",
        "beta = np.clip(beta, 0.0001, 0.02)",
        clip_at_0_02, "samples",
        (
            "With T = 50 and this clip, 63 % of the image is still in x_T. The sampler starts "
            "from pure noise, which the chain never reaches."
        ),
    ),
    Switch(
        9, "beta for beta_tilde", 20,
        "sigma_t = sqrt(beta_tilde)",
        "sigma_t = sqrt(beta)",
        beta_for_beta_tilde, "samples",
        (
            "The formula on this slide adds sqrt(beta_tilde) z, the code sqrt(beta) z. With "
            "50 steps one cloud is too narrow and the other too wide: the truth lies between. "
            "Choose one, and say which."
        ),
        narrow=True,
    ),
    Switch(
        14, "sigma to the fourth", 14,
        "w = beta**2 / (2 * sigma**2 * alpha * (1 - alpha_bar))",
        "w = beta**2 / (2 * sigma**4 * alpha * (1 - alpha_bar))",
        sigma_to_the_fourth, "curves",
        (
            "The squared norm of the matrix sigma^2 I is sigma^4. At t = 1 the weight becomes "
            "5001 where 0.50 is right."
        ),
    ),
    Switch(
        21, "one t per image", 18,
        "alpha_hat[t][:, None]",
        "alpha_hat[t]",
        one_t_per_image, "samples",
        (
            "Without a shape, NumPy lines t up with the last axis: each coordinate, or each "
            "column of pixels, gets its own t. Nothing warns."
        ),
    ),
    Switch(
        22, "the loop runs upwards", 20,
        "for t in range(T, 0, -1):",
        "for i in range(noise_steps):",
        upwards, "samples",
        (
            "Sampling must count down from noise to data. Upwards, the last steps take noise "
            "away that was never there."
        ),
    ),
    Switch(
        23, "tables without an index", 20,
        "1 / sqrt(alpha[t]) * (x - ...)",
        "1 / sqrt(alpha) * (x - ...)",
        no_index, "samples",
        "alpha is the table of all T values. It does not even fit the shape of x.",
    ),
    Switch(
        24, "if i > 1", 20,
        "z = normal() if i > 0 else 0",
        "z = normal() if i > 1 else 0",
        no_noise_at_2, "samples",
        (
            "With i = t - 1 the condition is false at t = 2, too, and that step gets no "
            "noise. The clusters come out half as wide as they should be."
        ),
        narrow=True,
    ),
    Switch(
        25, "the fraction removed", 20,
        "beta / (1 - alpha_bar)",
        "beta / sqrt(alpha * (1 - alpha_bar))",
        removed_fraction, "curves",
        (
            "The slide gives the coefficient of eps_theta. The last step removes all of the "
            "noise that is left, not 1 % of it."
        ),
    ),
    Switch(
        28, "alpha for alpha_bar", 24,
        "sqrt(alpha_bar_prev) * (x_t - sqrt(1 - alpha_bar) * eps) / sqrt(alpha_bar)",
        "sqrt(alpha_prev) * (x_t - sqrt(1 - alpha) * eps) / sqrt(alpha)",
        alpha_for_alpha_bar, "samples",
        (
            "DDIM's paper writes alpha for what DDPM calls alpha_bar. Read with DDPM's alpha, "
            "each step removes too little: noise is left at the end."
        ),
    ),
    Switch(
        37, "channels multiply up", 30,
        "out_channels = n_channels * ch_mults[i]",
        "out_channels = in_channels * ch_mults[i]",
        cumulative_channels, "channels",
        "Each level multiplies what the level before has multiplied already.",
    ),
    Switch(
        39, "28 pixels, four levels", 30,
        "ch_mults = (1, 2, 2)",
        "ch_mults = (1, 2, 2, 4)",
        halved_three_times, "sizes",
        (
            "28, 14, 7, 4: half of 7 is rounded up, and on the way back 4 doubles to 8, which "
            "does not meet the skip connection of 7."
        ),
    ),
)  # fmt: skip


@on_page
def switches() -> list[dict[str, Any]]:
    """What can be flipped, in the order of the deck."""
    return [
        {
            "erratum": s.erratum, "title": s.title, "slide": s.slide, "right": s.right,
            "printed": s.printed, "kind": s.kind, "watch": s.watch, "says": ERRATA[s.erratum][1],
        }
        for s in SWITCHES
    ]  # fmt: skip


@on_page
def flip(erratum: int, broken: bool, on: str = "points") -> dict[str, Any]:
    """Run one switch in one position.   on: "points" or "digit"

    -> samples with their distance to the exact answer, or numbers; "refused" if it can't run
    """
    found = [s for s in SWITCHES if s.erratum == erratum]
    if not found:
        raise ValueError(f"broken: erratum {erratum} is no switch")
    switch, who = found[0], subject(on, found[0].narrow)
    try:
        with np.errstate(all="ignore"):
            result = switch.run(who, broken)
    except (ValueError, ZeroDivisionError) as error:
        return {"kind": switch.kind, "refused": sentence(error)}
    if switch.kind != "samples":
        return {"kind": switch.kind, **result}
    wanted = (*result.shape[:1], *who.mixture.shape)
    if result.shape != wanted:
        got = f"x has become {result.shape}, wanted is {wanted}"
        return {"kind": switch.kind, "refused": got}
    return {"kind": switch.kind, "samples": result, "limit": LIMIT, **judged(switch, who, result)}


def judged(switch: Switch, who: Subject, result: Any) -> dict[str, Any]:
    """The distance of samples to the exact answer, and what exact draws have."""
    if switch.erratum == 21:
        exact = one_t_per_image(who, False)
        return {"distance": float(np.abs(result - exact).mean()), "exact": 0.0,
                "measure": "mean difference to the right x_t",
                "beside": "the right one has"}  # fmt: skip
    if who.name == "points" and switch.narrow:
        return {"distance": width(result, who.mixture), "exact": 0.05,
                "measure": "width of the clusters", "beside": "is their exact width"}  # fmt: skip
    if who.name == "points":
        exact = who.mixture.sample(who.n, RNG(7), dtype=np.float32)
        return {"distance": distance_of_clouds(result, who.mixture),
                "exact": distance_of_clouds(exact, who.mixture),
                "measure": "energy distance to exact draws",
                "beside": "other exact draws have"}  # fmt: skip
    exact = who.mixture.sample(who.n, RNG(7), dtype=np.float32)
    return {"distance": to_nearest(result, who.mixture), "exact": to_nearest(exact, who.mixture),
            "measure": "root mean square to the nearest digit",
            "beside": "exact draws have"}  # fmt: skip


def width(points: Any, mixture: GaussianMixture) -> float:
    """Standard deviation of points around the nearest mean, over both coordinates."""
    squared = ((points[:, None] - mixture.means[None]) ** 2).sum(axis=-1)
    return float(np.sqrt(squared.min(axis=1).mean() / 2))


def to_nearest(images: Any, mixture: GaussianMixture) -> float:
    """How far samples are from the nearest mean, per pixel, on average."""
    if not np.isfinite(images).all():
        return float("inf")
    means = mixture.means[None]
    squared = ((images[:, None].astype(np.float64) - means) ** 2).mean(axis=(2, 3, 4))
    return float(np.sqrt(squared.min(axis=1)).mean())
