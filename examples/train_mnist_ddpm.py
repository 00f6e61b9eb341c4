"""Train a DDPM on MNIST and sample from it.

    python examples/train_mnist_ddpm.py                 # about ten minutes on two CPU cores
    python examples/train_mnist_ddpm.py --resume        # go on with the run in --out, after Ctrl-C say

It writes into --out: samples.png and loss.png as it goes, a checkpoint, and at the end samples.npz and loss_per_t.png.
"""

import argparse
import shlex
import sys

from minidiff.cli import (
    add_sampling_options,
    add_training_options,
    check_limits,
    one_line_error,
    positive_int,
    restore,
)
from minidiff.data import Loader, load_dataset, to_unit
from minidiff.data.atomic import save_npz
from minidiff.diffusion.ddim import ddim_sample
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.backend import to_cpu
from minidiff.engine.random import RNG
from minidiff.evaluation.metrics import loss_per_t
from minidiff.models import UNet
from minidiff.optim import AdamW, Muon
from minidiff.pictures.images import save_grid, save_loss_per_t
from minidiff.sampling.predictor import eps_predictor, evaluating
from minidiff.training.checkpoint import CheckpointError, make_folder
from minidiff.training.run import run
from minidiff.training.trainer import Trainer
from minidiff.training.workers import Workers

KIND = "ddpm"


def main() -> None:
    options = parse_options()
    make_folder(options.out)

    dataset = load_dataset(options.data, options.data_dir, seed=options.seed)
    print(dataset.note)
    rng = RNG(options.seed, options.device)
    schedule = make_schedule(options.schedule, options.timesteps)
    print(schedule.check().sentence)
    channels, size = dataset.images.shape[1:3]
    ch_mults, is_attn = (
        ((1, 2), (False, True)) if options.patch_size == 2 else ((1, 2, 4), (False, False, True))
    )
    model = UNet(
        channels, options.channels, ch_mults, is_attn, zero_init=True, patch_size=options.patch_size, image_size=size, rng=rng
    ).to(options.device)  # fmt: skip
    print(f"U-Net with {model.parameter_count():,} parameters on {options.device}")
    loader = Loader(dataset.images, dataset.labels, options.batch_size, rng, drop_last=True)
    Optimizer = {"muon": Muon, "adamw": AdamW}[options.optimizer]
    optimizer = Optimizer(
        model.named_parameters(), lr=options.lr, betas=(0.9, 0.99), weight_decay=0.0
    )
    trainer = Trainer(
        model, schedule, loader, optimizer, rng, ema_decay=options.ema, prediction=options.predict, graph=options.graph, kind=KIND
    )  # fmt: skip
    if options.resume:
        trainer.load(f"{options.out}/checkpoint")
        print(
            f"continuing at step {trainer.step}, after {trainer.seconds / 60:.1f} minutes of training"
        )

    steps = None if options.epochs is None else options.epochs * len(loader)
    with Workers(model, options.workers) as workers:
        finished = run(
            trainer, options.out, workers, steps=steps, minutes=options.minutes, options=vars(options),
            preview=lambda trainer: draw_preview(trainer, workers, options),
        )  # fmt: skip
        if not finished:
            command = shlex.join(["python", sys.argv[0], "--resume", "--out", options.out])
            print(f"\nInterrupted; saved in {options.out}/checkpoint. Continue with:\n  {command}")
            return
        draw_results(trainer, dataset, workers, options)


def draw_preview(trainer: Trainer, workers: Workers, options: argparse.Namespace) -> None:
    """samples.png from the averaged parameters, with few steps."""
    with trainer.ema.applied_to(trainer.model), evaluating(trainer.model):
        eps_theta = eps_predictor(workers, trainer.prediction, trainer.schedule)
        noise = RNG(
            options.seed + 1, options.device
        )  # the same at each preview, so that one sees the digits emerge
        shape, steps = (64, *trainer.loader.images.shape[1:]), min(20, trainer.schedule.T)
        x_0 = ddim_sample(eps_theta, shape, trainer.schedule, noise, steps=steps, clip=1.0)
    save_grid(
        f"{options.out}/samples.png",
        to_unit(to_cpu(x_0), clip=True),
        title=f"step {trainer.step}",
        value_range=(0, 1),
    )


def draw_results(trainer: Trainer, dataset, workers: Workers, options: argparse.Namespace) -> None:
    """samples.png, samples.npz and loss_per_t.png."""
    noise = RNG(options.seed + 1, options.device)
    shape = (options.samples, *dataset.images.shape[1:])
    with trainer.ema.applied_to(trainer.model), evaluating(trainer.model):
        eps_theta = eps_predictor(workers, trainer.prediction, trainer.schedule)
        print(
            f"sampling {options.samples} images with {options.sampling_steps} steps of DDIM, eta = {options.eta:g}"
        )
        x_0 = ddim_sample(
            eps_theta,
            shape,
            trainer.schedule,
            noise,
            steps=options.sampling_steps,
            eta=options.eta,
            clip=1.0,
        )
        t, loss = loss_per_t(eps_theta, trainer.loader.images[:64], trainer.schedule, noise)
    samples = to_unit(to_cpu(x_0), clip=True)
    save_npz(f"{options.out}/samples.npz", samples=samples)
    save_grid(
        f"{options.out}/samples.png",
        samples[:100],
        value_range=(0, 1),
        title=f"{trainer.step} steps of training",
    )
    save_loss_per_t(f"{options.out}/loss_per_t.png", t, loss)
    print(f"mean of the last losses: {trainer.losses[-200:].mean():.4f}")
    print(f"wrote samples.png, samples.npz, loss.png and loss_per_t.png in {options.out}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_training_options(
        parser, out="runs/mnist", minutes=8.5, lr=2.5e-3, batch_size=64, graph=True
    )
    add_sampling_options(parser)
    parser.add_argument(
        "--patch-size",
        type=int,
        default=2,
        choices=[1, 2],
        help="2: a U-Net on 2x2 patches, 14-7; 1: the deck's, 28-14-7",
    )
    parser.add_argument(
        "--channels", type=positive_int, default=32, help="of its first level, a multiple of 4"
    )
    parser.add_argument(
        "--optimizer",
        choices=["muon", "adamw"],
        help="default: muon, but adamw with --graph, which can record only that",
    )
    parser.add_argument("--schedule", default="cosine", choices=["linear", "cosine"])
    parser.add_argument(
        "--predict",
        default="v",
        choices=["eps", "x_0", "v"],
        help="eps is the deck's; v gets the shapes right earlier",
    )
    parser.add_argument("--timesteps", type=positive_int, default=1000, help="T")
    options = parser.parse_args()
    if (
        options.resume
    ):  # the run's own options, but for those that say how long, where, and how samples are drawn
        network = ("patch_size", "channels", "schedule", "predict", "timesteps")
        restore(
            options,
            KIND,
            (
                *network,
                "optimizer",
                "batch_size",
                "lr",
                "ema",
                "seed",
                "data",
                "data_dir",
                "workers",
            ),
        )
    options.optimizer = options.optimizer or ("adamw" if options.graph else "muon")
    if options.graph and options.optimizer != "adamw":
        parser.error(
            f"--graph goes with --optimizer adamw, whose step can be recorded, got {options.optimizer}"
        )
    check_limits(options, parser)
    return options


if __name__ == "__main__":
    with one_line_error(CheckpointError, ValueError, OSError, RuntimeError):
        main()
