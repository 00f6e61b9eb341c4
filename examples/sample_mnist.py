"""Sample from a trained DDPM: a grid of images, and a GIF of how they come out of noise.

python examples/sample_mnist.py --checkpoint runs/mnist/checkpoint --sampler ddim
python examples/sample_mnist.py --sampler ddpm --variance beta
python examples/sample_mnist.py --sampler sa --steps 10 --spacing inner --eta 1
"""

import numpy as np
from tqdm import tqdm

from minidiff import RNG, cli, models, sampling, to_cpu
from minidiff.data import save_npz, to_unit
from minidiff.pictures import save_gif, save_grid
from minidiff.training import Workers, run_or_shipped


def main() -> None:
    options = parse_options()
    cli.make_out(options.out)
    run, note = run_or_shipped(options.checkpoint, "runs/mnist/checkpoint", "mnist")
    print(note)
    denoiser = sampling.load_denoiser(run, models.UNet, device=options.device)
    schedule, shape = denoiser.schedule, (options.samples, *denoiser.sample_shape)
    rng, s = RNG(options.seed, options.device), strength_of_guidance(options, denoiser)

    with (
        Workers(denoiser.model, options.workers) as workers,
        sampling.guided_predictor(workers, denoiser.early, s) as network,
    ):
        total = schedule.T if options.sampler == "ddpm" else options.steps
        settings = sampling.SamplerSettings(
            options.sampler, total, options.spacing, 1.0, options.eta, options.variance
        )
        sampler = sampling.sampler_steps(
            network, denoiser.prediction, schedule, shape, rng, settings
        )
        shown = np.linspace(0, total - 1, min(options.frames, total)).round().astype(int)
        frames, titles = [], []
        for i, step in enumerate(
            tqdm(sampler, total=total, unit="step", mininterval=0.5, disable=None)
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


def strength_of_guidance(
    options: cli.Options, denoiser: sampling.Denoiser
) -> float:
    """--guidance, or what the run samples with itself; 1 is none.

    Raises: ValueError if it is wanted of a run that kept no early version.
    """
    s = denoiser.guidance if options.guidance is None else options.guidance
    if s != 1 and denoiser.early is None:
        kept = "the run kept no early version of its network to be guided by"
        raise ValueError(f"--guidance {s:g}: {kept}")
    if s != 1:
        print(f"guided away from an early version of itself, strength {s:g}")
    return s


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
        "--sampler", default="ddim", choices=sampling.SAMPLERS,
        help="all take --steps but ddpm, which takes all T; heun and flow-heun ask the "
        "network twice a step",
    )  # fmt: skip
    add(
        "--spacing", default="uniform", choices=sampling.SPACINGS,
        help="where the steps are: uniform or quadratic in t, uniform in the log of "
        "signal over noise, or there without both ends (inner), for few steps",
    )  # fmt: skip
    add(
        "--variance", default="beta_tilde", choices=["beta", "beta_tilde", "learned"],
        help="DDPM's sigma^2; learned: of a run with --variance learned",
    )  # fmt: skip
    add(
        "--guidance", type=cli.at_least_0,
        help="away from an early version of the network, if the run kept one (default: "
        "as the run itself; 1: none, as on the slides)",
    )  # fmt: skip
    add("--samples", type=cli.images, default=64)
    add("--frames", type=cli.up_to(1000), default=40, help="pictures in the GIF")
    cli.add_out(parser, "runs/samples")
    return parser.parse_args()


if __name__ == "__main__":
    with cli.program():
        main()
