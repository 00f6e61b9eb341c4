"""The whole of DDPM and DDIM on points in the plane, where every x_t can be seen at once. Less than a minute on a CPU.

    python examples/swiss_roll.py --out runs/swiss_roll

It trains a small network by Algorithm 1, with the loop that trains the U-Net on MNIST, and samples by Algorithm 2 and by DDIM.
It writes into --out:
    forward.png     the data become noise
    reverse.png     the same noise becomes data, by DDPM in T steps and by DDIM in few
    ways.png        the ways that single points take: DDPM's are random walks, DDIM's are smooth
    field.png       the score, -eps_theta / sqrt(1 - alpha_bar_t), at several t: where the network thinks that the data are
and loss.png and a checkpoint. What it prints at the end tells how well it went, by the distance of the samples from the roll.
"""

import argparse
import math

import numpy as np

from minidiff.cli import device, one_line_error, positive_float, positive_int, seed
from minidiff.data import Loader, swiss_roll, swiss_roll_curve
from minidiff.data.atomic import save_npz
from minidiff.diffusion.ddim import ddim_steps
from minidiff.diffusion.ddpm import ddpm_steps
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.noise_prediction import predict_noise
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.backend import to_cpu, to_device
from minidiff.engine.random import RNG
from minidiff.models import PointDenoiser
from minidiff.optim import AdamW
from minidiff.pictures.points import LIMIT, save_clouds, save_fields, save_ways
from minidiff.sampling.predictor import eps_predictor, evaluating
from minidiff.training.checkpoint import make_folder
from minidiff.training.run import run
from minidiff.training.trainer import Trainer
from minidiff.training.workers import Workers

NEAR = 0.12  # three standard deviations of the data's own distance from the curve; the turns are 0.8 apart
SHOWN = (0.0, 0.05, 0.15, 0.3, 0.6, 1.0)  # t / T in the pictures
N_WAYS = 6


def main() -> None:
    options = parse_options()
    make_folder(options.out)
    rng = RNG(options.seed, options.device)
    data = swiss_roll(options.points, options.seed)
    schedule = make_schedule("cosine", options.timesteps)
    print(schedule.check().sentence)
    model = PointDenoiser(n_hidden=options.hidden, rng=rng).to(options.device)
    print(f"a network with {model.parameter_count():,} parameters, {len(data):,} points")
    loader = Loader(
        data, None, min(options.batch_size, len(data)), rng, drop_last=True, value_range=None
    )
    optimizer = AdamW(model.named_parameters(), lr=options.lr, betas=(0.9, 0.99), weight_decay=0.0)
    trainer = Trainer(
        model,
        schedule,
        loader,
        optimizer,
        rng,
        ema_decay=0.99,
        prediction=options.predict,
        kind="points",
    )

    x_0 = to_device(data[: options.samples], options.device)
    draw_forward(f"{options.out}/forward.png", x_0, schedule, rng)
    with Workers(model, 1) as workers:  # so small a network is not worth a second process
        finished = run(trainer, options.out, workers, steps=options.steps, options=vars(options))
        if not finished:
            print(f"\nInterrupted; what it has learned is in {options.out}/checkpoint.")
            return
        with trainer.ema.applied_to(model), evaluating(model):
            eps_theta = eps_predictor(workers, options.predict, schedule, chunk=2000)
            x_T = rng.normal((options.samples, 2))
            ddpm = list(ddpm_steps(eps_theta, None, schedule, rng, x_T=x_T))
            ddim = list(
                ddim_steps(eps_theta, None, schedule, x_T=x_T, steps=options.sampling_steps)
            )
            draw_fields(f"{options.out}/field.png", eps_theta, x_0, schedule, rng)
    draw_reverse(options.out, ddpm, ddim, data)

    print(f"{'':18}nearer than {NEAR:g} to the roll    part of the roll with a point as near")
    clouds = {
        "data": x_0,
        f"DDPM, {len(ddpm)} steps": ddpm[-1].x_prev,
        f"DDIM, {len(ddim)} steps": ddim[-1].x_prev,
        "noise": x_T,
    }
    for name, points in clouds.items():
        share, covered = nearness(to_cpu(points), swiss_roll_curve())
        print(f"{name:18}{100 * share:24.1f} %{100 * covered:28.1f} %")
    save_npz(
        f"{options.out}/samples.npz", ddpm=to_cpu(ddpm[-1].x_prev), ddim=to_cpu(ddim[-1].x_prev)
    )
    print(
        f"wrote forward.png, reverse.png, ways.png, field.png, loss.png and samples.npz in {options.out}"
    )


def nearness(points: np.ndarray, curve: np.ndarray) -> tuple[float, float]:
    """The share of the points (N, 2) that have the curve nearer than NEAR, and the share of the curve (M, 2) that has a point as near.

    The first alone would be content with one good point drawn again and again, the second with points everywhere.
    """
    squared = ((points[:, None] - curve) ** 2).sum(axis=2)
    return float((squared.min(axis=1) < NEAR**2).mean()), float(
        (squared.min(axis=0) < NEAR**2).mean()
    )


def draw_forward(path, x_0, schedule, rng) -> None:
    """The forward process, each x_t in one jump from x_0."""
    times = shown_times(schedule.T)
    clouds = [("x_0: data", x_0)] + [
        (f"x_t, t = {t}", q_sample(x_0, t, rng.normal(x_0.shape), schedule)) for t in times[1:]
    ]
    save_clouds(path, {"q(x_t | x_0)": clouds})


def draw_reverse(out, ddpm, ddim, data) -> None:
    """reverse.png and ways.png from the steps of both samplers."""
    rows, ways = {}, {}
    for name, steps in (("DDPM", ddpm), ("DDIM", ddim)):
        states = [steps[0].x_t, *(step.x_prev for step in steps)]
        times = np.array([*(step.t for step in steps), 0])
        nearest = [int(np.abs(times - t).argmin()) for t in reversed(shown_times(ddpm[0].t))]
        title = f"{name}, {len(steps)} steps"
        rows[title] = [(f"t = {times[i]}", states[i]) for i in nearest]
        ways[title] = np.stack([to_cpu(x_t[:N_WAYS]) for x_t in states])
    save_clouds(f"{out}/reverse.png", rows)
    save_ways(f"{out}/ways.png", ways, data[:2000])


def draw_fields(path, eps_theta, x_0, schedule, rng) -> None:
    """The score that the network has learned, at all but the first and last of the times shown."""
    side = np.linspace(-0.95 * LIMIT, 0.95 * LIMIT, 20, dtype=np.float32)
    grid = to_device(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2), rng.device)
    fields = []
    for t in shown_times(schedule.T)[1:-1]:
        score = -predict_noise(eps_theta, grid, t) / math.sqrt(schedule.one_minus_alpha_bar(t))
        x_t = q_sample(x_0, t, rng.normal(x_0.shape), schedule)
        fields.append((f"t = {t}", x_t, grid, score))
    save_fields(path, fields, "length of the score")


def shown_times(T: int) -> list[int]:
    return [0, *(max(1, round(share * T)) for share in SHOWN[1:])]


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--device", type=device, default="cpu", help="cpu (default), cuda or cuda:N"
    )
    parser.add_argument("--seed", type=seed, default=0)
    parser.add_argument(
        "--out", default="runs/swiss_roll", help="folder for everything that is written"
    )
    parser.add_argument("--points", type=positive_int, default=10_000, help="of the training data")
    parser.add_argument("--steps", type=positive_int, default=2500, help="of training")
    parser.add_argument("--batch-size", type=positive_int, default=256)
    parser.add_argument(
        "--lr", type=positive_float, default=3e-3, help="the highest learning rate of AdamW"
    )
    parser.add_argument(
        "--hidden",
        type=positive_int,
        default=64,
        help="numbers per point inside the network, a multiple of 8",
    )
    parser.add_argument(
        "--predict",
        default="v",
        choices=["eps", "x_0", "v"],
        help="eps is the deck's; v is the more exact one near t = T",
    )
    parser.add_argument(
        "--timesteps", type=positive_int, default=200, help="T, also the steps of DDPM"
    )
    parser.add_argument(
        "--samples", type=positive_int, default=2000, help="how many points to draw"
    )
    parser.add_argument(
        "--sampling-steps", type=positive_int, default=20, help="S, the steps of DDIM"
    )
    options = parser.parse_args()
    if options.sampling_steps > options.timesteps:
        parser.error(
            f"--sampling-steps must be in 1..T = 1..{options.timesteps} (--timesteps), got {options.sampling_steps}"
        )
    return options


if __name__ == "__main__":
    with one_line_error(ValueError, OSError, RuntimeError):
        main()
