"""A drop of ink in a glass of water, and the same thing done to data.

Slide "Inspired By Diffusion In Physics".

    python examples/ink_brownian_motion.py --out runs/ink

Above: ink particles that only random kicks move. Their variance grows by the same amount
every step, until the glass stops them.
Below: the forward process of DDPM on points in two clusters. Each step also pulls towards
0, by just as much as its noise adds, so the variance goes to 1 and the points to N(0, I),
whatever they were.
"""

import numpy as np

from minidiff import RNG, cli, diffusion, pictures

GLASS = 3.0  # half the width of the glass
KICK = 0.15  # standard deviation of one kick


def ink_steps(x, steps, rng):
    """Brownian motion between walls: x_t = x_{t-1} + KICK z, reflected at +-GLASS.

    x: (B, 2) -> yields x_1, x_2, ...
    """
    for _ in range(steps):
        x = x + KICK * rng.normal(x.shape, dtype=x.dtype)
        x = np.where(np.abs(x) > GLASS, np.sign(x) * 2 * GLASS - x, x)
        yield x


def main(options):
    cli.make_out(options.out)
    rng = RNG(options.seed)
    T = 1000
    shown = (0, 50, 200, 500, 1000)
    schedule = diffusion.make_schedule("linear", T)
    data = diffusion.GaussianMixture([0.5, 0.5], [[-1.5, -0.5], [1.5, 0.5]], 0.15)

    drop = 0.1 * rng.normal((options.particles, 2), dtype=np.float64)
    ink = {0: drop}
    for t, x_t in enumerate(ink_steps(drop, T, rng), start=1):
        if t in shown:
            ink[t] = x_t
    x_0 = data.sample(options.particles, rng)
    diffused = {0: x_0}
    for step in diffusion.forward_steps(x_0, schedule, rng):
        if step.t in shown:
            diffused[step.t] = step.x_t

    print(
        "            ink: variance            "
        "data: variance of one cluster's noise, measured and in closed form"
    )
    left = x_0[:, 0] < 0
    for t in shown:
        noise = 0.0 if t == 0 else diffusion.q_mean_variance(x_0, t, schedule)[1]
        measured = diffused[t][left, 0].var()
        theory = schedule.at(t, first=0).alpha_bar * 0.15**2 + noise
        print(
            f"t = {t:4}    {ink[t].var():6.3f} (free: {0.01 + t * KICK**2:6.3f})    "
            f"{measured:6.3f}    {theory:6.3f}"
        )

    figure = pictures.Figure(figsize=(10, 4.4), layout="constrained")
    axes = figure.subplots(2, len(shown))
    for row, (points, color) in enumerate(((ink, "tab:blue"), (diffused, "tab:orange"))):
        for column, t in enumerate(shown):
            axis = axes[row, column]
            axis.scatter(*points[t].T, s=1, color=color, alpha=0.5)
            axis.set(xlim=(-GLASS, GLASS), ylim=(-GLASS, GLASS), aspect="equal")
            axis.set(xticks=[], yticks=[])
            axis.set_title(f"t = {t}", fontsize=9)
    axes[0, 0].set_ylabel("ink in water")
    axes[1, 0].set_ylabel("data in DDPM")
    path = f"{options.out}/ink.png"
    pictures.save_figure(figure, path, dpi=100)
    print(f"wrote {path}")


def parse_options():
    parser = cli.make_parser(__doc__)
    parser.add_argument("--particles", type=cli.images, default=2000)
    parser.add_argument("--seed", type=cli.seed, default=0)
    cli.add_out(parser, "runs/ink")
    return parser.parse_args()


if __name__ == "__main__":
    with cli.program():
        main(parse_options())
