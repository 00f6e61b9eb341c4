"""Experiments with samplers: points in the plane from the exact predictor of three clusters."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidiff.beyond.flow_matching import flow_steps
from minidiff.beyond.solvers import dpm_pp_steps, heun_steps, log_snr_times
from minidiff.classroom.derivations.true_reverse_step import best_prediction
from minidiff.classroom.lab.symptom import Picture, Symptom
from minidiff.classroom.page.points import distance_of_clouds, make_mixture
from minidiff.diffusion.ddim import ddim_sample
from minidiff.diffusion.ddpm import ddpm_sample
from minidiff.diffusion.guidance import (
    guide_with_classifier,
    guide_without_classifier,
    shift_mean,
)
from minidiff.diffusion.inversion import ddim_invert
from minidiff.diffusion.oracle import GaussianMixture, classifier_gradient
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG

N = 600
NEAR = 0.5  # of a mean: a point so near belongs to its cluster
WIDTH = 0.05  # of the clusters, so narrow that the noise of the last steps shows


def clusters(std: float = WIDTH, scale: float = 1.0) -> GaussianMixture:
    """Three clusters of the plane, each a class."""
    known = make_mixture("clusters")
    return GaussianMixture(known.weights, scale * known.means, std)


def measured(points: Any, mixture: GaussianMixture) -> dict[str, float]:
    """Four numbers of a cloud."""
    squared = ((points[:, None].astype(np.float64) - mixture.means[None]) ** 2).sum(axis=-1)
    nearest = squared.min(axis=1)
    near = nearest < NEAR**2
    return {
        "energy distance to exact draws": distance_of_clouds(points, mixture),
        "share of points near a cluster": float(near.mean()),
        "width of the clusters": float(np.sqrt(nearest[near].mean() / 2)) if near.any() else np.nan,
        "standard deviation of all": float(points.std()),
    }


def of_cloud(points: Any, mixture: GaussianMixture, title: str = "the samples") -> Symptom:
    """The symptom of one cloud."""
    return Symptom(measured(points, mixture), (Picture("cloud", title, points),))


def algorithm_2(schedule: str = "linear", T: int = 50, **options: Any) -> Symptom:
    """DDPM from T down to 1."""
    mixture, table = clusters(), make_schedule(schedule, T)
    start = (N, 2)
    return of_cloud(
        ddpm_sample(mixture.eps_theta(table), start, table, RNG(1), **options), mixture
    )


def algorithm_2_with_beta() -> Symptom:
    """DDPM with the variance beta, of whose last steps one sees the noise."""
    return algorithm_2(variance="beta")


def algorithm_2_cosine() -> Symptom:
    """DDPM on the cosine schedule, with what is left of the image at T."""
    table = make_schedule("cosine", 50)
    left = {"sqrt(alpha_bar_T)": float(table.at(50).alpha_bar ** 0.5)}
    symptom = algorithm_2("cosine")
    return symptom._replace(measures={**symptom.measures, **left})


def clipped() -> Symptom:
    """Clusters inside -1..1, a predictor that says 5 % too little noise, and clip = 1."""
    mixture, table = clusters(scale=0.7), make_schedule("cosine", 50)
    exact = mixture.eps_theta(table)

    def too_little(x_t: Any, t: Any) -> Any:
        return np.float32(0.95) * exact(x_t, t)

    points = ddim_sample(too_little, (N, 2), table, RNG(1), steps=20, clip=1.0)
    symptom = of_cloud(points, mixture)
    outside = {"largest coordinate": float(np.abs(points).max())}
    return symptom._replace(measures={**symptom.measures, **outside})


def learned() -> Symptom:
    """DDPM in 10 steps with the best learned variance."""
    mixture, table = clusters(0.15), make_schedule("cosine", 10)
    network = best_prediction(mixture, table)
    return of_cloud(ddpm_sample(network, (N, 2), table, RNG(1), variance="learned"), mixture)


def ddim() -> Symptom:
    """DDIM in 20 steps: without noise, with eta = 1, and with sigma_hat."""
    mixture, table = clusters(0.15), make_schedule("linear", 200)
    measures: dict[str, float] = {}
    pictures = []
    for label, eta in (("eta = 0", 0.0), ("eta = 1", 1.0), ("sigma_hat", "sigma_hat")):
        points = ddim_sample(
            mixture.eps_theta(table), (N, 2), table, RNG(1), steps=20, eta=eta
        )
        measures |= {f"{label}: {name}": value for name, value in measured(points, mixture).items()}
        pictures.append(Picture("cloud", label, points))
    return Symptom(measures, tuple(pictures))


def there_and_back() -> Symptom:
    """Points go to noise by the inverted DDIM, and come back by DDIM."""
    mixture, table = clusters(0.15), make_schedule("linear", 200)
    x_0 = mixture.sample(N, RNG(4), dtype=np.float32)
    eps_theta = mixture.eps_theta(table)
    x_T = ddim_invert(eps_theta, x_0, table, steps=100)
    back = ddim_sample(eps_theta, x_T, table, steps=100)
    miss = float(np.sqrt(((back - x_0) ** 2).mean()))
    measures = {"root mean square from where it began": miss, "std of x_T": float(x_T.std())}
    return Symptom(measures, (Picture("cloud", "x_T", x_T), Picture("cloud", "back", back)))


def guided() -> Symptom:
    """Towards the smallest cluster (20 % of the data) by each kind of guidance."""
    mixture, table = clusters(0.6), make_schedule("cosine", 50)
    y = 2
    other = [k for k in range(3) if k != y]

    def eps_of(x_t: Any, t: Any, label: Any) -> Any:
        return mixture.eps_theta(table, int(label) if label >= 0 else None)(x_t, t)

    def gradient(x_t: Any, t: Any) -> Any:
        return classifier_gradient(x_t, t, y, mixture, table)

    eps_theta = mixture.eps_theta(table)
    ways = {
        "classifier, mean": (eps_theta, {"guide": shift_mean(gradient, 1.0)}),
        "classifier, eps": (guide_with_classifier(eps_theta, gradient, table, 1.0), {}),
        "classifier-free, s = 3": (guide_without_classifier(eps_of, y, -1, s=3.0), {}),
        "classifier-free, w = 2": (guide_without_classifier(eps_of, y, -1, w=2.0), {}),
    }
    measures: dict[str, float] = {}
    pictures = []
    for label, (network, options) in ways.items():
        points = ddpm_sample(network, (N, 2), table, RNG(1), **options)
        distance = np.sqrt(((points[:, None] - mixture.means[None]) ** 2).sum(axis=-1))
        mine = distance[:, y] < distance[:, other].min(axis=1)
        measures[f"{label}: share in the class"] = float(mine.mean())
        measures[f"{label}: distance to its mean"] = float(np.sqrt((distance[:, y] ** 2).mean()))
        pictures.append(Picture("cloud", label, points))
    return Symptom(measures, tuple(pictures))


def solvers() -> Symptom:
    """Ten steps of Heun's method, of DPM-Solver++, and of the straight flow."""
    mixture, table = clusters(0.15), make_schedule("linear", 200)
    eps_theta = mixture.eps_theta(table)
    of_eps: dict[str, Any] = {"prediction": "eps", "steps": log_snr_times(table, 10)}
    ways = {
        "heun": heun_steps(eps_theta, (N, 2), table, RNG(1), **of_eps),
        "dpm++": dpm_pp_steps(eps_theta, (N, 2), table, RNG(1), **of_eps),
        "flow, euler": flow_steps(eps_theta, (N, 2), table, RNG(1), **of_eps),
        "flow, heun": flow_steps(eps_theta, (N, 2), table, RNG(1), method="heun", **of_eps),
    }
    measures: dict[str, float] = {}
    pictures = []
    for label, steps in ways.items():
        *_, last = steps
        measures |= {f"{label}: {k}": v for k, v in measured(last.x_prev, mixture).items()}
        pictures.append(Picture("cloud", label, last.x_prev))
    return Symptom(measures, tuple(pictures))
