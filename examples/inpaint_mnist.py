"""Conditioning by concatenation, in the latents of an autoencoder.

    python examples/train_mnist_vqvae.py
    python examples/inpaint_mnist.py --autoencoder runs/vqvae   # five minutes, two cores
    python examples/inpaint_mnist.py --condition map --out runs/map         # or class

The condition is the rest of an image with a hole in it (inpainting), a class, or a map of
strokes. The U-Net gets it as further channels of the noisy latent (slide "Latent
Diffusion Models"). For inpainting that is the latent of the image with the hole, and the
mask, and what was known is pasted over the result. It writes inpainting.png and
samples.npz of held-out digits into --out.
"""

import numpy as np

from minidiff import RNG, cli, data, evaluation, models, sampling, to_cpu, to_device
from minidiff.diffusion import ddim_sample, make_schedule
from minidiff.optim import Muon
from minidiff.pictures import save_grid
from minidiff.training import Trainer, TrainerSettings, Workers, run

KIND = "concat"


class Condition:
    """The channels that are concatenated to the latents of images."""

    def __init__(self, autoencoder, dataset, size, options: cli.Options):
        self.autoencoder, self.kind, self.size = autoencoder, options.condition, size
        self.n_classes, self.device = len(dataset.classes), options.device

    def __call__(self, images, labels, rng):
        """uint8 images, labels, on the host -> (B, channels, h, w), the mask or None"""
        if self.kind == "class":
            return sampling.class_planes(
                labels, self.n_classes, self.size, self.device
            ), None
        x = to_device(data.to_float(images), self.device)
        if self.kind == "map":
            return sampling.stroke_map(x, self.size), None
        mask = sampling.random_masks(len(images), images.shape[2:], rng)
        mask = to_device(mask, self.device)
        return sampling.masked_image(self.autoencoder, x, mask), mask

    def shown(self, x, concat, mask):
        """The condition as pictures, (B, C, H, W) in [-1, 1].    x: the images, so"""
        if self.kind == "class":
            return 0 * x
        if self.kind == "mask":
            return x * to_cpu(mask)
        factor = x.shape[2] // self.size[0]
        return to_cpu(concat).repeat(factor, 2).repeat(factor, 3) * 2 - 1


def main(options: cli.Options) -> None:
    autoencoder = sampling.load_autoencoder(options.autoencoder, options.device)
    dataset = cli.load_data(options, options.seed)
    print(dataset.note)
    judge, note = evaluation.fitting_classifier(options.classifier, dataset)
    if note:
        print(note)
    train, held_out = autoencoder.split(dataset)
    cli.fit_batch(options, len(train))
    with Workers(autoencoder.model, options.workers) as workers:
        z = sampling.encode_images(workers, train.images) * np.float32(autoencoder.scale)
    condition = Condition(autoencoder, dataset, z.shape[2:], options)

    def prepare(z_0, numbers, rng):
        """The loader gives out the images' numbers in place of their labels."""
        concat, _ = condition(train.images[numbers], train.labels[numbers], rng)
        return z_0, {"concat": concat}

    rng = RNG(options.seed, options.device)
    channels = condition(train.images[:1], train.labels[:1], RNG(0))[0].shape[1]
    config = models.UNetConfig(
        z.shape[1], options.channels, (1,), (True,), concat_channels=channels,
        zero_init=True, image_size=z.shape[2:],
    )  # fmt: skip
    model = models.UNet(config, rng)
    model.to(options.device)
    print(
        f"U-Net with {model.parameter_count():,} parameters; {channels} channels are "
        f"concatenated to the {z.shape[1]} of the latent"
    )
    loader = data.Loader(
        z, np.arange(len(z)), options.batch_size, rng, drop_last=True, n_classes=None,
        value_range=None,
    )  # fmt: skip
    optimizer = Muon(model.named_parameters(), lr=options.lr)
    schedule = make_schedule("cosine", 1000)
    settings = TrainerSettings(
        dataset=dataset.identity(), ema_decay=options.ema, prediction="v", kind=KIND
    )
    trainer = Trainer(model, schedule, loader, optimizer, rng, settings, prepare)
    if options.resume:
        cli.resume(trainer, options)
    sampling.keep_autoencoder(options.autoencoder, f"{options.out}/autoencoder")

    how_long = cli.run_settings(options, len(loader))
    with Workers(model, options.workers) as workers:
        facts = cli.stored_options(options)
        ending = run(trainer, options.out, workers, how_long, facts)
        if not ending:
            cli.end_early(ending, options)
        draw(trainer, held_out, condition, workers, options, judge)


def draw(
    trainer: Trainer, held_out, condition: Condition, workers: Workers, options, judge
) -> None:
    """inpainting.png, samples.npz, and what the judge says of them, if there is one.

    A row is a held-out image, its condition, and five samples.
    """
    n, rng = options.samples, RNG(options.seed + 1, options.device)
    images, labels = held_out.images[:n], held_out.labels[:n]
    concat, mask = condition(images, labels, rng)
    x = data.to_float(images)
    schedule, shape = trainer.schedule, (len(images), *trainer.sample_shape)
    how = {"steps": options.sampling_steps, "eta": 1.0}
    draws = []
    with trainer.ema.applied_to(trainer.model), sampling.evaluating(trainer.model):
        eps_theta = sampling.eps_predictor(
            workers, trainer.prediction, schedule, concat=concat
        )
        for _ in range(5):
            z_0 = ddim_sample(eps_theta, shape, schedule, rng, **how)
            drawn = condition.autoencoder.decode(z_0)
            if mask is not None:
                drawn = mask * to_device(x, options.device) + (1 - mask) * drawn
            draws.append(to_cpu(drawn))
    told = condition.shown(x, concat, mask)
    columns = np.stack([x, told, *draws], axis=1)
    rows = columns[:12].reshape(-1, *x.shape[1:])
    title = f"an image, what is told of it ({options.condition}), five samples"
    save_grid(f"{options.out}/inpainting.png", rows, columns.shape[1], title)
    samples, wanted = np.concatenate(draws), np.tile(labels, len(draws))
    unit = data.to_unit(samples, clip=True).astype(np.float32)
    data.save_npz(f"{options.out}/samples.npz", samples=unit, labels=wanted)
    if judge is not None:
        with Workers(judge, options.workers) as judges:
            share = 100 * evaluation.agreement(judges, samples, wanted)[0]
            of = f"{share:.1f} % of {len(samples)} samples"
            print(f"the classifier sees the image's class in {of}")
            if mask is not None:
                share = 100 * evaluation.agreement(judges, told, labels)[0]
                print(f"and in {share:.1f} % of the images with holes")
    print(f"wrote inpainting.png and samples.npz in {options.out}")


def parse_options() -> cli.Options:
    parser = cli.make_parser(__doc__)
    cli.add_training_options(
        parser, out="runs/inpaint", minutes=4, lr=3e-3, batch_size=32
    )
    add = parser.add_argument
    add(
        "--autoencoder", type=cli.path, default="runs/vqvae",
        help="folder that train_mnist_vqvae.py wrote",
    )  # fmt: skip
    add(
        "--condition", default="mask", choices=["mask", "class", "map"],
        help="mask: inpainting; class: a digit; map: where the ink is, roughly",
    )  # fmt: skip
    add("--channels", type=cli.channels, default=64, help="of the U-Net, a multiple of 4")
    add(
        "--samples", type=cli.images, default=100,
        help="held-out images, five samples of each",
    )  # fmt: skip
    add(
        "--sampling-steps", type=cli.positive_int, default=30,
        help="S, the steps of DDIM",
    )  # fmt: skip
    add(
        "--classifier", type=cli.path, default="runs/classifier",
        help="folder that train_classifier.py wrote, if there is one",
    )  # fmt: skip
    options = parser.parse_args()
    if options.resume:  # the run's own network and training
        cli.restore(options, parser, KIND, ("condition", "channels", "ema"))
        options.autoencoder = f"{options.out}/autoencoder"
    cli.check_limits(options, parser)
    return options


if __name__ == "__main__":
    with cli.program():
        options = parse_options()
        with cli.run_folder(options):
            main(options)
