"""Phase 2 of latent diffusion: train eps_theta(z_t, t, tau_theta(y)) with captions.

    python examples/train_mnist_vqvae.py                          # phase 1
    python examples/train_mnist_ldm.py --autoencoder runs/vqvae   # 13 minutes, two cores
    python examples/sample_text.py --prompt "a thin eight"

It trains on the latents of the autoencoder of phase 1. The loop, the schedule, the
samplers and the checkpoints are those of train_mnist_ddpm.py. It writes into --out:
samples.png and loss.png as it goes, a checkpoint, a copy of the autoencoder, and at the
end samples.npz and trajectory.png.
"""

from typing import NamedTuple

import numpy as np

from minidiff import RNG, cli, data, models, pictures, sampling, to_cpu, training
from minidiff.diffusion import ddim_sample, ddim_steps, make_schedule
from minidiff.optim import Muon
from minidiff.sampling.text_to_image import KIND, guided_by_text, stored_captions
from minidiff.training import Trainer, TrainerSettings, Workers, run


class Studio(NamedTuple):
    """Everything that turns prompts into images, while the model is being trained."""

    trainer: Trainer
    autoencoder: sampling.TrainedAutoencoder
    captions: data.Captions
    workers: Workers
    options: cli.Options

    def eps_theta(self, prompts):
        """The noise predictor for these prompts, one per image."""
        trainer, options = self.trainer, self.options
        return guided_by_text(
            self.workers, trainer.prediction, trainer.schedule, self.captions, prompts,
            options.guidance, options.device,
        )  # fmt: skip

    def images_of(self, z):
        """The images in [0, 1] of latents."""
        return data.to_unit(to_cpu(self.autoencoder.decode(z)))


def main(options: cli.Options) -> None:
    autoencoder = sampling.load_autoencoder(options.autoencoder, options.device)
    dataset = cli.load_data(options, options.seed)
    print(dataset.note)
    if options.resume:
        captions = options.captions
    else:
        captions = data.Captions.of(dataset)
    train, held_out = autoencoder.split(dataset)
    cli.fit_batch(options, len(train))
    spoken_of = captions_to_draw(captions, dataset, held_out)
    with Workers(autoencoder.model, options.workers) as workers:
        z = sampling.encode_images(workers, train.images) * np.float32(autoencoder.scale)
    print(
        f"{len(z)} latents {z.shape[1:]}, multiplied by {autoencoder.scale:.3f}; "
        f"words: {', '.join(captions.vocabulary.words)}"
    )

    rng = RNG(options.seed, options.device)
    schedule = make_schedule(options.schedule, options.timesteps)
    unet = models.UNetConfig(
        z.shape[1], options.channels, (1,), (True,), options.blocks, zero_init=True,
        image_size=z.shape[2:],
    )  # fmt: skip
    text = models.TextEncoderConfig(len(captions.vocabulary), captions.max_words)
    model = models.TextUNet(models.TextUNetConfig(unet, text), rng)
    model.to(options.device)
    count = f"{model.parameter_count():,}"
    print(f"U-Net and text encoder with {count} parameters on {options.device}")
    loader = data.Loader(
        z, captions.facts(train.images, train.labels), options.batch_size, rng,
        drop_last=True, n_classes=None, value_range=None,
    )  # fmt: skip
    optimizer = Muon(model.named_parameters(), lr=options.lr)
    prepare = training.with_captions(captions, options.drop_captions)
    settings = TrainerSettings(
        dataset=dataset.identity(), ema_decay=options.ema, prediction=options.predict,
        kind=KIND,
    )  # fmt: skip
    trainer = Trainer(model, schedule, loader, optimizer, rng, settings, prepare)
    if options.resume:
        cli.resume(trainer, options)
    sampling.keep_autoencoder(options.autoencoder, f"{options.out}/autoencoder")

    how_long = cli.run_settings(options, len(loader))
    facts = {"captions": captions.config, "latent_scale": autoencoder.scale}
    with Workers(model, options.workers) as workers:
        studio = Studio(trainer, autoencoder, captions, workers, options)

        def preview(trainer: Trainer) -> None:
            draw_preview(studio)

        facts = cli.stored_options(options, **facts)
        ending = run(trainer, options.out, workers, how_long, facts, preview)
        if not ending:
            cli.end_early(ending, options)
        draw_results(studio, spoken_of)


def captions_to_draw(captions: data.Captions, dataset, held_out) -> np.ndarray:
    """Facts about images, by which the prompts of the samples at the end are drawn.

    They are those of the held-out images, or of all where the held-out ones lack a class.

    Raises: ValueError if a class has no image at all.
    """
    n = len(captions.nouns)
    chosen = held_out if len(np.unique(held_out.labels)) == n else dataset
    facts = captions.facts(chosen.images, chosen.labels)
    captions.of_class(facts, np.arange(n), RNG(0))  # else it would fail at the end
    return facts


def draw_preview(studio: Studio) -> None:
    """samples.png from the averaged parameters in few steps, a column for each noun."""
    trainer, captions, options = studio.trainer, studio.captions, studio.options
    n = len(captions.nouns)
    prompts = captions.plain(np.arange(4 * n) % n)
    noise = RNG(options.seed + 1, options.device)
    schedule, shape = trainer.schedule, (len(prompts), *trainer.sample_shape)
    with trainer.ema.applied_to(trainer.model), sampling.evaluating(trainer.model):
        eps_theta = studio.eps_theta(prompts)
        z_0 = ddim_sample(eps_theta, shape, schedule, noise, steps=min(15, schedule.T))
    images, title = studio.images_of(z_0), f"step {trainer.step}"
    pictures.save_grid(f"{options.out}/samples.png", images, n, title, value_range=(0, 1))


def draw_results(studio: Studio, facts) -> None:
    """samples.npz, samples.png and trajectory.png.    facts: of `captions_to_draw`

    samples.png has a column for each noun. trajectory.png shows the decoded latents on
    their way.
    """
    trainer, captions, options = studio.trainer, studio.captions, studio.options
    n, out, S = len(captions.nouns), options.out, options.sampling_steps
    noise = RNG(options.seed + 1, options.device)
    labels = np.arange(options.samples) % n
    prompts = captions.of_class(facts, labels, noise)
    guidance = f"guidance {options.guidance:g}"
    print(
        f"sampling {len(prompts)} images with {S} steps of DDIM, eta = {options.eta:g}, "
        f"{guidance}"
    )
    shape, how = (len(prompts), *trainer.sample_shape), {"steps": S, "eta": options.eta}
    rows = []
    with trainer.ema.applied_to(trainer.model), sampling.evaluating(trainer.model):
        eps_theta = studio.eps_theta(prompts)
        steps = ddim_steps(eps_theta, shape, trainer.schedule, noise, **how)
        for i, step in enumerate(steps):
            if i % max(1, S // 6) == 0:
                rows.append(studio.images_of(step.x_0_hat[:n]))
    samples = studio.images_of(step.x_prev).astype(np.float32)
    rows.append(samples[:n])
    texts = np.array(prompts)
    data.save_npz(f"{out}/samples.npz", samples=samples, labels=labels, prompts=texts)
    shown, unit = samples[: 10 * n], (0, 1)
    title = f"{guidance}, {trainer.step} steps of training"
    pictures.save_grid(f"{out}/samples.png", shown, n, title, prompts[: len(shown)], unit)
    title = "the decoded estimate of z_0, from noise (top) to the sample"
    images = np.concatenate(rows)
    pictures.save_grid(
        f"{out}/trajectory.png", images, len(rows[0]), title, value_range=unit
    )
    print(f"mean of the last losses: {trainer.losses[-200:].mean():.4f}")
    print(f"wrote samples.png, samples.npz, trajectory.png and loss.png in {out}")


def parse_options() -> cli.Options:
    parser = cli.make_parser(__doc__)
    cli.add_training_options(parser, out="runs/ldm", minutes=11, lr=3e-3, batch_size=32)
    cli.add_sampling_options(parser)
    add = parser.add_argument
    add(
        "--autoencoder", type=cli.path, default="runs/vqvae",
        help="folder that train_mnist_vqvae.py wrote",
    )  # fmt: skip
    add("--channels", type=cli.channels, default=64, help="of the U-Net, a multiple of 4")
    add(
        "--blocks", type=cli.up_to(64), default=1,
        help="residual blocks on the way down; 1 more up",
    )  # fmt: skip
    add("--schedule", default="cosine", choices=["linear", "cosine"])
    add(
        "--predict", default="v", choices=["eps", "x_0", "v"],
        help="what the network predicts: v (clear digits soon) or eps (as on slides); "
        "sample eps with --eta 1: latents are not clipped, and errors stay without noise",
    )  # fmt: skip
    add("--timesteps", type=cli.positive_int, default=1000, help="T")
    add(
        "--drop-captions", type=cli.fraction, default=0.1,
        help="how often a caption is dropped in training",
    )  # fmt: skip
    add(
        "--guidance", type=cli.at_least_0, default=1.25,
        help="s of the samples at the end: 1 is the conditional model",
    )  # fmt: skip
    options = parser.parse_args()
    if options.resume:  # the run's own network and training
        network = ("channels", "blocks", "schedule", "predict", "timesteps", "ema")
        saved = cli.restore(options, parser, KIND, (*network, "drop_captions"))
        options.captions = stored_captions(options.out, saved)
        options.autoencoder = f"{options.out}/autoencoder"
    cli.check_limits(options, parser)
    return options


if __name__ == "__main__":
    with cli.program():
        options = parse_options()
        with cli.run_folder(options):
            main(options)
