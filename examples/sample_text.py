"""Images from words: sample the latent diffusion model of train_mnist_ldm.py with classifier-free guidance.

    python examples/sample_text.py --prompt "a thin eight" --guidance 3 --steps 50
    python examples/sample_text.py --prompt "a thick three" --prompt "two"                 # a row each
    python examples/sample_text.py --prompt "a seven" --image picture.png --strength 0.7   # image to image: noise it in part, then denoise

It writes into --out: samples.png, samples.npz, and trajectory.png and .gif, the decoded estimate of z_0 step by step.
"""

import argparse

import numpy as np
from tqdm import tqdm

from minidiff.cli import add_common_options, at_least_0, one_line_error, positive_int, zero_to_one
from minidiff.data import PictureError, read_picture, to_unit
from minidiff.data.atomic import save_npz
from minidiff.diffusion.ddim import ddim_steps, make_tau
from minidiff.diffusion.forward import q_sample
from minidiff.engine.backend import to_cpu, to_device
from minidiff.engine.random import RNG
from minidiff.engine.tape import no_grad
from minidiff.engine.tensor import Tensor
from minidiff.pictures.images import save_gif, save_grid
from minidiff.sampling.text_to_image import TextToImage, load_text_to_image
from minidiff.training.checkpoint import CheckpointError, make_folder
from minidiff.training.workers import Workers


def main() -> None:
    options = parse_options()
    make_folder(options.out)
    model = load_text_to_image(options.ldm, options.device)
    prompts = [prompt for prompt in options.prompt for _ in range(options.samples)]
    model.captions.encode(options.prompt)  # an unknown word is told before anything is computed
    schedule = model.denoiser.schedule
    rng = RNG(options.seed, options.device)
    shape = (len(prompts), *model.denoiser.sample_shape)

    share = options.strength if options.image else 1.0  # of the T times, and of the steps
    if options.steps > schedule.T:
        raise ValueError(f"--steps must be in 1..T = 1..{schedule.T}, got {options.steps}")
    tau = make_tau(max(1, round(share * schedule.T)), max(1, round(share * options.steps)))
    z_start = None
    if options.image:
        z_0 = latent_of(
            read_image(options.image, model.autoencoder.facts["image_shape"]), model, options.device
        )
        eps = rng.normal(shape)
        z_start = q_sample(z_0.repeat(len(prompts), axis=0), int(tau[-1]), eps, schedule)
    with Workers(model.denoiser.model, options.workers) as workers:
        eps_theta = model.eps_theta(workers, prompts, options.guidance, options.device)
        sampler = ddim_steps(eps_theta, shape, schedule, rng, tau=tau, eta=options.eta, x_T=z_start)
        on_the_way = set(
            np.linspace(0, len(tau) - 1, min(8, len(tau))).round().astype(int).tolist()
        )
        rows, frames, titles = [], [], []
        for i, step in enumerate(tqdm(sampler, total=len(tau), unit="step", mininterval=0.5)):
            decoded = to_unit(
                to_cpu(
                    model.autoencoder.decode(
                        step.x_0_hat[: options.samples * min(4, len(options.prompt))]
                    )
                )
            )
            frames.append(decoded)
            titles.append(f"t = {step.t}")
            if i in on_the_way:
                rows.append(decoded[:8])
        samples = to_unit(to_cpu(model.autoencoder.decode(step.x_prev))).astype(np.float32)

    save_npz(
        f"{options.out}/samples.npz",
        samples=samples,
        labels=model.labels(prompts),
        prompts=np.array(prompts),
    )
    title = f"guidance {options.guidance:g}, {len(tau)} steps"
    save_grid(
        f"{options.out}/samples.png",
        samples,
        columns=options.samples,
        title=title,
        labels=prompts,
        value_range=(0, 1),
    )
    title = "the decoded estimate of z_0, from the start (top) to the end"
    save_grid(
        f"{options.out}/trajectory.png",
        np.concatenate(rows),
        columns=len(rows[0]),
        title=title,
        value_range=(0, 1),
    )
    save_gif(
        f"{options.out}/trajectory.gif",
        frames,
        columns=options.samples,
        titles=titles,
        value_range=(0, 1),
    )
    print(f"wrote samples.png, samples.npz, trajectory.png and trajectory.gif in {options.out}")


def read_image(path: str, shape: list[int]) -> np.ndarray:
    """A picture file as (1, C, H, W) floats in [-1, 1], resized; white on black, as MNIST is."""
    try:
        return read_picture(path, shape)
    except PictureError as error:
        raise ValueError(f"--image: {error}") from error


def latent_of(x: np.ndarray, model: TextToImage, device: str):
    """The scaled latent of an image, where denoising would end."""
    with no_grad():
        return model.autoencoder.model.encode(Tensor(to_device(x, device))).data * np.float32(
            model.autoencoder.scale
        )


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common_options(parser)
    parser.add_argument("--ldm", default="runs/ldm", help="folder that train_mnist_ldm.py wrote")
    parser.add_argument(
        "--prompt",
        action="append",
        help='such as "a thick slanted three"; may be given several times; "" is anything',
    )
    parser.add_argument(
        "--guidance",
        type=at_least_0,
        default=3.0,
        help="s: 0 ignores the prompt, 1 is the conditional model",
    )
    parser.add_argument(
        "--steps",
        type=positive_int,
        default=50,
        help="S of DDIM over all T times; of --image, --strength of them",
    )
    parser.add_argument(
        "--eta",
        type=zero_to_one,
        default=1.0,
        help="DDIM's eta: 0 deterministic, 1 as much noise as DDPM",
    )
    parser.add_argument("--samples", type=positive_int, default=8, help="images per prompt")
    parser.add_argument(
        "--image", help="a picture file to begin with, white on black, instead of pure noise"
    )
    parser.add_argument(
        "--strength",
        type=float,
        default=0.6,
        help="how much of --image is noised: up to t = strength * T; in (0, 1]",
    )
    parser.add_argument("--out", default="runs/text")
    options = parser.parse_args()
    options.prompt = options.prompt or ["a thin eight"]
    if not 0 < options.strength <= 1:
        parser.error(f"--strength must be in (0, 1], got {options.strength:g}")
    return options


if __name__ == "__main__":
    with one_line_error(CheckpointError, ValueError, OSError, RuntimeError):
        main()
