"""Draw docs/as_printed.png: what the deck's printed forms do, beside the right ones.    python docs/as_printed.py"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from minidiff.classroom import as_printed
from minidiff.classroom.derivations.loss_weight import loss_weight
from minidiff.classroom.derivations.removed_fraction import removed_fraction
from minidiff.diffusion.ddim import ddim_sample, make_tau
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG

RIGHT, PRINTED = "tab:green", "tab:red"
SCHEDULE = make_schedule("linear", 1000)
MIXTURE = GaussianMixture([0.5, 0.5], [[-0.8], [0.8]], 0.05)
TIMES = np.arange(1, 1001)


def cosine_clip(axis):
    """Erratum 6."""
    for T, style in ((1000, "-"), (50, "--")):
        printed, right = as_printed.cosine_schedule(T), make_schedule("cosine", T)
        u = np.arange(T + 1) / T
        axis.plot(u, np.sqrt(printed.tables["alpha_bar"]), style, color=PRINTED, label=f"clip 0.02, T = {T}")
        axis.plot(u, np.sqrt(right.tables["alpha_bar"]), style, color=RIGHT, label=f"clip 0.999, T = {T}")
    axis.set(title="6: part of the image left in $x_t$", xlabel="t / T")


def removed(axis):
    """Erratum 25."""
    printed = [as_printed.removed_fraction(int(t), SCHEDULE) for t in TIMES]
    axis.loglog(TIMES, printed, color=PRINTED, label=r"$\beta/\sqrt{\alpha(1-\bar\alpha)}$")
    axis.loglog(TIMES, removed_fraction(TIMES, SCHEDULE), color=RIGHT, label=r"$\beta/(1-\bar\alpha)$")
    axis.set(title="25: fraction of the noise removed", xlabel="t")


def weights(axis):
    """Errata 14 and 15."""
    axis.loglog(TIMES, [as_printed.weight_with_squared_norm(int(t), SCHEDULE) for t in TIMES], color=PRINTED, label=r"$1/2\|\Sigma\|_2^2$")
    axis.loglog(TIMES, np.ones(1000), "--", color=PRINTED, label='"constant"')
    axis.loglog(TIMES, loss_weight(TIMES, SCHEDULE), color=RIGHT, label=r"$1/2\sigma_t^2$")
    axis.set(title=r"14, 15: weight of $\|\epsilon-\epsilon_\theta\|^2$ in $L_{t-1}$", xlabel="t")


def noise_added(axis):
    """Erratum 9."""
    formula, code = np.array([as_printed.sigma_of_formula_and_code(int(t), SCHEDULE) for t in TIMES[:50]]).T
    axis.plot(TIMES[:50], formula, ".-", color=RIGHT, label=r"formula: $\sqrt{\tilde\beta_t}$")
    axis.plot(TIMES[:50], code, ".-", color=PRINTED, label=r"code: $\sqrt{\beta_t}$")
    axis.set(title="9: noise added in one step", xlabel="t", ylim=(0, None))


def samples(axis):
    """Errata 22 and 28, on the exact predictor of two modes."""
    x_T = RNG(0).normal((4000, 1), dtype=np.float64)
    eps_theta = MIXTURE.eps_theta(SCHEDULE)
    upwards = as_printed.sample(eps_theta, x_T, SCHEDULE, RNG(1))
    alphas = x_T
    for t in range(1000, 1, -1):
        alphas = as_printed.ddim_step(alphas, t, eps_theta(alphas, np.full(len(alphas), t)), SCHEDULE)
    right = ddim_sample(eps_theta, x_T, SCHEDULE)
    bins = np.linspace(-2.5, 2.5, 101)
    curves = (
        (upwards, PRINTED, "-", "22: for i in range(T)"),
        (alphas, PRINTED, "--", r"28: $\alpha$ for $\bar\alpha$"),
        (right, RIGHT, "-", "DDIM, t = T..1"),
    )
    for x, color, style, label in curves:
        counts, _ = np.histogram(x, bins, density=True)
        axis.step(bins[:-1], counts, color=color, linestyle=style, where="post", label=label)
    axis.set(title="22, 28: samples of two modes at ±0.8", xlabel="$x_0$", ylim=(0, 5))


def ddim_width(axis):
    """Not an erratum but a caution: few DDIM steps lose variance even with the exact predictor."""
    counts = (20, 50, 100, 200, 1000)
    for spacing, style in (("uniform", "o-"), ("quadratic", "s-")):
        widths = []
        for S in counts:
            x = np.abs(ddim_sample(MIXTURE.eps_theta(SCHEDULE), RNG(100).normal((3000, 1), np.float64), SCHEDULE, RNG(2), steps=make_tau(1000, S, spacing)))
            widths.append(x[np.abs(x - 0.8) < 0.15].std())
        axis.semilogx(counts, widths, style, color="tab:blue", alpha=1 if spacing == "uniform" else 0.4, label=f"DDIM, {spacing} times")
    axis.axhline(0.05, color=RIGHT, label="true width")
    axis.set(title="width of a mode after S exact steps", xlabel="S", ylim=(0, 0.06))


def main():
    figure = Figure(figsize=(10.4, 6.2), layout="constrained")
    for axis, draw in zip(figure.subplots(2, 3).ravel(), (cosine_clip, removed, weights, noise_added, samples, ddim_width), strict=True):
        draw(axis)
        axis.title.set_fontsize(11)
        axis.legend(fontsize=8.5, handlelength=1.6)
    figure.suptitle("The deck as printed (red) and right (green); numbers are those of the errata", fontsize=11)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=120)


if __name__ == "__main__":
    main()
