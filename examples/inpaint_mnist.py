"""Conditioning by concatenation: inpainting, or drawing by a class or by a map of strokes, in the latents of an autoencoder.

    python examples/train_mnist_vqvae.py
    python examples/inpaint_mnist.py --autoencoder runs/vqvae                  # about five minutes on two CPU cores
    python examples/inpaint_mnist.py --condition map --out runs/map            # or: --condition class

The U-Net gets the noisy latent and, as further channels, the condition (slide "Latent Diffusion Models"). For inpainting that is the latent
of the image with a hole in it, and the mask; what was known is pasted over the result. It writes inpainting.png and samples.npz of held-out
digits into --out.
"""

import argparse
from pathlib import Path

import numpy as np

from minidiff.cli import add_training_options, check_limits, one_line_error, positive_int, restore
from minidiff.data import Loader, load_dataset, to_float, to_unit
from minidiff.data.atomic import save_npz
from minidiff.diffusion.ddim import ddim_sample
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.backend import to_cpu, to_device
from minidiff.engine.random import RNG
from minidiff.evaluation.judge import load_classifier
from minidiff.evaluation.metrics import agreement
from minidiff.models import UNet
from minidiff.models.autoencoder_blocks import FACTOR
from minidiff.optim import Muon
from minidiff.pictures.images import save_grid
from minidiff.sampling.autoencoder import encode_images, keep_autoencoder, load_autoencoder
from minidiff.sampling.concat_conditions import class_planes, masked_image, random_masks, stroke_map
from minidiff.sampling.predictor import eps_predictor, evaluating
from minidiff.training.checkpoint import CheckpointError, make_folder
from minidiff.training.run import run
from minidiff.training.trainer import Trainer
from minidiff.training.workers import Workers

KIND = "concat"


def main() -> None:
    options = parse_options()
    make_folder(options.out)
    autoencoder = load_autoencoder(options.autoencoder, options.device)
    dataset = load_dataset(options.data, options.data_dir, seed=options.seed)
    print(dataset.note)
    train, held_out = autoencoder.split(dataset)
    with Workers(autoencoder.model, options.workers) as workers:
        z = encode_images(workers, train.images) * np.float32(autoencoder.scale)
    n_classes, size = len(dataset.classes), z.shape[2:]

    def condition(images, labels, rng):
        """What is concatenated, for uint8 images and their labels on the host.    -> (B, channels, h, w), the mask or None"""
        if options.condition == "class":
            return class_planes(labels, n_classes, size, options.device), None
        x = to_device(to_float(images), options.device)
        if options.condition == "map":
            return stroke_map(x, size), None
        mask = to_device(random_masks(len(images), images.shape[2:], rng), options.device)
        return masked_image(autoencoder, x, mask), mask

    def prepare(z_0, numbers, rng):
        """The loader gives out the images' numbers in place of their labels."""
        return z_0, {"concat": condition(train.images[numbers], train.labels[numbers], rng)[0]}

    rng = RNG(options.seed, options.device)
    channels = condition(train.images[:1], train.labels[:1], RNG(0))[0].shape[1]
    model = UNet(
        z.shape[1], options.channels, (1,), (True,), concat_channels=channels, zero_init=True, image_size=size, rng=rng
    ).to(options.device)  # fmt: skip
    print(
        f"U-Net with {model.parameter_count():,} parameters; {channels} channels are concatenated to the {z.shape[1]} of the latent"
    )
    loader = Loader(
        z,
        np.arange(len(z)),
        options.batch_size,
        rng,
        drop_last=True,
        n_classes=None,
        value_range=None,
    )
    optimizer = Muon(model.named_parameters(), lr=options.lr)
    schedule = make_schedule("cosine", 1000)
    trainer = Trainer(
        model, schedule, loader, optimizer, rng, ema_decay=options.ema, prediction="v", kind=KIND, prepare=prepare
    )  # fmt: skip
    if options.resume:
        trainer.load(f"{options.out}/checkpoint")
        print(
            f"continuing at step {trainer.step}, after {trainer.seconds / 60:.1f} minutes of training"
        )
    keep_autoencoder(options.autoencoder, f"{options.out}/autoencoder")

    steps = None if options.epochs is None else options.epochs * len(loader)
    with Workers(model, options.workers) as workers:
        if not run(
            trainer,
            options.out,
            workers,
            steps=steps,
            minutes=options.minutes,
            options=vars(options),
        ):
            print(f"\nInterrupted; saved in {options.out}/checkpoint. Continue with --resume.")
            return
        draw(trainer, autoencoder, held_out, condition, workers, options)


def draw(trainer: Trainer, autoencoder, held_out, condition, workers: Workers, options) -> None:
    """inpainting.png: a held-out image a row: itself, what the network was told, five samples; samples.npz; is the class right?"""
    images, labels = held_out.images[: options.samples], held_out.labels[: options.samples]
    n, rng = len(images), RNG(options.seed + 1, options.device)
    concat, mask = condition(images, labels, rng)
    draws = []
    with trainer.ema.applied_to(trainer.model), evaluating(trainer.model):
        eps_theta = eps_predictor(workers, trainer.prediction, trainer.schedule, concat=concat)
        for _ in range(5):
            z_0 = ddim_sample(
                eps_theta,
                (n, *trainer.sample_shape),
                trainer.schedule,
                rng,
                steps=options.sampling_steps,
                eta=1.0,
            )
            x = autoencoder.decode(z_0)
            known = to_device(to_float(images), options.device)
            draws.append(to_cpu(x if mask is None else mask * known + (1 - mask) * x))
    x = to_float(images)
    told = {
        "mask": lambda: x * to_cpu(mask),
        "map": lambda: to_cpu(concat).repeat(FACTOR, 2).repeat(FACTOR, 3) * 2 - 1,
        "class": lambda: 0 * x,
    }
    columns = np.stack([x, told[options.condition](), *draws], axis=1)
    shown = columns[:12].reshape(-1, *x.shape[1:])
    title = f"an image, what is told of it ({options.condition}), five samples"
    save_grid(f"{options.out}/inpainting.png", shown, columns=columns.shape[1], title=title)
    samples, wanted = np.concatenate(draws), np.tile(labels, len(draws))
    save_npz(
        f"{options.out}/samples.npz",
        samples=to_unit(samples, clip=True).astype(np.float32),
        labels=wanted,
    )
    if (Path(options.classifier) / "checkpoint.json").exists():
        with Workers(load_classifier(options.classifier), options.workers) as judges:
            print(
                f"the classifier sees the image's class in {100 * agreement(judges, samples, wanted)[0]:.1f} % of {len(samples)} samples"
            )
            if mask is not None:
                print(
                    f"and in {100 * agreement(judges, told['mask'](), labels)[0]:.1f} % of the images with holes"
                )
    print(f"wrote inpainting.png and samples.npz in {options.out}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_training_options(parser, out="runs/inpaint", minutes=4, lr=3e-3, batch_size=32)
    parser.add_argument(
        "--autoencoder", default="runs/vqvae", help="folder that train_mnist_vqvae.py wrote"
    )
    parser.add_argument(
        "--condition", default="mask", choices=["mask", "class", "map"], help="mask: inpainting"
    )
    parser.add_argument(
        "--channels",
        type=positive_int,
        default=64,
        help="of the U-Net on the latents, a multiple of 4",
    )
    parser.add_argument(
        "--samples", type=positive_int, default=100, help="held-out images, five samples of each"
    )
    parser.add_argument(
        "--sampling-steps", type=positive_int, default=30, help="S, the steps of DDIM"
    )
    parser.add_argument(
        "--classifier",
        default="runs/classifier",
        help="folder of train_classifier.py's; not used if absent",
    )
    options = parser.parse_args()
    if (
        options.resume
    ):  # the run's own options, but for those that say how long, where, and how samples are drawn
        restore(
            options,
            KIND,
            (
                "condition",
                "channels",
                "batch_size",
                "lr",
                "ema",
                "seed",
                "data",
                "data_dir",
                "workers",
            ),
        )
        options.autoencoder = f"{options.out}/autoencoder"
    check_limits(options, parser)
    return options


if __name__ == "__main__":
    with one_line_error(CheckpointError, ValueError, OSError, RuntimeError):
        main()
