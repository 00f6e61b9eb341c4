"""Numbers of the chapters after the deck beside their exact answers, computed when the site is built."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

import after_the_deck as figures
import numpy as np

from minidiff.beyond import exact_consistency, flow_map, given, heun_steps
from minidiff.beyond.consistency import consistency
from minidiff.beyond.flow_matching import (
    exact_velocity,
    flow_steps,
    time_and_scale,
    velocity_target,
)
from minidiff.beyond.flow_ode import drift_divergence, likelihood_steps
from minidiff.beyond.loss_weights import WEIGHTED, prediction_weight, target_of
from minidiff.beyond.pairs import pair_from_v
from minidiff.beyond.schedules import zero_terminal
from minidiff.beyond.score import denoising_loss, explicit_loss, score_from_eps
from minidiff.beyond.tilted import on_a_grid, wasserstein_1
from minidiff.diffusion import ddim_steps, make_schedule
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.oracle import exact_eps, exact_score
from minidiff.diffusion.schedule import DECK_CLIP
from minidiff.diffusion.targets import v_target, x_0_from_eps
from minidiff.engine.random import RNG

SCHEDULE, MIXTURE = make_schedule("linear", 1000), figures.SMOOTH


class Answer(NamedTuple):
    """What it is, what the chapter's code gives, what is exact, and how that is known without the code.

    near: how far the two may be apart
    """

    what: str
    found: float
    exact: float
    how: str
    near: float
    style: str = ".4f"


def points(n=400):
    """x_0 of the mixture and noise, both (n, 1) in float64."""
    rng = RNG(0)
    return MIXTURE.sample(n, rng), rng.normal((n, 1), np.float64)


def loss_difference(off, t=400):
    """Denoising less explicit loss of a model that is off by `off`, in expectation: by Gauss-Hermite nodes in x_0 and in the noise."""
    z, p = np.polynomial.hermite_e.hermegauss(80)
    p = p / p.sum()
    x_0 = np.concatenate([m[0] + s * z for m, s in zip(MIXTURE.means, MIXTURE.stds, strict=True)])
    weights = (np.concatenate([w * p for w in MIXTURE.weights])[:, None] * p).ravel()
    x_0, noise = np.repeat(x_0, len(z))[:, None], np.tile(z, len(x_0))[:, None]
    x_t = q_sample(x_0, t, noise, SCHEDULE)
    score = exact_score(x_t, t, MIXTURE, SCHEDULE)
    each = denoising_loss(score + off, x_t, x_0, t, SCHEDULE) - explicit_loss(score + off, score)
    return float((weights * each).sum())


def score_and_ode():
    x_0, eps = points()
    x_t = q_sample(x_0, 400, eps, SCHEDULE)
    gap = score_from_eps(exact_eps(x_t, 400, MIXTURE, SCHEDULE), 400, SCHEDULE) - exact_score(x_t, 400, MIXTURE, SCHEDULE)
    *_, last = (step for step in heun_steps(MIXTURE.eps_theta(SCHEDULE), eps, SCHEDULE) if step.t_prev)
    way = np.abs(last.x_prev - flow_map(eps, 1000, 1, MIXTURE, SCHEDULE)).max()
    *_, end = likelihood_steps(lambda x, t: exact_score(x, t, MIXTURE, SCHEDULE), lambda x, t: drift_divergence(x, t, MIXTURE, SCHEDULE), x_0, SCHEDULE)
    return [
        Answer("score from the exact noise, the worst of 400 points", float(np.abs(gap).max()), 0.0, "the derivative of log q(x_t)", 1e-12, ".1e"),
        Answer("denoising less explicit loss, a model off by 0.3", loss_difference(0.3), loss_difference(0.0), "that of the exact score: a constant", 1e-12),
        Answer("the ODE from T to 1 by 999 steps of Heun's method, the worst of 400 points", float(way), 0.0, "the map that keeps quantiles", 1e-3, ".1e"),
        Answer("mean log-likelihood of 400 points by the ODE, nats", float(end.log_p.mean()), float(MIXTURE.log_prob(x_0).mean()), "the mixture's density", 5e-3),
    ]


def fewer_steps():
    found, all_errors = [], figures.solver_errors()
    for name, order in (("DDIM", 1.0), ("Heun", 2.0), ("DPM-Solver++(2M)", 2.0), ("Heun on the straight path", 2.0)):
        _, errors = all_errors[name]
        at = figures.STEPS.index(80)
        measured = float(np.log2(errors[at] / errors[at + 1]))
        found.append(Answer(f"order of convergence of {name}, from 80 to 160 steps", measured, order, "distance from the exact map", 0.15, ".2f"))
    return found


def flow_matching():
    x_0, eps = points()
    ways = [
        [step.x_prev for step in steps(MIXTURE.eps_theta(SCHEDULE), eps, SCHEDULE, steps=20, **more)]
        for steps, more in ((flow_steps, {"prediction": "eps"}), (ddim_steps, {}))
    ]
    t = 600
    x_t = q_sample(x_0, t, eps, SCHEDULE)
    eps_hat = exact_eps(x_t, t, MIXTURE, SCHEDULE)
    s, scale = time_and_scale(t, SCHEDULE)
    gap = exact_velocity(scale * x_t, s, MIXTURE) - velocity_target(x_0_from_eps(x_t, t, eps_hat, SCHEDULE), eps_hat)
    return [
        Answer("20 Euler steps on the straight path less 20 of DDIM", float(np.abs(np.array(ways[0]) - np.array(ways[1])).max()), 0.0, "DDIM of the deck, the same noise", 1e-9, ".1e"),
        Answer("the best velocity less that of the best noise, at t = 600", float(np.abs(gap).max()), 0.0, "eps_hat - x_0_hat of the oracle", 1e-9, ".1e"),
    ]


def weights_of_the_loss():
    x_0, eps = points(8)
    t, wrong = 400, 0.9 * x_0 + 0.02
    x_t = q_sample(x_0, t, eps, SCHEDULE)
    abar = float(SCHEDULE.at(t).alpha_bar)
    eps_wrong = (x_t - abar**0.5 * wrong) / (1 - abar) ** 0.5
    exact = min(abar / (1 - abar), 5.0) * float(((x_0 - wrong) ** 2).mean())
    found = []
    for name in WEIGHTED:
        error = target_of(name, x_0, t, eps, SCHEDULE) - target_of(name, wrong, t, eps_wrong, SCHEDULE)
        loss = float((prediction_weight(name, t, SCHEDULE) * error**2).mean())
        found.append(Answer(f"min-SNR loss of one wrong image, said as {name}", loss, exact, "min(SNR, 5) |x_0 - x_0_hat|^2", 1e-9, ".6f"))
    return found


def ending_in_noise():
    clipped = {T: make_schedule("cosine", T, **DECK_CLIP) for T in (1000, 100)}
    ends = zero_terminal(clipped[100])
    x_0, eps = points(50)
    x_T = q_sample(x_0, 100, eps, ends)
    back, _ = pair_from_v(x_T, 100, v_target(x_0, 100, eps, ends), ends)
    return [
        Answer("% of samples in the mode that has 30 %: clipped cosine, T = 1000", 100 * figures.mode_share(clipped[1000]), 30.0, "the weight of the mode", 1.0, ".2f"),
        Answer("the same with T = 100, where 44 % of the signal is left", 100 * figures.mode_share(clipped[100]), 30.0, "the weight of the mode", 7.0, ".2f"),
        Answer("the same rescaled to alpha_bar_T = 0", 100 * figures.mode_share(ends), 30.0, "the weight of the mode", 1e-6, ".2f"),
        Answer("x_0 from v where x_T is pure noise, the worst of 50 points", float(np.abs(back - x_0).max()), 0.0, "the x_0 that was noised", 1e-12, ".1e"),
    ]


def what_guidance_samples():
    p = figures.tilted(3.0)
    mean = float((p * figures.GRID).sum())
    everywhere, between = figures.samples(3.0), figures.samples(3.0, 200, 300)
    class_alone = figures.tilted(1.0)
    return [
        Answer("mean of the samples, s = 1", float(figures.samples(1.0).mean()), float((class_alone * figures.GRID).sum()), "the class itself", 5e-3, ".3f"),
        Answer("mean of the samples, s = 3, guided at all t", float(everywhere.mean()), mean, "p(x_0) p(y | x_0)^3, on a grid", 0.4, ".3f"),
        Answer("mean of the samples, s = 3, guided at t = 200..300", float(between.mean()), mean, "p(x_0) p(y | x_0)^3, on a grid", 0.03, ".3f"),
        Answer("Wasserstein distance, s = 3, guided at all t", wasserstein_1(everywhere, figures.GRID, p), 0.0, "0: one law", 0.4, ".3f"),
        Answer("Wasserstein distance, s = 3, guided at t = 200..300", wasserstein_1(between, figures.GRID, p), 0.0, "0: one law", 0.03, ".3f"),
    ]


def in_one_call():
    x_T = RNG(0).normal((400, 1), np.float64)
    half_way = flow_map(x_T, 1000, 500, figures.TWO_MODES, SCHEDULE)
    ends = [consistency(x, t, figures.TWO_MODES, SCHEDULE) for x, t in ((x_T, 1000), (half_way, 500))]
    one_call = figures.draws_of(exact_consistency(figures.TWO_MODES, SCHEDULE), 1)
    of_best = figures.draws_of(lambda x_t, t: figures.best_x_0(x_t, int(t.max())), 1)
    return [
        Answer("f(x_t, t) - f(x_s, s) at t = 1000 and s = 500 of one path, the worst of 400", float(np.abs(ends[0] - ends[1]).max()), 0.0, "one path, one image", 1e-9, ".1e"),
        Answer("% of samples below 0, one call of f", 100 * float((one_call < 0).mean()), 30.0, "the weight of the mode", 1.0, ".1f"),
        Answer("the same, one call of E[x_0 given x_t]", 100 * float((of_best < 0).mean()), 30.0, "the weight of the mode", 31.0, ".1f"),
    ]


def filling_holes():
    second = figures.GRID[::10]
    both = np.stack([np.full_like(second, figures.KNOWN[0]), second], axis=1)
    p, _ = on_a_grid(figures.PLANE.log_prob(both), second)
    exact = 100 * float(p[second > 0].sum())
    posterior = given(figures.KNOWN, figures.MASK, figures.PLANE)
    by_weights = 100 * (1 - float(figures.distribution(np.zeros((1, 1)), 0, posterior, SCHEDULE)[0][0]))
    found = [Answer("% above 0 of the hole, by the mixture's new weights", by_weights, exact, "the joint density on a grid", 0.5, ".1f")]
    for rounds in (1, 10):
        share = 100 * float((figures.filled(rounds, n=1000) > 0).mean())
        found.append(Answer(f"% above 0, the known part put back, {rounds} round{'s' * (rounds > 1)} a step", share, exact, "the joint density on a grid", 30.0, ".1f"))
    return found


ANSWERS = {
    "A1": score_and_ode, "A2": fewer_steps, "A3": flow_matching,
    "A4": weights_of_the_loss, "A5": ending_in_noise, "A6": what_guidance_samples,
    "A7": in_one_call, "A8": filling_holes,
}  # fmt: skip


def answers_html(chapter: str) -> str:
    """The chapter's table."""
    rows = "".join(
        f'<tr><td>{escape(a.what)}</td><td class="n">{a.found:{a.style}}</td><td class="n">{0 if a.exact == 0 else format(a.exact, a.style)}</td>'
        f"<td>{escape(a.how)}</td></tr>"
        for a in ANSWERS[chapter]()
    )
    return (
        '<table class="answers"><caption>Against an exact answer</caption>'
        f"<thead><tr><th>what</th><th>the code gives</th><th>exact</th><th>known from</th></tr></thead><tbody>{rows}</tbody></table>"
    )
