"""Phase 1 of latent diffusion: train an autoencoder, 28x28 pixels <-> 7x7 latents, quantised (VQ-VAE) or KL-regularised.

    python examples/train_mnist_vqvae.py                     # about three minutes on two CPU cores
    python examples/train_mnist_vqvae.py --regularizer kl    # Stable Diffusion's kind, with the same interface

It writes into --out: reconstructions.png, code_usage.png and perplexity.png as it goes, loss.png, and a checkpoint with the latent scale,
which train_mnist_ldm.py takes. One fifth of the images is held out; the reconstruction error is that of those.
"""

import argparse
import shlex
import sys

import numpy as np

from minidiff.cli import add_training_options, check_limits, one_line_error, positive_int, restore
from minidiff.data import Loader, load_dataset
from minidiff.engine.random import RNG
from minidiff.models.autoencoder import KLAutoencoder, VQAutoencoder
from minidiff.optim import AdamW
from minidiff.pictures.images import save_code_usage, save_grid, save_perplexity
from minidiff.sampling.autoencoder import HELD_OUT, encode_images, reconstruct, scale_of
from minidiff.training.autoencoder import KIND, AutoencoderTrainer
from minidiff.training.checkpoint import CheckpointError, make_folder
from minidiff.training.run import run
from minidiff.training.workers import Workers


def main() -> None:
    options = parse_options()
    make_folder(options.out)
    dataset = load_dataset(options.data, options.data_dir, seed=options.seed)
    print(dataset.note)
    train, held_out = dataset.split(len(dataset) // HELD_OUT, options.seed)
    rng = RNG(options.seed, options.device)
    size = {
        "image_channels": dataset.images.shape[1],
        "n_channels": options.channels,
        "z_channels": options.latent_channels,
        "rng": rng,
    }
    if options.regularizer == "vq":
        model = VQAutoencoder(**size, n_codes=options.codes, ema=options.ema_codebook)
    else:
        model = KLAutoencoder(**size)
    model.to(options.device)
    print(
        f"{type(model).__name__} with {model.parameter_count():,} parameters, latents {model.latent_shape(*dataset.images.shape[2:])}"
    )
    loader = Loader(train.images, train.labels, options.batch_size, rng, drop_last=True)
    learned = [
        (name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad
    ]
    optimizer = AdamW(learned, lr=options.lr, betas=(0.9, 0.99), weight_decay=0.0)
    trainer = AutoencoderTrainer(model, loader, optimizer, rng)
    if options.resume:
        trainer.load(f"{options.out}/checkpoint")
        print(
            f"continuing at step {trainer.step}, after {trainer.seconds / 60:.1f} minutes of training"
        )

    steps = None if options.epochs is None else options.epochs * len(loader)
    facts = {**vars(options), "dataset": dataset.name}
    with Workers(model, options.workers) as workers:
        finished = run(
            trainer, options.out, workers, steps=steps, minutes=options.minutes, options=facts, preview_minutes=1.0,
            preview=lambda trainer: draw(trainer, held_out, workers, options.out),
        )  # fmt: skip
        if not finished:
            command = shlex.join(["python", sys.argv[0], "--resume", "--out", options.out])
            print(f"\nInterrupted; saved in {options.out}/checkpoint. Continue with:\n  {command}")
            return
        scale = scale_of(encode_images(workers, train.images))
        trainer.save(f"{options.out}/checkpoint", {**facts, "latent_scale": scale})
        draw(trainer, held_out, workers, options.out)
        result = reconstruct(workers, held_out.images)
    used = (
        f", codebook perplexity {result.perplexity(options.codes):.1f} of {options.codes}"
        if options.regularizer == "vq"
        else ""
    )
    print(
        f"{len(held_out)} held-out images: mean squared error {result.mse:.4f} per pixel in [0, 1] scale{used}; latent scale {scale:.3f}"
    )
    print(f"wrote the pictures and the checkpoint in {options.out}")


def draw(trainer: AutoencoderTrainer, held_out, workers: Workers, out: str) -> None:
    """reconstructions.png: held-out images and below each what is left of it; with a codebook its use, too."""
    columns = min(10, len(held_out))
    rows = min(4, len(held_out) // columns)
    images = held_out.images[: rows * columns]
    x_hat = reconstruct(workers, images).x_hat
    pairs = np.stack(
        [part.reshape(rows, columns, *images.shape[1:]) for part in (images / 255, x_hat)], axis=1
    )
    title = f"step {trainer.step}: held-out images, and below each its reconstruction"
    save_grid(
        f"{out}/reconstructions.png",
        pairs.reshape(-1, *images.shape[1:]),
        columns=columns,
        title=title,
        value_range=(0, 1),
    )
    if trainer.keeper:
        save_code_usage(f"{out}/code_usage.png", trainer.keeper.usage)
        save_perplexity(
            f"{out}/perplexity.png", trainer.perplexities, trainer.keeper.quantizer.n_codes
        )


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_training_options(parser, out="runs/vqvae", minutes=3, batch_size=32, ema=None)
    parser.add_argument(
        "--regularizer",
        default="vq",
        choices=["vq", "kl"],
        help="vq: a codebook; kl: a variational autoencoder",
    )
    parser.add_argument(
        "--channels",
        type=positive_int,
        default=32,
        help="at 14x14; twice as many at 7x7; a multiple of 4, at least 8",
    )
    parser.add_argument(
        "--latent-channels", type=positive_int, default=4, help="D, the numbers per latent pixel"
    )
    parser.add_argument(
        "--codes", type=positive_int, default=128, help="K, the size of the codebook"
    )
    parser.add_argument(
        "--ema-codebook",
        action="store_true",
        help="codes as running means (VQ-VAE app. A.1) instead of the codebook loss",
    )
    options = parser.parse_args()
    if options.resume:  # the run's own options, but for those that say how long and where
        network = ("regularizer", "channels", "latent_channels", "codes", "ema_codebook")
        restore(
            options, KIND, (*network, "batch_size", "lr", "seed", "data", "data_dir", "workers")
        )
    if options.regularizer == "kl" and options.ema_codebook:
        parser.error("--ema-codebook goes with --regularizer vq: kl has no codebook")
    check_limits(options, parser)
    return options


if __name__ == "__main__":
    with one_line_error(CheckpointError, ValueError, OSError, RuntimeError):
        main()
