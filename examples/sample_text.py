"""Images from words: sample the latent diffusion model of train_mnist_ldm.py.

    python examples/sample_text.py --prompt "a thin eight" --guidance 3 --steps 50
    python examples/sample_text.py --prompt "a thick three" --prompt "two"   # a row each
    python examples/sample_text.py --prompt "a seven" --image picture.png --strength 0.7

The last line goes from image to image: it adds some noise to the picture, then denoises.
All use classifier-free guidance. It writes into --out: samples.png, samples.npz, and
trajectory.png and .gif, the decoded estimate of z_0 step by step.
"""

import numpy as np
from tqdm import tqdm

from minidiff import RNG, Tensor, cli, no_grad, pictures, to_cpu, to_device
from minidiff.data import PictureError, read_picture, save_npz, to_unit
from minidiff.diffusion import ddim_steps, make_tau, q_sample
from minidiff.sampling import TextToImage, load_text_to_image
from minidiff.training import Workers, run_or_shipped


def main() -> None:
    options = parse_options()
    cli.make_out(options.out)
    run, note = run_or_shipped(options.ldm, "runs/ldm", "ldm")
    print(note)
    model = load_text_to_image(run, options.device)
    prompts = [prompt for prompt in options.prompt for _ in range(options.samples)]
    model.captions.encode(options.prompt)  # tells of unknown words before it computes
    schedule = model.denoiser.schedule
    rng = RNG(options.seed, options.device)
    shape = (len(prompts), *model.denoiser.sample_shape)

    share = options.strength if options.image else 1.0  # of the T times, and of the steps
    if options.steps > schedule.T:
        raise ValueError(
            f"--steps must be in 1..T = 1..{schedule.T}, got {options.steps}"
        )
    tau = make_tau(
        max(1, round(share * schedule.T)), max(1, round(share * options.steps))
    )
    start = shape
    if options.image:
        x = read_image(options.image, model.autoencoder.facts["image_shape"])
        z_0 = latent_of(x, model, options.device).repeat(len(prompts), axis=0)
        start = q_sample(z_0, int(tau[-1]), rng.normal(shape), schedule)
    with Workers(model.denoiser.model, options.workers) as workers:
        eps_theta = model.eps_theta(workers, prompts, options.guidance, options.device)
        sampler = ddim_steps(
            eps_theta, start, schedule, rng, steps=tau, eta=options.eta
        )
        in_rows = np.linspace(0, len(tau) - 1, min(8, len(tau))).round().astype(int)
        shown = options.samples * min(4, len(options.prompt))
        rows, frames, titles = [], [], []
        bar = tqdm(sampler, total=len(tau), unit="step", mininterval=0.5, disable=None)
        for i, step in enumerate(bar):
            decoded = to_unit(to_cpu(model.autoencoder.decode(step.x_0_hat[:shown])))
            frames.append(decoded)
            titles.append(f"t = {step.t}")
            if i in in_rows:
                rows.append(decoded[:8])
        samples = to_unit(to_cpu(model.autoencoder.decode(step.x_prev))).astype(
            np.float32
        )

    out, n, unit = options.out, options.samples, (0, 1)
    labels = model.labels(prompts)
    save_npz(
        f"{out}/samples.npz", samples=samples, labels=labels, prompts=np.array(prompts)
    )
    title = f"guidance {options.guidance:g}, {len(tau)} steps"
    pictures.save_grid(f"{out}/samples.png", samples, n, title, prompts, unit)
    title = "the decoded estimate of z_0, from the start (top) to the end"
    images = np.concatenate(rows)
    pictures.save_grid(
        f"{out}/trajectory.png", images, len(rows[0]), title, value_range=unit
    )
    pictures.save_gif(f"{out}/trajectory.gif", frames, n, titles, unit)
    print(f"wrote samples.png, samples.npz, trajectory.png and trajectory.gif in {out}")


def read_image(path: str, shape: list[int]) -> np.ndarray:
    """A picture file as (1, C, H, W) floats in [-1, 1], resized.

    It should be white on black, as MNIST is.
    """
    try:
        return read_picture(path, shape)
    except PictureError as error:
        raise ValueError(f"--image: {error}") from error


def latent_of(x: np.ndarray, model: TextToImage, device: str):
    """The scaled latent of an image, where denoising would end."""
    autoencoder = model.autoencoder
    with no_grad():
        z = autoencoder.model.encode(Tensor(to_device(x, device))).data
    return z * np.float32(autoencoder.scale)


def parse_options() -> cli.Options:
    parser = cli.make_parser(__doc__)
    cli.add_common_options(parser)
    fragile = "; at 0 the errors of a network of --predict eps stay, without a clip"
    cli.add_sampler_options(parser, steps=50, eta=1.0, name="--steps", note=fragile)
    add = parser.add_argument
    add(
        "--ldm", type=cli.path,
        help="folder that train_mnist_ldm.py wrote (default: runs/ldm, else the weights "
        "that come with the package)",
    )  # fmt: skip
    add(
        "--prompt", action="append",
        help='such as "a thick slanted three"; once for each row; "" is anything',
    )  # fmt: skip
    add(
        "--guidance", type=cli.at_least_0, default=3.0,
        help="s: 0 ignores the prompt, 1 is the conditional model",
    )  # fmt: skip
    add("--samples", type=cli.images, default=8, help="images per prompt")
    add(
        "--image", type=cli.path,
        help="a picture file to begin with, white on black, instead of noise",
    )  # fmt: skip
    add(
        "--strength", type=cli.at_least_0, default=0.6,
        help="noise --image up to t = strength * T; so many of --steps; in (0, 1]",
    )  # fmt: skip
    cli.add_out(parser, "runs/text")
    options = parser.parse_args()
    options.prompt = options.prompt or ["a thin eight"]
    if not 0 < options.strength <= 1:
        parser.error(f"--strength must be in (0, 1], got {options.strength:g}")
    n = options.samples * len(options.prompt)
    if n > cli.MOST_IMAGES:
        parser.error(f"--samples: wanted at most {cli.MOST_IMAGES:,} in all, got {n:,}")
    return options


if __name__ == "__main__":
    with cli.program():
        main()
