"""Experiments over t: schedules, the forward process, the bound in bits/dim, weights of a loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidiff.beyond.loss_weights import prediction_weight
from minidiff.classroom.derivations.loss_weight import loss_weight
from minidiff.classroom.index import all_equations
from minidiff.classroom.lab.clouds import clusters
from minidiff.classroom.lab.symptom import Picture, Symptom
from minidiff.classroom.tables.toy_arguments import small_inputs
from minidiff.data import make_digits
from minidiff.diffusion.forward import forward_steps, q_sample
from minidiff.diffusion.gaussian import bits_per_dim
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.posterior import q_posterior
from minidiff.diffusion.schedule import make_schedule
from minidiff.diffusion.targets import eps_from_v, v_target, x_0_from_eps
from minidiff.diffusion.vlb import L_t_minus_1, vlb_steps
from minidiff.engine.random import RNG

T = 50


def unit_points(n: int = 2000) -> Any:
    """Points of the three clusters with mean 0 and variance 1.   -> float32 (n, 2)"""
    x_0 = clusters(0.15).sample(n, RNG(5), dtype=np.float32)
    return (x_0 - x_0.mean(axis=0)) / x_0.std()


def schedules() -> Symptom:
    """alpha_bar and beta_tilde of both schedules, T = 50."""
    measures: dict[str, float] = {}
    bars, variances = {}, {}
    for name in ("linear", "cosine"):
        tables = make_schedule(name, T).tables
        t = np.arange(1, T + 1)
        bars[name] = (t, tables["alpha_bar"][1:])
        variances[name] = (t, tables["beta_tilde"][1:])
        measures |= {
            f"{name}: alpha_bar at t = 25": float(tables["alpha_bar"][25]),
            f"{name}: alpha_bar at t = 50": float(tables["alpha_bar"][50]),
            f"{name}: alpha_bar + (1 - alpha_bar) at t = 25":
                float(tables["alpha_bar"][25] + tables["one_minus_alpha_bar"][25]),
            f"{name}: beta_tilde / beta at t = 2": float(
                tables["beta_tilde"][2] / tables["beta"][2]),
        }  # fmt: skip
    pictures = (Picture("curves", "alpha_bar over t", bars),
                Picture("curves", "beta_tilde over t", variances, log=True))  # fmt: skip
    return Symptom(measures, pictures)


def forward() -> Symptom:
    """Data of variance 1 become noise: by jumps, and by the chain of all steps."""
    x_0, table, rng = unit_points(), make_schedule("linear", T), RNG(6)
    eps = rng.normal(x_0.shape)
    times = np.arange(1, T + 1)
    jumps = [q_sample(x_0, int(t), eps, table) for t in times]
    chain = [step.x_t for step in forward_steps(x_0, table, rng)]
    middle, v = jumps[24], v_target(x_0, 25, eps, table)
    said = x_0_from_eps(middle, 25, eps, table)
    eps_said = eps_from_v(middle, 25, v, table)

    def share(x_t: Any) -> float:
        return float((x_t * x_0).mean())

    measures = {
        "jump: std of x_t at t = 25": float(jumps[24].std()),
        "chain: std of x_t at t = 25": float(chain[24].std()),
        "jump: std of x_T": float(jumps[-1].std()),
        "chain: std of x_T": float(chain[-1].std()),
        "jump: share of x_0 in x_25": share(jumps[24]),
        "chain: share of x_0 in x_25": share(chain[24]),
        "jump: share of eps in x_25": float((jumps[24] * eps).mean()),
        "x_0 from the right eps: std": float(said.std()),
        "x_0 from the right eps: error": float(np.sqrt(((said - x_0) ** 2).mean())),
        "eps from the right v: error": float(np.sqrt(((eps_said - eps) ** 2).mean())),
    }
    stds = {"jump": (times, np.array([x.std() for x in jumps])),
            "chain": (times, np.array([x.std() for x in chain]))}  # fmt: skip
    pictures = (Picture("curves", "standard deviation of x_t over t", stds),
                Picture("cloud", "x_25 by the jump", jumps[24][:600]))  # fmt: skip
    return Symptom(measures, pictures)


def posterior() -> Symptom:
    """q(x_{t-1} | x_t, x_0), with x_t from q(x_t | x_0), must give back q(x_{t-1} | x_0)."""
    steps = 20
    x_0, table = unit_points(), make_schedule("linear", steps)
    eps = RNG(7).normal(x_0.shape)
    times, found, wanted = np.arange(2, steps + 1), [], []
    for t in times:
        signal = q_sample(x_0, int(t), 0 * eps, table)
        x_t = q_sample(x_0, int(t), eps, table)
        of_image, variance = q_posterior(signal, x_0, int(t), table)
        mean, _ = q_posterior(x_t, x_0, int(t), table)
        kept = float(((mean - of_image) * eps).mean())  # of the noise that is in x_t
        found.append([float((of_image * x_0).mean()), (variance + kept**2) ** 0.5])
        prev = table.at(int(t) - 1)
        wanted.append([prev.alpha_bar**0.5, prev.one_minus_alpha_bar**0.5])
    shares, stds = np.array(found).T
    right_shares, right_stds = np.array(wanted).T
    measures = {
        "share of x_0 at t = 2": float(shares[0]), "share of x_0 at t = 20": float(shares[-1]),
        "std of the noise at t = 2": float(stds[0]),
        "std of the noise at t = 20": float(stds[-1]),
    }  # fmt: skip
    curves = {"by the posterior": (times, stds), "as q says": (times, right_stds)}
    more = {"by the posterior": (times, shares), "as q says": (times, right_shares)}
    return Symptom(measures, (Picture("curves", "std of the noise in x_{t-1}", curves),
                              Picture("curves", "share of x_0 in x_{t-1}", more)))  # fmt: skip


def bits() -> Symptom:
    """The bound of the best possible network on tiny digits, and the exact -log p beside it."""
    images = make_digits(16, seed=1).images[:, :, 8:20:3, 8:20:3].astype(np.float32)
    means = np.round(images / 255 * 255) / 127.5 - 1
    mixture, table = GaussianMixture(np.ones(len(means)), means, 0.08), make_schedule("linear", T)
    drawn = mixture.sample(64, RNG(8), dtype=np.float32).clip(-1, 1)
    x_0 = (np.round((drawn + 1) * 127.5) / 127.5 - 1).astype(np.float32)
    D = x_0[0].size
    found = {step.t: step.bits for step in vlb_steps(
        mixture.eps_theta(table), x_0, table, RNG(9))}  # fmt: skip
    exact = bits_per_dim(float(-mixture.log_bin_probability(x_0).mean()), D)
    times = np.arange(1, T + 1)
    measures = {
        "bits/dim of the bound": float(sum(found.values())),
        "L_T": float(found[T + 1]), "sum of L_{t-1}": float(sum(found[t] for t in times[1:])),
        "L_0": float(found[1]), "exact bits/dim": float(exact),
    }  # fmt: skip
    curve = {"L_{t-1} in bits/dim": (times, np.array([found[t] for t in times]))}
    return Symptom(measures, (Picture("curves", "each term of the bound over t", curve, log=True),))


LINES = (
    "vlb.kl_written_out", "vlb.evidence_taken_out", "vlb.of_chain",
    "vlb.two_products", "vlb.sum_of_logarithms", "vlb.t_1_apart", "vlb.bayes_in_every_term",
    "vlb.two_sums", "vlb.telescoped", "vlb.of_chain_by_posterior",
)  # fmt: skip
TOLD = ("forward.q_chain", "reverse.p_chain")


def lines_of_the_bound() -> Symptom:
    """Every line of slides 12 and 13 on one chain: they are one number."""
    known = all_equations()
    measures: dict[str, float] = {}
    for id in (*LINES, *TOLD):
        if id in known:
            value = known[id].function(**small_inputs(known[id]))
            measures[id] = float(np.asarray(value, np.float64).sum())
    values = np.array([measures[id] for id in LINES if id in measures])
    curve = {"value of each line, in the order of the slides": (np.arange(len(values)) + 1, values)}
    return Symptom(measures, (Picture("curves", "the bound, line by line", curve),))


def weights() -> Symptom:
    """What min-SNR's weight makes of an error of x_0_hat, for each prediction."""
    table = make_schedule("cosine", T)
    times, curves = np.arange(1, T + 1), {}
    measures: dict[str, float] = {}
    snr = table.snr(times)
    unit = {"eps": 1 / snr, "x_0": np.ones(T), "v": 1 / (snr + 1)}
    for name, c in unit.items():
        w = np.array([prediction_weight(name, int(t), table) for t in times]) / c
        curves[name] = (times, w)
        measures |= {f"{name}: weight of x_0's error at t = {t}": float(w[t - 1])
                     for t in (1, 25, 50)}  # fmt: skip
    return Symptom(measures, (Picture("curves", "weight of |x_0 - x_0_hat|^2 over t", curves,
                                      log=True),))  # fmt: skip




def weight_of_the_bound() -> Symptom:
    """L_{t-1} computed twice: as a KL divergence, and as a weight times |eps - eps_hat|^2."""
    x_0, table, rng = unit_points(), make_schedule("linear", T), RNG(10)
    times, kl, weighted_error, weights = np.arange(2, T + 1), [], [], []
    for t in times:
        eps = rng.normal(x_0.shape)
        eps_hat = np.float32(0.9) * eps
        x_t = q_sample(x_0, int(t), eps, table)
        w = loss_weight(int(t), table, "beta")
        kl.append(float(L_t_minus_1(x_0, x_t, int(t), eps_hat, table, "beta").mean()))
        weights.append(w)
        weighted_error.append(w * float(((eps - eps_hat) ** 2).sum(axis=1).mean()))
    spread = np.array([(b := table.at(int(t))).beta_tilde / b.beta for t in times])
    constant = spread - 1 - np.log(spread)  # of two coordinates: 2 / 2, as the variances differ
    by_kl, by_weight = np.array(kl) - constant, np.array(weighted_error)
    measures = {
        "weight at t = 2": float(weights[0]), "weight at t = 50": float(weights[-1]),
        "ratio of the two at t = 2": float(by_weight[0] / by_kl[0]),
        "ratio of the two at t = 25": float(by_weight[23] / by_kl[23]),
        "ratio of the two at t = 50": float(by_weight[-1] / by_kl[-1]),
    }  # fmt: skip
    curves = {"as a KL": (times, by_kl), "weight times error": (times, by_weight)}
    return Symptom(measures, (Picture("curves", "L_{t-1} without its constant", curves, log=True),))
