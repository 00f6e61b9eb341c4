"""The tab Broken on purpose: each class A erratum of the deck as a switch.

Off, the package's own code runs; on, the form that the slide prints. The exact predictor of a
known distribution stands for the network, so whatever breaks, the formula broke it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minidiff.classroom import as_printed
from minidiff.classroom.mutants import mutated
from minidiff.classroom.page.points import LIMIT, N_POINTS, distance_of_clouds, make_mixture
from minidiff.classroom.page.wire import on_page, sentence
from minidiff.classroom.tables.errata import ERRATA
from minidiff.classroom.tables.mutants import Mutant
from minidiff.data import make_digits, to_float
from minidiff.diffusion.ddim import ddim_sample
from minidiff.diffusion.ddpm import ddpm_sample
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.schedule import Schedule, make_schedule
from minidiff.engine.random import RNG
from minidiff.models import UNet, UNetConfig

N_DIGITS, SHOWN_DIGITS = 100, 12


class Subject(NamedTuple):
    """What is diffused: a mixture, how many samples are drawn, and how a result is judged."""

    mixture: GaussianMixture
    n: int
    name: str


def subject(name: str, narrow: bool = False) -> Subject:
    """What is diffused: "points", three clusters, or "digit", drawn digits, each a Gaussian.

    narrow: make the clusters so narrow that the noise of the last steps shows
    """
    if name == "digit":
        images = to_float(make_digits(N_DIGITS, seed=0).images)
        return Subject(GaussianMixture(np.ones(N_DIGITS), images, 0.1), SHOWN_DIGITS, name)
    if name != "points":
        raise ValueError(f"broken: the subject must be points or digit, got {name!r}")
    clusters = make_mixture("clusters")
    if narrow:
        clusters = GaussianMixture(clusters.weights, clusters.means, 0.05)
    return Subject(clusters, N_POINTS, name)


# -- what each switch does: (subject, broken) -> samples, or numbers to draw ------------------------


def clip_at_0_02(who: Subject, broken: bool) -> Any:
    schedule = as_printed.cosine_schedule(50) if broken else make_schedule("cosine", 50)
    return _ddpm(who, schedule)


def beta_for_beta_tilde(who: Subject, broken: bool) -> Any:
    return _ddpm(who, make_schedule("linear", 50), variance="beta" if broken else "beta_tilde")


def one_t_per_image(who: Subject, broken: bool) -> Any:
    """Noisy data with a t of their own for each: half are to keep their shape, half are noise.

    Two points at a time, or 28 images, so that the shapes fit by accident and nothing warns.
    """
    schedule, rng = make_schedule("linear", 1000), RNG(0)
    side = who.mixture.shape[-1]  # NumPy lines t up with the last axis
    x_0 = who.mixture.sample(side * max(1, who.n // side), rng, dtype=np.float32)
    t = np.where(np.arange(side) % 2, 1000, 1)
    table = schedule.tables["alpha_bar"][1:].astype(np.float32)
    parts = []
    for batch in np.split(x_0, len(x_0) // side):
        eps = rng.normal(batch.shape)
        wrong = as_printed.diffuse_image(batch, t - 1, table, eps) if broken else None
        parts.append(q_sample(batch, t, eps, schedule) if wrong is None else wrong)
    return np.concatenate(parts).astype(np.float32)[: max(who.n, side)]


def upwards(who: Subject, broken: bool) -> Any:
    schedule, rng = make_schedule("linear", 50), RNG(1)
    if not broken:
        return _ddpm(who, schedule, variance="beta")
    x_T = rng.normal((who.n, *who.mixture.shape))
    return as_printed.sample(who.mixture.eps_theta(schedule), x_T, schedule, rng)


def no_index(who: Subject, broken: bool) -> Any:
    """alpha, alpha_hat and beta without [t] are whole tables."""
    schedule, rng = make_schedule("linear", 50), RNG(1)
    if not broken:
        return _ddpm(who, schedule, variance="beta")
    x = rng.normal((who.n, *who.mixture.shape))
    alpha, alpha_hat = (schedule.tables[name][1:] for name in ("alpha", "alpha_bar"))
    predicted_noise = who.mixture.eps_theta(schedule)(x, np.full(who.n, 50))
    return 1 / np.sqrt(alpha) * (x - ((1 - alpha) / (np.sqrt(1 - alpha_hat))) * predicted_noise)


def no_noise_at_2(who: Subject, broken: bool) -> Any:
    schedule = make_schedule("linear", 50)
    slip = Mutant("ddpm.algorithm_2", "i = t - 1", "if t > 1 else", "if t - 1 > 1 else")
    if not broken:
        return _ddpm(who, schedule, variance="beta")
    with mutated(slip):
        return _ddpm(who, schedule, variance="beta")


def alpha_for_alpha_bar(who: Subject, broken: bool) -> Any:
    schedule, rng = make_schedule("linear", 100), RNG(1)
    x = rng.normal((who.n, *who.mixture.shape))
    eps_theta = who.mixture.eps_theta(schedule)
    if not broken:
        return ddim_sample(eps_theta, x, schedule)
    for t in range(schedule.T, 1, -1):
        x = as_printed.ddim_step(x, t, eps_theta(x, np.full(who.n, t)), schedule)
        x = x.astype(np.float32)
    return x


def sigma_to_the_fourth(who: Subject, broken: bool) -> Any:
    """The weight of the loss at each t."""
    schedule = make_schedule("linear", 1000)
    t = np.unique(np.geomspace(1, 1000, 60).astype(int))
    printed = [as_printed.weight_with_squared_norm(int(i), schedule) for i in t]
    now = schedule.at(t)
    right = now.beta / (2 * now.alpha * now.one_minus_alpha_bar)
    return {"t": t, "right": right, "printed": np.array(printed)}


def removed_fraction(who: Subject, broken: bool) -> Any:
    """The share of the noise that one step takes away."""
    schedule = make_schedule("linear", 1000)
    t = np.unique(np.geomspace(1, 1000, 60).astype(int))
    printed = [as_printed.removed_fraction(int(i), schedule) for i in t]
    now = schedule.at(t)
    return {"t": t, "right": now.beta / now.one_minus_alpha_bar, "printed": np.array(printed)}


def cumulative_channels(who: Subject, broken: bool) -> Any:
    """Channels of each level, and the parameters of the network that has them."""
    settings: dict[str, Any] = {"n_channels": 16, "ch_mults": (1, 2, 2), "is_attn": (False,) * 3}
    config = UNetConfig(**settings, cumulative=broken)
    deck = (1, 2, 2, 4)
    return {
        "levels": as_printed.channels(64, deck) if broken else [64 * mult for mult in deck],
        "parameters": UNet(config, RNG(0)).parameter_count(), "small": list(config.channels),
    }  # fmt: skip


def halved_three_times(who: Subject, broken: bool) -> Any:
    """Sides of the images on the way down and on the way up."""
    levels = 4 if broken else 3
    down, up = as_printed.sizes_down_and_up(28, levels)
    reply: dict[str, Any] = {"down": down, "up": up}
    try:
        UNetConfig(ch_mults=(1,) * levels, is_attn=(False,) * levels, image_size=28)
    except ValueError as error:
        reply["refused"] = str(error)
    return reply


def _ddpm(who: Subject, schedule: Schedule, variance: str = "beta_tilde") -> Any:
    eps_theta = who.mixture.eps_theta(schedule)
    shape = (who.n, *who.mixture.shape)
    return ddpm_sample(eps_theta, shape, schedule, RNG(1), variance=variance)


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
    Switch(6, "the clip at 0.02", 5, "beta = np.clip(beta, 0.0, 0.999)", "beta = np.clip(beta, 0.0001, 0.02)", clip_at_0_02,
           watch="With T = 50 and this clip, 63 % of the image is still in x_T. The sampler starts from pure noise, which the chain never reaches."),
    Switch(9, "beta for beta_tilde", 20, "sigma_t = sqrt(beta_tilde)", "sigma_t = sqrt(beta)", beta_for_beta_tilde,
           watch="The formula on this slide adds sqrt(beta_tilde) z, the code sqrt(beta) z. With 50 steps one cloud is too narrow and the other too wide: the truth lies between. Choose one, and say which.", narrow=True),
    Switch(14, "sigma to the fourth", 14, "w = beta**2 / (2 * sigma**2 * alpha * (1 - alpha_bar))",
           "w = beta**2 / (2 * sigma**4 * alpha * (1 - alpha_bar))", sigma_to_the_fourth, "curves",
           "The squared norm of the matrix sigma^2 I is sigma^4. At t = 1 the weight becomes 5001 where 0.50 is right."),
    Switch(21, "one t per image", 18, "alpha_hat[t][:, None]", "alpha_hat[t]", one_t_per_image,
           watch="Without a shape, NumPy lines t up with the last axis: each coordinate, or each column of pixels, gets its own t. Nothing warns."),
    Switch(22, "the loop runs upwards", 20, "for t in range(T, 0, -1):", "for i in range(noise_steps):", upwards,
           watch="Sampling must count down from noise to data. Upwards, the last steps take noise away that was never there."),
    Switch(23, "tables without an index", 20, "1 / sqrt(alpha[t]) * (x - ...)", "1 / sqrt(alpha) * (x - ...)", no_index,
           watch="alpha is the table of all T values. It does not even fit the shape of x."),
    Switch(24, "if i > 1", 20, "z = normal() if i > 0 else 0", "z = normal() if i > 1 else 0", no_noise_at_2,
           watch="With i = t - 1 the condition is false at t = 2, too, and that step gets no noise. The clusters come out half as wide as they should be.", narrow=True),
    Switch(25, "the fraction removed", 20, "beta / (1 - alpha_bar)", "beta / sqrt(alpha * (1 - alpha_bar))", removed_fraction, "curves",
           "The slide gives the coefficient of eps_theta. The last step removes all of the noise that is left, not 1 % of it."),
    Switch(28, "alpha for alpha_bar", 24, "sqrt(alpha_bar_prev) * (x_t - sqrt(1 - alpha_bar) * eps) / sqrt(alpha_bar)",
           "sqrt(alpha_prev) * (x_t - sqrt(1 - alpha) * eps) / sqrt(alpha)", alpha_for_alpha_bar,
           watch="DDIM's paper writes alpha for what DDPM calls alpha_bar. Read with DDPM's alpha, the step hardly moves: noise stays noise."),
    Switch(37, "channels multiply up", 30, "out_channels = n_channels * ch_mults[i]", "out_channels = in_channels * ch_mults[i]", cumulative_channels, "channels",
           "Each level multiplies what the level before has multiplied already."),
    Switch(39, "28 pixels, four levels", 30, "ch_mults = (1, 2, 2)", "ch_mults = (1, 2, 2, 4)", halved_three_times, "sizes",
           "28, 14, 7, 4: half of 7 is rounded up, and on the way back 4 doubles to 8, which does not meet the skip connection of 7."),
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
                "measure": "mean difference to the right x_t"}  # fmt: skip
    if who.name == "points" and switch.narrow:
        return {"distance": width(result, who.mixture), "exact": 0.05,
                "measure": "width of the clusters"}  # fmt: skip
    if who.name == "points":
        exact = who.mixture.sample(who.n, RNG(7), dtype=np.float32)
        return {"distance": distance_of_clouds(result, who.mixture),
                "exact": distance_of_clouds(exact, who.mixture),
                "measure": "energy distance to exact draws"}  # fmt: skip
    exact = who.mixture.sample(who.n, RNG(7), dtype=np.float32)
    return {"distance": to_nearest(result, who.mixture), "exact": to_nearest(exact, who.mixture),
            "measure": "root mean square to the nearest digit"}  # fmt: skip


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
