"""Sample from a trained DDPM: a grid of images, and a GIF of how they come out of the noise.

python examples/sample_mnist.py --checkpoint runs/mnist/checkpoint --sampler ddim --steps 50
python examples/sample_mnist.py --checkpoint runs/mnist/checkpoint --sampler ddpm --variance beta
"""

import argparse

import numpy as np
from tqdm import tqdm

from minidiff.cli import add_common_options, one_line_error, positive_int, zero_to_one
from minidiff.data import to_unit
from minidiff.data.atomic import save_npz
from minidiff.diffusion.ddim import ddim_steps
from minidiff.diffusion.ddpm import ddpm_steps
from minidiff.engine.backend import to_cpu
from minidiff.engine.random import RNG
from minidiff.models import UNet
from minidiff.pictures.images import save_gif, save_grid
from minidiff.sampling.denoiser import load_denoiser
from minidiff.sampling.predictor import eps_predictor
from minidiff.training.checkpoint import CheckpointError, make_folder
from minidiff.training.workers import Workers


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common_options(parser)
    parser.add_argument(
        "--checkpoint",
        default="runs/mnist/checkpoint",
        help="folder that train_mnist_ddpm.py wrote",
    )
    parser.add_argument("--sampler", default="ddim", choices=["ddim", "ddpm"])
    parser.add_argument(
        "--steps", type=positive_int, default=50, help="steps of DDIM; DDPM always takes all T"
    )
    parser.add_argument(
        "--eta",
        type=zero_to_one,
        default=0.0,
        help="DDIM's eta: 0 deterministic, 1 as much noise as DDPM",
    )
    parser.add_argument(
        "--variance", default="beta_tilde", choices=["beta", "beta_tilde"], help="DDPM's sigma^2"
    )
    parser.add_argument("--samples", type=positive_int, default=64)
    parser.add_argument("--frames", type=positive_int, default=40, help="pictures in the GIF")
    parser.add_argument("--out", default="runs/samples")
    options = parser.parse_args()

    make_folder(options.out)
    model, prediction, schedule, sample_shape, _ = load_denoiser(
        options.checkpoint, UNet, device=options.device
    )
    shape = (options.samples, *sample_shape)
    rng = RNG(options.seed, options.device)

    with Workers(model, options.workers) as workers:
        eps_theta = eps_predictor(workers, prediction, schedule)
        if options.sampler == "ddim":
            sampler = ddim_steps(
                eps_theta, shape, schedule, rng, steps=options.steps, eta=options.eta, clip=1.0
            )
            total = options.steps
        else:
            sampler = ddpm_steps(
                eps_theta, shape, schedule, rng, variance=options.variance, clip=1.0
            )
            total = schedule.T
        shown = set(
            np.linspace(0, total - 1, min(options.frames, total)).round().astype(int).tolist()
        )
        frames, titles = [], []
        for i, step in enumerate(tqdm(sampler, total=total, unit="step", mininterval=0.5)):
            if i in shown:
                frames.append(to_unit(to_cpu(step.x_prev), clip=True))
                titles.append(f"t = {step.t}")
    samples = frames[-1]

    name = f"{options.sampler}-{total}"
    save_grid(
        f"{options.out}/{name}.png",
        samples,
        value_range=(0, 1),
        title=f"{options.sampler.upper()}, {total} steps",
    )
    save_gif(
        f"{options.out}/{name}.gif",
        [frame[:64] for frame in frames],
        titles=titles,
        value_range=(0, 1),
    )
    save_npz(f"{options.out}/{name}.npz", samples=samples)
    print(f"wrote {name}.png, {name}.gif and {name}.npz in {options.out}")


if __name__ == "__main__":
    with one_line_error(CheckpointError, ValueError, OSError, RuntimeError):
        main()
