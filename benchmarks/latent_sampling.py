"""Sampling in the latents beside sampling pixels: the same width, the same steps, one run, alternating.

    python benchmarks/latent_sampling.py --write docs/benchmarks/latent_sampling.md

Weights are random: the time does not depend on them. The pixel model is the deck's U-Net with its default channels (32 at 28x28, 64 at
14x14 and 7x7); the latent model has the same 64 channels at 7x7, and cross-attention and a text encoder; its time includes decoding.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from minidiff.data.atomic import atomic_write
from minidiff.diffusion.ddim import ddim_sample
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.models import UNet, UNetConfig
from minidiff.models.autoencoder import VQAutoencoder
from minidiff.models.text_unet import TextUNet, TextUNetConfig
from minidiff.sampling.latents import TrainedAutoencoder
from minidiff.sampling.predictor import eps_predictor
from minidiff.training.workers import Workers, available_cores

SCHEDULE = make_schedule("cosine", 1000)
LATENT, WORDS = {"image_channels": 4, "n_channels": 64, "ch_mults": (1,), "is_attn": (True,)}, {"n_words": 18, "max_length": 4}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10, help="of DDIM, the same for all")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", metavar="FILE", help="a Markdown table")
    options = parser.parse_args()
    times = measure(options.images, options.steps, options.rounds)
    table = report(times, options)
    print(table)
    if options.write:
        with atomic_write(options.write) as part:
            part.write_text(table)


def measure(images: int, steps: int, rounds: int) -> dict[str, list[float]]:
    """Seconds by kind of sampling, in each of the rounds."""
    networks = {
        "pixels, the deck's U-Net": UNet(rng=RNG(0)),
        "pixels, the U-Net on 2x2 patches of train_mnist_ddpm.py": UNet(UNetConfig(1, 32, (1, 2), (False, True), patch_size=2), RNG(0)),
        "latents, and decoding": TextUNet(TextUNetConfig(LATENT, WORDS), RNG(0)),
    }
    autoencoder = TrainedAutoencoder(VQAutoencoder(rng=RNG(0)), 1.0, {})
    tokens = np.tile(np.array([2, 3, 0, 0]), (images, 1))

    def sampler(name: str, workers: Workers) -> Callable[[], object]:
        if name.startswith("pixels"):
            eps_theta = eps_predictor(workers, "eps", SCHEDULE)
            return lambda: ddim_sample(eps_theta, (images, 1, 28, 28), SCHEDULE, RNG(1), steps=steps, clip=1.0)
        eps_theta = eps_predictor(workers, "eps", SCHEDULE, tokens=tokens)
        return lambda: autoencoder.decode(ddim_sample(eps_theta, (images, 4, 7, 7), SCHEDULE, RNG(1), steps=steps))

    times: dict[str, list[float]] = {name: [] for name in networks}
    for round in range(rounds + 1):
        for name, network in networks.items():
            with Workers(network) as workers:
                sample = sampler(name, workers)
                if round == 0:
                    sample()  # imports, scratch memory
                start = time.perf_counter()
                sample()
                if round:
                    times[name].append(time.perf_counter() - start)
    return times


def report(times: dict[str, list[float]], options: argparse.Namespace) -> str:
    latents = next(values for name, values in times.items() if name.startswith("latents"))
    lines = [
        "# Sampling in the latents beside sampling pixels", "",
        f"{options.images} images, {options.steps} steps of DDIM, {available_cores()} cores, no guidance (it doubles each). "
        f"Medians of {options.rounds} rounds; the ratio is the median of the rounds' ratios.", "",
        "| | seconds | times the latents' |", "|---|---|---|",
    ]  # fmt: skip
    for name, values in times.items():
        ratio = statistics.median(a / b for a, b in zip(values, latents, strict=True))
        lines.append(f"| {name} | {statistics.median(values):.2f} | {ratio:.1f} |")
    command = f"python benchmarks/latent_sampling.py --images {options.images} --steps {options.steps} --rounds {options.rounds}"
    return "\n".join([*lines, "", f"Made by `{command} --write docs/benchmarks/latent_sampling.md`.", ""])


if __name__ == "__main__":
    main()
