"""Phase 1 of latent diffusion: train an autoencoder, 28x28 pixels <-> 7x7 latents.

    python examples/train_mnist_vqvae.py                     # three minutes on two cores
    python examples/train_mnist_vqvae.py --regularizer kl    # Stable Diffusion's kind

It is quantised (VQ-VAE) or KL-regularised, with the same interface. It writes into --out:
reconstructions.png, code_usage.png and perplexity.png as it goes, loss.png, and a
checkpoint with the latent scale, which train_mnist_ldm.py takes. One fifth of the images
is held out, and the reconstruction error is that of those.
"""

import numpy as np

from minidiff import RNG, cli, models, pictures, sampling
from minidiff.data import Loader
from minidiff.optim import AdamW
from minidiff.training import AutoencoderTrainer, LoopSettings, Workers, run
from minidiff.training.autoencoder_trainer import KIND


def main(options: cli.Options) -> None:
    dataset = cli.load_data(options, options.seed)
    print(dataset.note)
    train, held_out = dataset.split(len(dataset) // sampling.HELD_OUT, options.seed)
    cli.fit_batch(options, len(train))
    rng = RNG(options.seed, options.device)
    size = (dataset.images.shape[1], options.channels, options.latent_channels)
    if options.regularizer == "vq":
        config = models.VQConfig(*size, options.codes, ema=options.ema_codebook)
        model = models.VQAutoencoder(config, rng)
    else:
        model = models.KLAutoencoder(models.KLConfig(*size), rng)
    model.to(options.device)
    latents = model.latent_shape(*dataset.images.shape[2:])
    count = f"{model.parameter_count():,}"
    print(f"{type(model).__name__} with {count} parameters, latents {latents}")
    loader = Loader(
        train.images, train.labels, options.batch_size, rng, drop_last=True,
        n_classes=len(dataset.classes),
    )  # fmt: skip
    learned = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    optimizer = AdamW(learned, lr=options.lr, betas=(0.9, 0.99), weight_decay=0.0)
    settings = LoopSettings(dataset=dataset.identity())
    trainer = AutoencoderTrainer(model, loader, optimizer, rng, settings)
    if options.resume:
        cli.resume(trainer, options)

    how_long = cli.run_settings(options, len(loader), preview_minutes=1.0)
    facts = cli.stored_options(options)
    with Workers(model, options.workers) as workers:

        def preview(trainer: AutoencoderTrainer) -> None:
            draw(trainer, held_out, workers, options.out)

        ending = run(trainer, options.out, workers, how_long, facts, preview)
        if not ending:
            cli.end_early(ending, options)
        scale = sampling.scale_of(sampling.encode_images(workers, train.images))
        trainer.save(f"{options.out}/checkpoint", {**facts, "latent_scale": scale})
        draw(trainer, held_out, workers, options.out)
        result = sampling.reconstruct(workers, held_out.images)
    used, K = "", options.codes
    if options.regularizer == "vq":
        used = f", codebook perplexity {result.perplexity(K):.1f} of {K}"
    print(
        f"{len(held_out)} held-out images: mean squared error {result.mse:.4f} per pixel "
        f"in [0, 1] scale{used}; latent scale {scale:.3f}"
    )
    print(f"wrote the pictures and the checkpoint in {options.out}")


def draw(trainer: AutoencoderTrainer, held_out, workers: Workers, out: str) -> None:
    """reconstructions.png: held-out images, and below each what is left of it.

    With a codebook also how it is used.
    """
    columns = min(10, len(held_out))
    rows = min(4, len(held_out) // columns)
    images = held_out.images[: rows * columns]
    x_hat = sampling.reconstruct(workers, images).x_hat
    shape = images.shape[1:]
    both = [part.reshape(rows, columns, *shape) for part in (images / 255, x_hat)]
    pairs = np.stack(both, axis=1).reshape(-1, *shape)
    title = f"step {trainer.step}: held-out images, and below each its reconstruction"
    pictures.save_grid(
        f"{out}/reconstructions.png", pairs, columns, title, value_range=(0, 1)
    )
    if trainer.keeper:
        K = trainer.keeper.quantizer.n_codes
        pictures.save_code_usage(f"{out}/code_usage.png", trainer.keeper.usage)
        pictures.save_perplexity(f"{out}/perplexity.png", trainer.perplexities, K)


def parse_options() -> cli.Options:
    parser = cli.make_parser(__doc__)
    cli.add_training_options(parser, out="runs/vqvae", minutes=3, batch_size=32, ema=None)
    add = parser.add_argument
    add(
        "--regularizer", default="vq", choices=["vq", "kl"],
        help="vq: a codebook; kl: a variational autoencoder",
    )  # fmt: skip
    add(
        "--channels", type=cli.channels, default=32,
        help="at 14x14, twice as many at 7x7; a multiple of 4, at least 8",
    )  # fmt: skip
    add(
        "--latent-channels", type=cli.channels, default=4,
        help="D, the numbers per latent pixel",
    )  # fmt: skip
    add("--codes", type=cli.up_to(65536), default=128, help="K, the size of the codebook")
    add(
        "--ema-codebook", action="store_true",
        help="codes as running means (VQ-VAE app. A.1) instead of the codebook loss",
    )  # fmt: skip
    options = parser.parse_args()
    if options.resume:  # the run's own network and training
        network = ("regularizer", "channels", "latent_channels", "codes", "ema_codebook")
        cli.restore(options, parser, KIND, network)
    if options.regularizer == "kl" and options.ema_codebook:
        parser.error("--ema-codebook goes with --regularizer vq: kl has no codebook")
    cli.check_limits(options, parser)
    return options


if __name__ == "__main__":
    with cli.program():
        options = parse_options()
        with cli.run_folder(options):
            main(options)
