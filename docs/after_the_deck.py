"""Draw the figures of docs/after_the_deck.md.    python docs/after_the_deck.py

With --numbers it prints the numbers that stand in the text instead.
"""

import argparse
import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from minidiff.beyond import (
    consistency_steps,
    dpm_pp_steps,
    exact_consistency,
    flow_map,
    flow_steps,
    given,
    guide_in_interval,
    heun_steps,
    log_snr_times,
    pair_ddim_steps,
    repaint_steps,
    sa_steps,
)
from minidiff.beyond.consistency import consistency
from minidiff.beyond.exact_flow import distribution, quantile
from minidiff.beyond.loss_weights import prediction_weight, x_0_error_of
from minidiff.beyond.schedules import zero_terminal
from minidiff.beyond.tilted import grid_quantiles, on_a_grid, tilted_log_density, wasserstein_1
from minidiff.classroom import as_printed
from minidiff.diffusion import guide_without_classifier, make_schedule
from minidiff.diffusion.oracle import GaussianMixture, exact_eps, log_marginal
from minidiff.diffusion.schedule import DECK_CLIP
from minidiff.engine.random import RNG

IMAGES = Path(__file__).parent / "images"
LINEAR, FINE = make_schedule("linear", 1000), make_schedule("linear", 20_000)
SMOOTH = GaussianMixture([0.4, 0.6], [[-0.4], [0.4]], [0.3, 0.4])
TWO_MODES = GaussianMixture([0.3, 0.7], [[-0.8], [0.8]], 0.1)
PLANE = GaussianMixture([0.5, 0.5], [[-0.6, -0.8], [0.6, 0.8]], 0.35)
KNOWN, MASK = np.array([0.3, 0.0]), np.array([True, False])
CLASSES = GaussianMixture([0.5, 0.5], [[-0.5], [0.5]], 0.4, labels=[0, 1])
GRID = np.linspace(-3, 3, 6001)
STEPS = (10, 20, 40, 80, 160, 320)
SOLVERS = {
    "DDIM": (pair_ddim_steps, {}, "o-"), "Heun": (heun_steps, {}, "s-"), "DPM-Solver++(2M)": (dpm_pp_steps, {}, "^-"),
    "Heun on the straight path": (flow_steps, {"method": "heun"}, "v--"), "SA-Solver": (sa_steps, {}, "d-"),
}  # fmt: skip


def solver_errors():
    """{name: (network calls, RMS distance from the exact map at t = 1)} for the oracle's own eps."""
    x_T = RNG(0).normal((400, 1), np.float64)
    exact, eps_theta, found = flow_map(x_T, FINE.T, 1, SMOOTH, FINE), SMOOTH.eps_theta(FINE), {}
    for name, (solver, options, _) in SOLVERS.items():
        errors = []
        for S in STEPS:
            steps = solver(eps_theta, x_T, FINE, prediction="eps", steps=log_snr_times(FINE, S + 1), **options)
            at_1 = next(step.x_prev for step in steps if step.t_prev == 1)
            errors.append(float(np.sqrt(((at_1 - exact) ** 2).mean())))
        found[name] = np.array(STEPS) * (2 if "Heun" in name else 1), np.array(errors)
    return found


def draw_flow(axis):
    """Points keep their quantile: the exact paths of the ODE from noise to the data."""
    u = np.linspace(0.02, 0.98, 25)
    times = np.linspace(0, 1000, 201).round().astype(int)
    paths = np.stack([quantile(u, 1 - u, int(t), TWO_MODES, LINEAR)[:, 0] for t in times])
    shades = np.exp(np.stack([log_marginal(GRID[::20, None], int(t), TWO_MODES, LINEAR) if t else TWO_MODES.log_prob(GRID[::20, None]) for t in times]))
    axis.imshow(np.sqrt(shades).T, extent=(0, 1000, -3, 3), origin="lower", aspect="auto", cmap="Greys", vmax=1.6)
    axis.plot(times, paths, color="tab:blue", linewidth=0.8)
    axis.set(title=r"exact paths $x_t = F_t^{-1}(u)$ over $q(x_t)$", xlabel="t", ylabel="x", ylim=(-2.5, 2.5))


def draw_orders(axis):
    for name, (calls, errors) in solver_errors().items():
        axis.loglog(calls, errors, SOLVERS[name][2], label=name)
    calls = np.array([20, 640])
    for order, start in ((1, 0.5), (2, 0.5)):
        axis.loglog(calls, start * (calls / 20.0) ** -order, ":", color="grey")
        axis.annotate(f"order {order}", (calls[1], start * 32.0**-order), (4, 17), textcoords="offset points", fontsize=9, ha="right")
    axis.set(title="distance from the exact map at t = 1", xlabel="network calls", ylabel="RMS error")
    axis.legend(fontsize=8.5, handlelength=1.5)


def samples(s, first=1, last=1000, n=1000, steps=200):
    """Points of the class 1, guided with strength s at the times first..last, from evenly spread noise."""

    def network(x_t, t, y):
        return exact_eps(x_t, t, CLASSES if y is None else CLASSES.of_class(y), LINEAR)

    wide = np.linspace(-6, 6, 24_001)
    x_T = grid_quantiles((np.arange(n) + 0.5) / n, wide, on_a_grid(-0.5 * wide**2, wide)[0])[:, None]
    whole = guide_without_classifier(network, 1, None, s=s) if (first, last) == (1, 1000) else guide_in_interval(network, 1, None, s, first, last)
    return [step.x_prev for step in heun_steps(whole, x_T, LINEAR, steps=log_snr_times(LINEAR, steps))][-1][:, 0]


def tilted(s):
    """Shares of p(x_0) p(y | x_0)^s on the grid."""
    return on_a_grid(tilted_log_density(GRID[:, None], 0, 1, CLASSES, LINEAR, s), GRID)[0]


def draw_guidance(axis):
    s, cell = 3.0, GRID[1] - GRID[0]
    axis.plot(GRID, np.exp(CLASSES.log_prob(GRID[:, None])), color="lightgrey", label="the data")
    axis.plot(GRID, tilted(1.0) / cell, color="grey", linestyle="--", label="the class, s = 1")
    axis.plot(GRID, tilted(s) / cell, color="tab:green", linewidth=2, label=r"$p(x_0)\,p(y|x_0)^s$, s = 3")
    bins = np.linspace(-1, 2.5, 71)
    for x, color, label in ((samples(s), "tab:red", "guided at all t"), (samples(s, 200, 300), "tab:blue", "guided at t = 200..300")):
        counts, _ = np.histogram(x, bins, density=True)
        axis.step(bins[:-1], counts, where="post", color=color, label=label)
    axis.set(title="what guidance samples", xlabel="$x_0$", xlim=(-1.5, 2.5), ylabel="density")
    axis.legend(fontsize=8.5, handlelength=1.5)


def interval_distances(s=3.0):
    """Wasserstein distance from the tilted density, for guidance in [first, last]."""
    firsts, lasts = (1, 100, 200, 300, 400, 500, 600), (100, 200, 300, 400, 500, 600, 800, 1000)
    p, found = tilted(s), np.full((len(firsts), len(lasts)), np.nan)
    for i, first in enumerate(firsts):
        for j, last in enumerate(lasts):
            if first < last:
                found[i, j] = wasserstein_1(samples(s, first, last, 400, 100), GRID, p)
    return firsts, lasts, found


def draw_intervals(axis):
    firsts, lasts, found = interval_distances()
    axis.imshow(found, cmap="viridis_r", aspect="auto")
    for (i, j), value in np.ndenumerate(found):
        if not np.isnan(value):
            axis.text(j, i, f"{value:.3f}", ha="center", va="center", fontsize=8, color="white" if value > 0.15 else "black")
    axis.set(
        xticks=range(len(lasts)), xticklabels=lasts, yticks=range(len(firsts)), yticklabels=firsts,
        xlabel="last t that is guided", ylabel="first", title="distance from the tilted density, s = 3",
    )  # fmt: skip


def draw_weights(axis):
    t = np.arange(1, 1001)
    snr, unit = LINEAR.snr(t), x_0_error_of("v", t, LINEAR)
    axis.loglog(snr, snr, ":", color="grey", label=r"SNR: $L_{simple}$ of $\epsilon$")
    axis.loglog(snr, snr + 1, "-.", color="grey", label="SNR + 1: no weights on v")
    axis.loglog(snr, prediction_weight("v", t, LINEAR) / unit, color="tab:green", linewidth=2, label=r"min-SNR, $\gamma$ = 5")
    axis.loglog(snr, as_printed.min_snr_weight_of_v(snr) / unit, color="tab:red", label="its v form as shipped")
    axis.loglog(snr, as_printed.min_snr_weight_of_v_floored(snr) / unit, "--", color="tab:red", label="and the one before")
    axis.set(title=r"weight of $|x_0 - \hat x_0|^2$", xlabel="SNR", ylim=(1e-5, 1e5))
    axis.legend(fontsize=8.5, handlelength=1.5)


def mode_share(schedule):
    """The exact share of samples in the first mode (0.3 of the data), if sampling starts from N(0, 1)."""
    left = np.array([distribution(np.zeros((1, 1)), 0, TWO_MODES, schedule)[0][0]])
    border = quantile(left, 1 - left, schedule.T, TWO_MODES, schedule)[0, 0]
    return 0.5 * math.erfc(-border / math.sqrt(2))


def draw_terminal(axis):
    T = np.unique(np.geomspace(10, 1000, 25).round().astype(int))
    for name, make, style in (
        ("cosine, clipped as printed", lambda T: make_schedule("cosine", T, **DECK_CLIP), "tab:red"),
        ("linear", lambda T: make_schedule("linear", T), "tab:blue"),
        ("the clipped one, rescaled to zero", lambda T: zero_terminal(make_schedule("cosine", T, **DECK_CLIP)), "tab:green"),
    ):
        axis.semilogx(T, [100 * mode_share(make(int(n))) for n in T], color=style, label=name)
    axis.set(title="% of samples in the mode that has 30 %", xlabel="T", ylim=(28, 52))
    axis.legend(fontsize=8.5, handlelength=1.5)


def draw_consistency(axis):
    x = np.linspace(-2.5, 2.5, 501)[:, None]
    for t, color in ((1000, "tab:red"), (500, "tab:orange"), (250, "tab:green"), (50, "tab:blue")):
        axis.plot(x[:, 0], consistency(x, t, TWO_MODES, LINEAR)[:, 0], color=color, label=f"f at t = {t}")
        axis.plot(x[:, 0], best_x_0(x, t)[:, 0], "--", color=color, linewidth=0.9)
    axis.set(title=r"where the path through $x_t$ ends; dashed: $E[x_0|x_t]$", xlabel="$x_t$", ylabel="$x_0$", ylim=(-1.6, 1.6))
    axis.legend(fontsize=8.5, handlelength=1.5)


def best_x_0(x_t, t):
    now = LINEAR.at(t)
    return (x_t - math.sqrt(now.one_minus_alpha_bar) * exact_eps(x_t, t, TWO_MODES, LINEAR)) / math.sqrt(now.alpha_bar)


def draws_of(f, calls, n=20_000):
    """Samples on the line with a few calls of f."""
    return [step.x_prev for step in consistency_steps(f, RNG(0).normal((n, 1), np.float64), LINEAR, RNG(1), steps=calls)][-1][:, 0]


def filled(rounds, n=4000, T=200):
    """The unknown number of points whose first number is 0.3, by putting that back in each round of each step."""
    schedule, known = make_schedule("linear", T), np.broadcast_to(KNOWN, (n, 2))
    start = RNG(0).normal((n, 2), np.float64)
    return [step.x_prev for step in repaint_steps(PLANE.eps_theta(schedule), start, known, 1.0 * MASK, schedule, RNG(1), rounds=rounds)][-1][:, 1]


def draw_holes(axis):
    bins = np.linspace(-2, 2, 61)
    for rounds, color in ((1, "tab:red"), (10, "tab:blue")):
        counts, _ = np.histogram(filled(rounds), bins, density=True)
        axis.step(bins[:-1], counts, where="post", color=color, label=f"put back, {rounds} round{'s' * (rounds > 1)} a step")
    axis.plot(GRID, np.exp(given(KNOWN, MASK, PLANE).log_prob(GRID[:, None])), color="tab:green", linewidth=2, label="$p(x_2 | x_1 = 0.3)$, exact")
    axis.set(title="the second number, where the first is known", xlabel="$x_2$", ylabel="density", xlim=(-2, 2))
    axis.legend(fontsize=8.5, handlelength=1.5)


FIGURES = {"after_flow": (draw_flow, draw_orders), "after_guidance": (draw_guidance, draw_intervals), "after_weights": (draw_weights, draw_terminal), "after_holes": (draw_consistency, draw_holes)}


def draw():
    for name, parts in FIGURES.items():
        figure = Figure(figsize=(9.6, 4), layout="constrained")
        for axis, part in zip(figure.subplots(1, 2), parts, strict=True):
            part(axis)
        figure.savefig(IMAGES / f"{name}.png", dpi=120)


def numbers():
    for name, (calls, errors) in solver_errors().items():
        orders = np.log2(errors[:-1] / errors[1:])
        print(f"{name}: " + ", ".join(f"{c} calls {e:.2e}" for c, e in zip(calls, errors, strict=True)) + f"; orders {np.round(orders, 2)}")
    for s in (1.0, 2.0, 3.0, 5.0):
        p, x = tilted(s), samples(s)
        mean = float((p * GRID).sum())
        std = math.sqrt(float((p * (GRID - mean) ** 2).sum()))
        print(f"s = {s:g}: tilted {mean:.3f} +- {std:.3f}, guided {x.mean():.3f} +- {x.std():.3f}, distance {wasserstein_1(x, GRID, p):.4f}")
    print(f"s = 3 at t = 200..300: distance {wasserstein_1(samples(3.0, 200, 300), GRID, tilted(3.0)):.4f}")
    for T in (1000, 100, 50):
        schedule = make_schedule("cosine", T, **DECK_CLIP)
        print(f"T = {T}: {100 * math.sqrt(schedule.at(T).alpha_bar):.1f} % of the signal, {100 * mode_share(schedule):.2f} % in the first mode")
    for calls in (1, 2, 4):
        of = {"f": exact_consistency(TWO_MODES, LINEAR), "E[x_0 | x_t]": lambda x_t, t: best_x_0(x_t, int(t.max()))}
        shares = {name: draws_of(f, calls) for name, f in of.items()}
        print(f"{calls} calls: " + ", ".join(f"{name} {100 * (x < 0).mean():.1f} % below 0, std {x.std():.3f}" for name, x in shares.items()))
    posterior = given(KNOWN, MASK, PLANE)
    exact = 1 - float(distribution(np.zeros((1, 1)), 0, posterior, LINEAR)[0][0])
    for rounds in (1, 2, 5, 10, 20):
        print(f"{rounds} rounds: {100 * (filled(rounds) > 0).mean():.1f} % above 0, exact {100 * exact:.1f} %")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", action="store_true")
    numbers() if parser.parse_args().numbers else draw()
