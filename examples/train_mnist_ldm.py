"""Phase 2 of latent diffusion: train eps_theta(z_t, t, tau_theta(y)) on the latents of an autoencoder, with captions; then sample by words.

    python examples/train_mnist_vqvae.py                                  # phase 1
    python examples/train_mnist_ldm.py --autoencoder runs/vqvae           # about thirteen minutes on two CPU cores
    python examples/sample_text.py --prompt "a thin eight"

The loop, the schedule, the samplers and the checkpoints are those of train_mnist_ddpm.py. It writes into --out: samples.png and loss.png as
it goes, a checkpoint, a copy of the autoencoder, and at the end samples.npz and trajectory.png.
"""

import argparse
import shlex
import sys

import numpy as np

from minidiff.cli import (
    add_sampling_options,
    add_training_options,
    at_least_0,
    check_limits,
    fraction,
    one_line_error,
    positive_int,
    restore,
)  # fmt: skip
from minidiff.data import Loader, load_dataset, to_unit
from minidiff.data.atomic import save_npz
from minidiff.data.captions import Captions
from minidiff.diffusion.ddim import ddim_sample, ddim_steps
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.backend import to_cpu
from minidiff.engine.random import RNG
from minidiff.models.text_unet import TextUNet
from minidiff.optim import Muon
from minidiff.pictures.images import save_grid
from minidiff.sampling.autoencoder import (
    TrainedAutoencoder,
    encode_images,
    keep_autoencoder,
    load_autoencoder,
)
from minidiff.sampling.predictor import evaluating
from minidiff.sampling.text_to_image import KIND, guided_by_text
from minidiff.training.checkpoint import CheckpointError, make_folder
from minidiff.training.run import run
from minidiff.training.text_condition import with_captions
from minidiff.training.trainer import Trainer
from minidiff.training.workers import Workers


def main() -> None:
    options = parse_options()
    make_folder(options.out)
    autoencoder = load_autoencoder(options.autoencoder, options.device)
    dataset = load_dataset(options.data, options.data_dir, seed=options.seed)
    print(dataset.note)
    captions = Captions(**options.captions) if options.resume else Captions.of(dataset)
    train, held_out = autoencoder.split(dataset)
    with Workers(autoencoder.model, options.workers) as workers:
        z = encode_images(workers, train.images) * np.float32(autoencoder.scale)
    print(
        f"{len(z)} latents {z.shape[1:]}, multiplied by {autoencoder.scale:.3f}; words: {', '.join(captions.vocabulary.words)}"
    )

    rng = RNG(options.seed, options.device)
    schedule = make_schedule(options.schedule, options.timesteps)
    model = TextUNet(
        unet={"image_channels": z.shape[1], "n_channels": options.channels, "ch_mults": (1,), "is_attn": (True,),
              "n_blocks": options.blocks, "zero_init": True, "image_size": z.shape[2:]},
        text={"n_words": len(captions.vocabulary), "max_length": captions.max_words},
        rng=rng,
    ).to(options.device)  # fmt: skip
    print(f"U-Net and text encoder with {model.parameter_count():,} parameters on {options.device}")
    loader = Loader(
        z, captions.facts(train.images, train.labels), options.batch_size, rng, drop_last=True, n_classes=None, value_range=None
    )  # fmt: skip
    optimizer = Muon(model.named_parameters(), lr=options.lr)
    trainer = Trainer(
        model, schedule, loader, optimizer, rng, ema_decay=options.ema, prediction=options.predict, kind=KIND,
        prepare=with_captions(captions, options.drop_captions),
    )  # fmt: skip
    if options.resume:
        trainer.load(f"{options.out}/checkpoint")
        print(
            f"continuing at step {trainer.step}, after {trainer.seconds / 60:.1f} minutes of training"
        )
    keep_autoencoder(options.autoencoder, f"{options.out}/autoencoder")

    steps = None if options.epochs is None else options.epochs * len(loader)
    with Workers(model, options.workers) as workers:
        finished = run(
            trainer, options.out, workers, steps=steps, minutes=options.minutes,
            options={**vars(options), "captions": captions.config, "latent_scale": autoencoder.scale},
            preview=lambda trainer: draw_preview(trainer, autoencoder, captions, workers, options),
        )  # fmt: skip
        if not finished:
            command = shlex.join(["python", sys.argv[0], "--resume", "--out", options.out])
            print(f"\nInterrupted; saved in {options.out}/checkpoint. Continue with:\n  {command}")
            return
        draw_results(
            trainer,
            autoencoder,
            captions,
            captions.facts(held_out.images, held_out.labels),
            workers,
            options,
        )


def draw_preview(
    trainer: Trainer, autoencoder: TrainedAutoencoder, captions: Captions, workers: Workers, options
) -> None:
    """samples.png from the averaged parameters, with few steps: a column for each noun."""
    prompts = captions.plain(np.arange(4 * len(captions.nouns)) % len(captions.nouns))
    noise = RNG(options.seed + 1, options.device)
    with trainer.ema.applied_to(trainer.model), evaluating(trainer.model):
        eps_theta = guided_by_text(
            workers,
            trainer.prediction,
            trainer.schedule,
            captions,
            prompts,
            options.guidance,
            options.device,
        )
        z_0 = ddim_sample(
            eps_theta,
            (len(prompts), *trainer.sample_shape),
            trainer.schedule,
            noise,
            steps=min(15, trainer.schedule.T),
        )
    x_0 = to_unit(to_cpu(autoencoder.decode(z_0)))
    save_grid(
        f"{options.out}/samples.png",
        x_0,
        columns=len(captions.nouns),
        title=f"step {trainer.step}",
        value_range=(0, 1),
    )


def draw_results(
    trainer: Trainer,
    autoencoder: TrainedAutoencoder,
    captions: Captions,
    facts,
    workers: Workers,
    options,
) -> None:
    """samples.npz, samples.png: a column for each noun; trajectory.png: the decoded latents on their way.    facts: of held-out images."""
    nouns = captions.nouns
    noise = RNG(options.seed + 1, options.device)
    labels = np.arange(options.samples) % len(nouns)
    prompts = captions.of_class(facts, labels, noise)
    how = f"{options.sampling_steps} steps of DDIM, eta = {options.eta:g}, guidance {options.guidance:g}"
    print(f"sampling {len(prompts)} images with {how}")
    with trainer.ema.applied_to(trainer.model), evaluating(trainer.model):
        eps_theta = guided_by_text(
            workers,
            trainer.prediction,
            trainer.schedule,
            captions,
            prompts,
            options.guidance,
            options.device,
        )
        shape = (len(prompts), *trainer.sample_shape)
        rows = []
        for i, step in enumerate(
            ddim_steps(
                eps_theta,
                shape,
                trainer.schedule,
                noise,
                steps=options.sampling_steps,
                eta=options.eta,
            )
        ):
            if i % max(1, options.sampling_steps // 6) == 0:
                rows.append(to_unit(to_cpu(autoencoder.decode(step.x_0_hat[: len(nouns)]))))
    samples = to_unit(to_cpu(autoencoder.decode(step.x_prev))).astype(np.float32)
    rows.append(samples[: len(nouns)])
    save_npz(
        f"{options.out}/samples.npz", samples=samples, labels=labels, prompts=np.array(prompts)
    )
    shown = min(len(samples), 10 * len(nouns))
    save_grid(
        f"{options.out}/samples.png", samples[:shown], columns=len(nouns), value_range=(0, 1),
        labels=prompts[:shown], title=f"guidance {options.guidance:g}, {trainer.step} steps of training",
    )  # fmt: skip
    title = "the decoded estimate of z_0, from noise (top) to the sample"
    save_grid(
        f"{options.out}/trajectory.png",
        np.concatenate(rows),
        columns=len(rows[0]),
        value_range=(0, 1),
        title=title,
    )
    print(f"mean of the last losses: {trainer.losses[-200:].mean():.4f}")
    print(f"wrote samples.png, samples.npz, trajectory.png and loss.png in {options.out}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_training_options(parser, out="runs/ldm", minutes=11, lr=3e-3, batch_size=32)
    add_sampling_options(parser)
    parser.add_argument(
        "--autoencoder", default="runs/vqvae", help="folder that train_mnist_vqvae.py wrote"
    )
    parser.add_argument(
        "--channels",
        type=positive_int,
        default=64,
        help="of the U-Net on the latents, a multiple of 4",
    )
    parser.add_argument(
        "--blocks",
        type=positive_int,
        default=1,
        help="residual blocks on the way down; one more on the way up",
    )
    parser.add_argument("--schedule", default="cosine", choices=["linear", "cosine"])
    parser.add_argument(
        "--predict", default="v", choices=["eps", "x_0", "v"], help="eps is the deck's"
    )
    parser.add_argument("--timesteps", type=positive_int, default=1000, help="T")
    parser.add_argument(
        "--drop-captions",
        type=fraction,
        default=0.1,
        help="how often a caption is dropped in training",
    )
    parser.add_argument(
        "--guidance",
        type=at_least_0,
        default=1.25,
        help="s of the samples at the end: 1 is the conditional model",
    )
    options = parser.parse_args()
    if (
        options.resume
    ):  # the run's own options, but for those that say how long, where, and how samples are drawn
        network = ("channels", "blocks", "schedule", "predict", "timesteps", "captions")
        restore(
            options,
            KIND,
            (
                *network,
                "drop_captions",
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
