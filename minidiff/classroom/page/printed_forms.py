"""The class A errata side by side: the right form and the printed one, run on known data."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidiff.classroom import as_printed
from minidiff.classroom.mutants import mutated
from minidiff.classroom.page.points import N_POINTS, make_mixture
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


# -- what each switch does: (subject, broken) -> samples, or numbers to draw -----------------------


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
