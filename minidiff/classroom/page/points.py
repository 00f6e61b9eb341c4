"""The tab Points: noise and data in the plane, where the exact answer is known.

Every distribution is a mixture of Gaussians. So q(x_t), its score and the best eps_theta are
formulas (diffusion/oracle.py), and a network's distance to them is a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from minidiff.classroom.page.exact_map import FOUR, rms_distance
from minidiff.classroom.page.lines import run_with_values
from minidiff.classroom.page.training import PointTraining
from minidiff.classroom.page.wire import on_page
from minidiff.data import swiss_roll_curve
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.oracle import GaussianMixture, exact_score
from minidiff.diffusion.schedule import Schedule, make_schedule
from minidiff.diffusion.step import Step
from minidiff.engine.random import RNG
from minidiff.sampling.solvers import SAMPLERS, SamplerSettings, network_calls, sampler_steps

N_POINTS = 600
LIMIT = 2.6  # the picture shows -LIMIT..LIMIT
GRID = 17  # arrows along a side
MOST_DRAWN = 200


def two_moons(n: int) -> np.ndarray:
    """n means on two half circles, one inside the other.   -> (n, 2)"""
    angle = np.linspace(0, np.pi, n // 2)
    upper = np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25], axis=1)
    return 1.25 * np.concatenate([upper, -upper])


def make_mixture(name: str, drawn: list[list[float]] | None = None) -> GaussianMixture:
    """The distribution called "roll", "moons", "clusters", "four" or "drawn".

    drawn: the points of the mouse, for "drawn"
    Raises: ValueError for another name, or fewer than 3 drawn points.
    """
    if name == "drawn":
        points = np.asarray(drawn or [], dtype=np.float64).reshape(-1, 2)
        if len(points) < 3:
            raise ValueError("draw a shape first: press the mouse on the picture and move it")
        means = points[np.linspace(0, len(points) - 1, min(len(points), MOST_DRAWN)).astype(int)]
        return GaussianMixture(np.ones(len(means)), means, 0.08)
    if name == "clusters":
        return GaussianMixture([0.5, 0.3, 0.2], [[-1.2, -0.6], [1.2, -0.4], [0.1, 1.3]], 0.18)
    if name == "four":
        return FOUR.plane
    known = {"roll": swiss_roll_curve, "moons": two_moons}
    if name not in known:
        raise ValueError(f"points: the data must be {', '.join(known)}, clusters, four or drawn")
    return GaussianMixture(np.ones(120), known[name](120), 0.06)


class World:
    """A distribution and a schedule; `at(t)` is everything that the picture of one t needs."""

    def __init__(self, data: str, schedule: str, T: int, drawn: Any = None):
        self.mixture = make_mixture(data, drawn)
        self.schedule: Schedule = make_schedule(schedule, T)
        rng = RNG(0)
        self.x_0 = self.mixture.sample(N_POINTS, rng, dtype=np.float32)
        self.eps = rng.normal(self.x_0.shape)
        self.eps_theta = self.mixture.eps_theta(self.schedule)

    def cloud(self, t: int) -> np.ndarray:
        """The same points and the same noise at time t, which may be 0."""
        return self.x_0 if t == 0 else q_sample(self.x_0, t, self.eps, self.schedule)

    def exact_arrows(self, t: int) -> np.ndarray:
        """sqrt(1 - alpha_bar_t) score on the grid: the direction of -eps."""
        grid = arrow_places()
        return exact_score(grid, t, self.mixture, self.schedule) * self.noise(t)

    def noise(self, t: int) -> np.float32:
        """sqrt(1 - alpha_bar_t)."""
        return np.float32(self.schedule.at(t).one_minus_alpha_bar ** 0.5)


def arrow_places() -> np.ndarray:
    """The points of the grid on which arrows stand.   -> (GRID^2, 2)"""
    side = np.linspace(-0.94 * LIMIT, 0.94 * LIMIT, GRID, dtype=np.float32)
    return np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)


@lru_cache(maxsize=4)
def _world(data: str, schedule: str, T: int, drawn: tuple[Any, ...] | None) -> World:
    return World(data, schedule, T, drawn)


def world(data: str, schedule: str, T: int, drawn: Any = None) -> World:
    """The World of these settings; the last few are kept."""
    points = tuple(map(tuple, drawn)) if data == "drawn" and drawn else None
    return _world(data, schedule, T, points)


@on_page
def forward(
    data: str, schedule: str, T: int, t: int, arrows: str = "exact", drawn: Any = None
) -> dict[str, Any]:
    """q(x_t | x_0): the cloud at t, the arrows, and q_sample's lines for the first point."""
    here = world(data, schedule, T, drawn)
    reply: dict[str, Any] = {"cloud": here.cloud(t), "limit": LIMIT, "places": arrow_places()}
    if t > 0:
        now = here.schedule.at(t)
        reply["alpha_bar"] = now.alpha_bar
        reply["code"] = run_with_values(q_sample, here.x_0[:1], t, here.eps[:1], here.schedule)
        if arrows == "exact":
            reply["arrows"] = here.exact_arrows(t)
        elif arrows == "network" and training.network is not None:
            reply["arrows"] = training.arrows(arrow_places(), t)
    reply["check"] = here.schedule.check().sentence
    return reply


# -- the reverse process ---------------------------------------------------------------------------


class Walk:
    """A sampler that goes on when the page asks for more.

    follows: whether its way is that of the ODE, and the exact one is known
    """

    steps: Iterator[Step] = iter(())
    here: World
    x_T: np.ndarray
    follows = False


walk = Walk()


@on_page
def reverse_start(
    data: str, schedule: str, T: int, sampler: str = "ddpm", S: int = 20, eta: float = 0.0,
    spacing: str = "uniform", network: bool = False, drawn: Any = None,
) -> dict[str, Any]:  # fmt: skip
    """Begin at x_T. sampler: one of SAMPLERS: "ddpm" takes T steps, the others S.

    eta: of "ddim" and "sa". spacing: of the S times: of SPACINGS.
    network: whether the trained network predicts eps, else the exact formula
    -> the cloud, the number of network calls, and whether the exact map is known
    """
    walk.here = here = world(data, schedule, T, drawn)
    if network and training.network is None:
        raise ValueError("there is no trained network yet: press Train first")
    eps_theta = training.eps_theta if network else here.eps_theta
    rng = RNG(1)
    x_T = rng.normal((N_POINTS, 2))
    if sampler not in SAMPLERS:
        raise ValueError(f"points: the sampler must be {', '.join(SAMPLERS)}, got {sampler!r}")
    if sampler == "ddpm":
        S, spacing = T, "uniform"
    steps = min(S, T)
    settings = SamplerSettings(sampler, steps, spacing, clip=None, eta=eta)
    walk.steps = sampler_steps(eps_theta, "eps", here.schedule, x_T, rng, settings)
    walk.x_T = x_T
    draws_noise = sampler == "ddpm" or (sampler in ("ddim", "sa") and eta > 0)
    walk.follows = data == "four" and not draws_noise
    calls = network_calls(settings, T)
    return {"cloud": x_T, "t": T, "limit": LIMIT, "calls": calls, "follows": walk.follows}


@on_page
def reverse_more(count: int = 4) -> dict[str, Any]:
    """The next steps: their clouds and times; at the end the distance to the exact answer.

    map_distance: of the last cloud from the exact map at the same time, where it is known
    """
    clouds, times, last = [], [], None
    for step in walk.steps:
        clouds.append(step.x_prev)
        times.append(step.t)
        last = step
        if len(clouds) == count:
            break
    reply: dict[str, Any] = {"clouds": clouds, "times": times, "done": len(clouds) < count}
    if last is not None:
        reply["terms"] = {name: value[0] if np.ndim(value) else value for name, value in last}
        t_prev = int(last.terms.get("t_prev", last.t - 1))
        reply["done"] |= t_prev == 0
        if walk.follows:
            exact_cloud = FOUR.exact_map(walk.x_T, t_prev, walk.here.schedule)
            reply["map_distance"] = rms_distance(last.x_prev, exact_cloud)
    if reply["done"] and clouds:
        reply["distance"] = distance_of_clouds(clouds[-1], walk.here.mixture)
        exact = walk.here.mixture.sample(N_POINTS, RNG(7), dtype=np.float32)
        reply["exact_distance"] = distance_of_clouds(exact, walk.here.mixture)
    return reply


def distance_of_clouds(cloud: Any, mixture: GaussianMixture) -> float:
    """The energy distance between a cloud and 1,000 exact draws: 0 if both are of one law.

    sqrt(2 E|x - y| - E|x - x'| - E|y - y'|)  (Szekely & Rizzo). inf if a point is not finite
    """
    if not np.isfinite(cloud).all():
        return float("inf")
    exact = mixture.sample(1000, RNG(2), dtype=np.float32)
    between = 2 * _mean_length(cloud, exact)
    squared = between - _mean_length(cloud, cloud) - _mean_length(exact, exact)
    return float(max(squared, 0.0) ** 0.5)


def _mean_length(a: Any, b: Any) -> float:
    lengths = np.sqrt(((a[:, None].astype(np.float64) - b[None]) ** 2).sum(axis=-1))
    same = a is b
    return float(lengths.sum() / (lengths.size - (len(a) if same else 0)))


# -- training --------------------------------------------------------------------------------------

training = PointTraining()


@on_page
def train_start(
    data: str, schedule: str, T: int, seed: int = 0, drawn: Any = None
) -> dict[str, Any]:
    """A new network, and its distance to the exact score before it has learned anything."""
    here = world(data, schedule, T, drawn)
    training.start(here.mixture, here.schedule, seed)
    return training.report([])


@on_page
def train_more(seconds: float = 0.3, t: int = 0) -> dict[str, Any]:
    """Train so long; t: the time whose arrows are wanted, 0 for none."""
    if training.network is None:
        raise ValueError("there is no network yet: press Train first")
    reply = training.report(training.run_for(seconds))
    if t:
        reply["arrows"] = training.arrows(arrow_places(), t)
    return reply
