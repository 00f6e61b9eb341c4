"""Sample from a trained DDPM: a grid of images, and a GIF of how they come out of noise.

python examples/sample_mnist.py --checkpoint runs/mnist/checkpoint --sampler ddim
python examples/sample_mnist.py --sampler ddpm --variance beta
"""

import numpy as np
from tqdm import tqdm

from minidiff import RNG, cli, models, to_cpu
from minidiff.data import save_npz, to_unit
from minidiff.diffusion import ddim_steps, ddpm_steps
from minidiff.pictures import save_gif, save_grid
from minidiff.sampling import eps_predictor, load_denoiser
from minidiff.training import Workers, run_or_shipped


def main() -> None:
    options = parse_options()
    cli.make_out(options.out)
    run, note = run_or_shipped(options.checkpoint, "runs/mnist/checkpoint", "mnist")
    print(note)
    denoiser = load_denoiser(run, models.UNet, device=options.device)
    schedule, shape = denoiser.schedule, (options.samples, *denoiser.sample_shape)
    rng = RNG(options.seed, options.device)

    with Workers(denoiser.model, options.workers) as workers:
        eps_theta = eps_predictor(workers, denoiser.prediction, schedule)
        if options.sampler == "ddim":
            total, eta = options.steps, options.eta
            sampler = ddim_steps(
                eps_theta, shape, schedule, rng, steps=total, eta=eta, clip=1.0
            )
        else:
            total, variance = schedule.T, options.variance
            sampler = ddpm_steps(
                eps_theta, shape, schedule, rng, variance=variance, clip=1.0
            )
        shown = np.linspace(0, total - 1, min(options.frames, total)).round().astype(int)
        frames, titles = [], []
        for i, step in enumerate(
            tqdm(sampler, total=total, unit="step", mininterval=0.5)
        ):
            if i in shown:
                frames.append(to_unit(to_cpu(step.x_prev[:64]), clip=True))
                titles.append(f"t = {step.t}")
    samples, unit = to_unit(to_cpu(step.x_prev), clip=True), (0, 1)

    name = f"{options.sampler}-{total}"
    path, title = f"{options.out}/{name}", f"{options.sampler.upper()}, {total} steps"
    save_grid(f"{path}.png", samples, value_range=unit, title=title)
    save_gif(f"{path}.gif", frames, titles=titles, value_range=unit)
    save_npz(f"{path}.npz", samples=samples)
    print(f"wrote {name}.png, {name}.gif and {name}.npz in {options.out}")


def parse_options() -> cli.Options:
    parser = cli.make_parser(__doc__)
    cli.add_common_options(parser)
    cli.add_sampler_options(parser, steps=50, eta=0.0, name="--steps")
    add = parser.add_argument
    add(
        "--checkpoint", type=cli.path,
        help="folder that train_mnist_ddpm.py wrote (default: runs/mnist/checkpoint, "
        "else the weights that come with the package)",
    )  # fmt: skip
    add(
        "--sampler", default="ddim", choices=["ddim", "ddpm"],
        help="ddim takes --steps, ddpm always takes all T",
    )  # fmt: skip
    add(
        "--variance", default="beta_tilde", choices=["beta", "beta_tilde", "learned"],
        help="DDPM's sigma^2; learned: of a run with --variance learned",
    )  # fmt: skip
    add("--samples", type=cli.images, default=64)
    add("--frames", type=cli.up_to(1000), default=40, help="pictures in the GIF")
    cli.add_out(parser, "runs/samples")
    return parser.parse_args()


if __name__ == "__main__":
    with cli.program():
        main()
