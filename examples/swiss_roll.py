"""The whole of DDPM and DDIM on points in the plane, where every x_t can be seen at once.

    python examples/swiss_roll.py --out runs/swiss_roll         # under a minute on a CPU

It trains a small network by Algorithm 1, with the loop that trains the U-Net on MNIST,
and samples by Algorithm 2 and by DDIM. It writes into --out:

    forward.png     the data become noise
    reverse.png     the same noise becomes data, by DDPM in T steps and by DDIM in few
    ways.png        the ways of single points: DDPM's are random walks, DDIM's are smooth
    field.png       the score, -eps_theta / sqrt(1 - alpha_bar_t), at several t

and loss.png and a checkpoint. The score points to where the network thinks that the data
are. At the end it prints how well it went, by the distance of the samples from the roll.
"""

import math

import numpy as np

from minidiff import RNG, cli, data, diffusion, pictures, to_cpu, to_device, training
from minidiff.models import PointDenoiser, PointDenoiserConfig
from minidiff.optim import AdamW
from minidiff.sampling import eps_predictor, evaluating
from minidiff.training import Trainer, TrainerSettings, Workers

NEAR = 0.12  # 3 standard deviations of the data from the curve; its turns are 0.8 apart
SHOWN = (0.0, 0.05, 0.15, 0.3, 0.6, 1.0)  # t / T in the pictures
N_WAYS = 4
KIND = "points"


def main(options: cli.Options) -> None:
    rng = RNG(options.seed, options.device)
    roll = data.swiss_roll(options.points, options.seed)
    schedule = diffusion.make_schedule("cosine", options.timesteps)
    print(schedule.check().sentence)
    model = PointDenoiser(PointDenoiserConfig(n_hidden=options.hidden), rng)
    model.to(options.device)
    print(f"a network with {model.parameter_count():,} parameters, {len(roll):,} points")
    batch_size = min(options.batch_size, len(roll))
    loader = data.Loader(roll, None, batch_size, rng, drop_last=True, value_range=None)
    optimizer = AdamW(
        model.named_parameters(), lr=options.lr, betas=(0.9, 0.99), weight_decay=0.0
    )
    settings = TrainerSettings(ema_decay=0.99, prediction=options.predict, kind=KIND)
    trainer = Trainer(model, schedule, loader, optimizer, rng, settings)
    if options.resume:
        cli.resume(trainer, options)

    x_0 = to_device(roll[: options.samples], options.device)
    draw_forward(f"{options.out}/forward.png", x_0, schedule, RNG(1, options.device))
    with Workers(model, 1) as workers:  # so small a network is not worth a second process
        how_long = training.RunSettings(steps=options.steps)
        facts = cli.stored_options(options)
        ending = training.run(trainer, options.out, workers, how_long, facts)
        if not ending:
            cli.end_early(ending, options)
        with trainer.ema.applied_to(model), evaluating(model):
            eps_theta = eps_predictor(workers, options.predict, schedule, chunk=2000)
            x_T = rng.normal((options.samples, 2))
            S = options.sampling_steps
            walks = [
                Walk("DDPM", diffusion.ddpm_steps(eps_theta, x_T, schedule, rng)),
                Walk("DDIM", diffusion.ddim_steps(eps_theta, x_T, schedule, steps=S)),
            ]
            draw_fields(f"{options.out}/field.png", eps_theta, x_0, schedule, rng)
    draw_reverse(options.out, walks, schedule.T, roll)

    by_ddpm, by_ddim = (walk.x_0 for walk in walks)
    clouds = {"data": x_0, **{walk.title: walk.x_0 for walk in walks}, "noise": x_T}
    head = f"nearer than {NEAR:g} to the roll    part of the roll with a point as near"
    print(f"{'':18}{head}")
    for name, points in clouds.items():
        share, covered = nearness(to_cpu(points), data.swiss_roll_curve())
        print(f"{name:18}{100 * share:24.1f} %{100 * covered:28.1f} %")
    data.save_npz(
        f"{options.out}/samples.npz", ddpm=to_cpu(by_ddpm), ddim=to_cpu(by_ddim)
    )
    names = "forward.png, reverse.png, ways.png, field.png, loss.png and samples.npz"
    print(f"wrote {names} in {options.out}")


def nearness(points: np.ndarray, curve: np.ndarray) -> tuple[float, float]:
    """How many points have the curve near, and how much of the curve has a point near.

    points: (N, 2), curve: (M, 2) -> two shares, where near is nearer than NEAR

    The first alone would be content with one good point drawn again and again, the second
    with points everywhere.
    """
    to_curve, to_points = [], np.full(len(curve), np.inf)
    for i in range(0, len(points), 1000):  # all pairs at once would fill the memory
        squared = ((points[i : i + 1000, None] - curve) ** 2).sum(axis=2)
        to_curve.append(squared.min(axis=1))
        to_points = np.minimum(to_points, squared.min(axis=0))
    nearest = np.concatenate(to_curve), to_points
    share, covered = ((squared < NEAR**2).mean() for squared in nearest)
    return float(share), float(covered)


def draw_forward(path, x_0, schedule, rng) -> None:
    """The forward process, each x_t in one jump from x_0."""
    clouds = [("x_0: data", x_0)]
    for t in shown_times(schedule.T)[1:]:
        x_t = diffusion.q_sample(x_0, t, rng.normal(x_0.shape), schedule)
        clouds.append((f"x_t, t = {t}", x_t))
    pictures.save_clouds(path, {"q(x_t | x_0)": clouds})


class Walk:
    """The states of a sampler on its way, x_T to x_0, without the other terms."""

    def __init__(self, name: str, sampler):
        self.times, self.states = [], []
        for step in sampler:
            self.states += [step.x_prev] if self.states else [step.x_t, step.x_prev]
            self.times.append(step.t)
        self.title, self.x_0 = f"{name}, {len(self.times)} steps", self.states[-1]
        self.times = np.array([*self.times, 0])


def draw_reverse(out, walks, T, roll) -> None:
    """reverse.png and ways.png from the ways of both samplers."""
    rows, ways = {}, {}
    for walk in walks:
        nearest = [int(np.abs(walk.times - t).argmin()) for t in reversed(shown_times(T))]
        rows[walk.title] = [(f"t = {walk.times[i]}", walk.states[i]) for i in nearest]
        ways[walk.title] = np.stack([to_cpu(x_t[:N_WAYS]) for x_t in walk.states])
    pictures.save_clouds(f"{out}/reverse.png", rows)
    pictures.save_ways(f"{out}/ways.png", ways, roll[:2000])


def draw_fields(path, eps_theta, x_0, schedule, rng) -> None:
    """The learned score, at all times of the pictures but the first and last."""
    limit = 0.95 * pictures.LIMIT
    side = np.linspace(-limit, limit, 20, dtype=np.float32)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    grid = to_device(grid, rng.device)
    fields = []
    for t in shown_times(schedule.T)[1:-1]:
        eps_hat = diffusion.predict_noise(eps_theta, grid, t)
        score = -eps_hat / math.sqrt(schedule.at(t).one_minus_alpha_bar)
        x_t = diffusion.q_sample(x_0, t, rng.normal(x_0.shape), schedule)
        fields.append((f"t = {t}", x_t, grid, score))
    pictures.save_fields(path, fields, "length of the score")


def shown_times(T: int) -> list[int]:
    return [0, *(max(1, round(share * T)) for share in SHOWN[1:])]


def parse_options() -> cli.Options:
    parser = cli.make_parser(__doc__)
    add, some = parser.add_argument, cli.up_to(10_000)
    add("--device", type=cli.device, default="cpu", help="cpu (default), cuda or cuda:N")
    add("--seed", type=cli.seed, default=0)
    cli.add_out(parser, "runs/swiss_roll")
    cli.add_resume(parser)
    add("--points", type=cli.positive_int, default=10_000, help="of the training data")
    add("--steps", type=cli.positive_int, default=2500, help="of training")
    add("--batch-size", type=cli.images, default=256)
    add(
        "--lr", type=cli.positive_float, default=3e-3,
        help="highest learning rate of AdamW",
    )  # fmt: skip
    add(
        "--hidden", type=cli.up_to(4096), default=64,
        help="numbers per point in the network, 8 n",
    )  # fmt: skip
    add(
        "--predict", default="v", choices=["eps", "x_0", "mu_tilde", "v"],
        help="what the network predicts: eps (as on the slides) or v (exact near t = T)",
    )  # fmt: skip
    add("--timesteps", type=some, default=200, help="T, also the steps of DDPM")
    add("--samples", type=some, default=2000, help="how many points to draw")
    add("--sampling-steps", type=some, default=20, help="S, the steps of DDIM")
    options = parser.parse_args()
    if options.resume:
        cli.restore(options, parser, KIND, ("points", "hidden", "predict", "timesteps"))
    S, T = options.sampling_steps, options.timesteps
    if S > T:
        parser.error(f"--sampling-steps must be in 1..T = 1..{T} (--timesteps), got {S}")
    return options


if __name__ == "__main__":
    with cli.program():
        options = parse_options()
        with cli.run_folder(options):
            main(options)
