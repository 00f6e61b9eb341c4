"""Classifier guidance: an unconditional DDPM draws the digit that is asked for.

The gradient of a classifier of noisy images leads it there.

    python examples/train_mnist_ddpm.py                   # the denoiser
    python examples/train_classifier.py                   # the judge, who does not guide
    python examples/guided_mnist.py --scale 3             # all ten digits
    python examples/guided_mnist.py --label 3     # one digit, at growing scales

The first run trains p_phi(y | x_t, t), a minute or two, and keeps it for
--noisy-classifier. Algorithm 2 of Dhariwal & Nichol, the default, puts the gradient into
eps_theta and samples by DDIM. Algorithm 1 shifts the mean of each of DDPM's T steps, and
takes as much longer. It writes guided.png and samples.npz, with `samples` and the
`labels` that were wanted, into --out.
"""

import numpy as np
from tqdm import tqdm

from minidiff import RNG, cli, data, diffusion, evaluation, sampling, to_cpu
from minidiff.models import NoisyClassifier, NoisyClassifierConfig, UNet
from minidiff.optim import AdamW
from minidiff.pictures import save_grid
from minidiff.training import ClassifierSettings, NoisyClassifierTrainer, Workers, run
from minidiff.training.noisy_classification import KIND

PLACE = "noisy_classifier/checkpoint"  # of the classifier of noisy images, in --out


def main(options: cli.Options) -> None:
    denoiser = sampling.load_denoiser(options.denoiser, UNet, device=options.device)
    schedule = denoiser.schedule
    if options.algorithm == 2 and options.sampling_steps > schedule.T:
        raise ValueError(
            f"--sampling-steps must be in 1..T = 1..{schedule.T}, "
            f"got {options.sampling_steps}"
        )
    judge_model = evaluation.find_classifier(options.classifier)
    if options.noisy_classifier is None:
        classifier = train_noisy_classifier(denoiser, options)
    else:
        classifier = sampling.load_noisy_classifier(
            options.noisy_classifier, schedule, options.device
        )
    n_classes = check_label(options, classifier.config.n_classes)
    if judge_model is not None and judge_model.image_shape != denoiser.sample_shape:
        print(
            f"the classifier in {options.classifier} does not judge: it looks at images "
            f"of {judge_model.image_shape}, these are {denoiser.sample_shape}"
        )
        judge_model = None

    wanted = np.arange(n_classes) if options.label is None else np.array([options.label])
    labels = wanted.repeat(options.per_class)
    scales = [0.0, options.scale]
    if options.label is not None:
        scales = [0.0, 1.0, options.scale, 3 * options.scale]
    samples = {
        s: sample(denoiser, classifier, labels, s, options) for s in dict.fromkeys(scales)
    }

    data.save_npz(
        f"{options.out}/samples.npz", samples=samples[options.scale], labels=labels
    )
    draw(f"{options.out}/guided.png", samples, options)
    print(f"wrote guided.png and samples.npz in {options.out}")
    if judge_model is None:
        print(
            f"no classifier in {options.classifier}: train_classifier.py makes one "
            f"that judges whether the digits are those wanted"
        )
        return
    with Workers(judge_model, options.workers) as workers:
        for s, x_0 in samples.items():
            right = evaluation.judge(workers, x_0 * 2 - 1).labels == labels
            print(
                f"scale {s:4g}: the classifier of clean digits sees the wanted one "
                f"in {100 * right.mean():5.1f} % of {len(labels)} samples"
            )


def check_label(options: cli.Options, n_classes: int) -> int:
    """The number of classes, of which --label must be one."""
    if options.label is not None and options.label >= n_classes:
        raise ValueError(f"--label must be in 0..{n_classes - 1}, got {options.label}")
    return n_classes


def train_noisy_classifier(denoiser: sampling.Denoiser, options: cli.Options):
    """Train p_phi(y | x_t, t) on noisy digits, and save it in --out."""
    folder, schedule = f"{options.out}/noisy_classifier", denoiser.schedule
    rng = RNG(options.seed, options.device)
    dataset = cli.load_data(options, options.seed)
    print(dataset.note)
    cli.check_classes(dataset)
    n_classes = check_label(options, len(dataset.classes))
    shape = dataset.images.shape[1:]
    if shape != denoiser.sample_shape:
        raise ValueError(
            f"the denoiser makes images of {denoiser.sample_shape}, "
            f"{dataset.name} has {shape}"
        )
    train, held_out = dataset.split(len(dataset) // 5, options.seed)
    config = NoisyClassifierConfig(
        shape[0], options.channels, n_classes=n_classes, image_size=shape[1]
    )
    model = NoisyClassifier(config, rng)
    model.to(options.device)
    count = f"{model.parameter_count():,}"
    print(f"training a classifier of noisy images with {count} parameters")
    batch_size = min(options.batch_size, len(train))
    loader = data.Loader(
        train.images, train.labels, batch_size, rng, drop_last=True, n_classes=n_classes
    )
    optimizer = AdamW(model.named_parameters(), lr=options.lr, weight_decay=0.05)
    settings = ClassifierSettings(dataset=dataset.identity())
    trainer = NoisyClassifierTrainer(model, schedule, loader, optimizer, rng, settings)
    if options.resume:
        cli.resume(trainer, options, PLACE)
    how_long, facts = cli.run_settings(options, len(loader)), cli.stored_options(options)
    with Workers(model, options.workers) as workers:
        ending = run(trainer, folder, workers, how_long, facts)
        if not ending:
            cli.end_early(ending, options, PLACE)
        x_0 = data.to_float(held_out.images)
        shares = evaluation.accuracy_per_t(workers, x_0, held_out.labels, schedule, rng)
    print(f"of {len(held_out)} held-out images, noised to a random time, are right:")
    for first, last, share in shares:
        print(f"  t = {first:4}..{last:4}  {100 * share:5.1f} %")
    trainer.save(f"{folder}/checkpoint", {**facts, "accuracy_per_t": shares})
    print(f"saved; next time: --noisy-classifier {folder}")
    model.eval()
    return model


def sample(
    denoiser: sampling.Denoiser, classifier: NoisyClassifier, labels: np.ndarray,
    s: float, options: cli.Options,
) -> np.ndarray:  # fmt: skip
    """One image in [0, 1] for each label, guided with scale s.

    The noise is the same for every s. With s = 0 the denoiser is alone.
    """
    schedule, shape = denoiser.schedule, (len(labels), *denoiser.sample_shape)
    rng, workers = RNG(options.seed + 1, options.device), options.workers
    with (
        Workers(denoiser.model, workers) as painters,
        Workers(classifier, workers) as guides,
    ):
        eps_theta = sampling.eps_predictor(painters, denoiser.prediction, schedule)
        gradient = sampling.class_gradient(guides, labels)
        if options.algorithm == 1:
            total, guide = schedule.T, diffusion.shift_mean(gradient, s) if s else None
            steps = diffusion.ddpm_steps(
                eps_theta, shape, schedule, rng, clip=1.0, guide=guide
            )
        else:
            total, eta = options.sampling_steps, options.eta
            if s:
                eps_theta = diffusion.guide_with_classifier(
                    eps_theta, gradient, schedule, s
                )
            steps = diffusion.ddim_steps(
                eps_theta, shape, schedule, rng, steps=total, eta=eta, clip=1.0
            )
        bar = {"unit": "step", "mininterval": 0.5, "desc": f"scale {s:g}"}
        for step in tqdm(steps, total=total, disable=None, **bar):
            x_0 = step.x_prev
    return data.to_unit(to_cpu(x_0), clip=True)


def draw(path: str, samples: dict[float, np.ndarray], options: cli.Options) -> None:
    """A row for each class or, where one was chosen, for each scale.

    The images of a column then come from one noise.
    """
    n, unit = options.per_class, (0, 1)
    if options.label is None:
        title = f"guided with scale {options.scale:g}"
        save_grid(path, samples[options.scale], n, title=title, value_range=unit)
        return
    labels = [f"s = {s:g}" if i == 0 else "" for s in samples for i in range(n)]
    title, images = (
        f"guided towards {options.label}",
        np.concatenate(list(samples.values())),
    )
    save_grid(path, images, n, title=title, labels=labels, value_range=unit)


def parse_options() -> cli.Options:
    parser = cli.make_parser(__doc__)
    cli.add_common_options(parser)
    add = parser.add_argument
    add(
        "--denoiser", type=cli.path, default="runs/mnist/checkpoint",
        help="folder that train_mnist_ddpm.py wrote",
    )  # fmt: skip
    add(
        "--noisy-classifier", type=cli.path,
        help="folder of one that was trained before (default: train one, into --out)",
    )  # fmt: skip
    add(
        "--classifier", type=cli.path, default="runs/classifier",
        help="folder that train_classifier.py wrote, if there is one",
    )  # fmt: skip
    cli.add_out(parser, "runs/guided")
    cli.add_resume(parser)
    add(
        "--scale", type=cli.positive_float, default=3.0,
        help="s, how strongly the classifier guides",
    )  # fmt: skip
    add(
        "--label", type=cli.up_to(999, least=0),
        help="draw this class only, at several scales",
    )  # fmt: skip
    add(
        "--algorithm", type=int, default=2, choices=[1, 2],
        help="2: DDIM with a guided eps_theta; 1: DDPM, all T steps",
    )  # fmt: skip
    add("--per-class", type=cli.up_to(5000), default=10, help="images of each digit")
    cli.add_sampler_options(parser, steps=50, eta=0.0)
    group = parser.add_argument_group("training the classifier of noisy images")
    cli.add_data_options(group, "mnist")
    group.add_argument("--epochs", type=cli.positive_int, default=5)
    group.add_argument("--batch-size", type=cli.images, default=32)
    group.add_argument("--lr", type=cli.positive_float, default=3e-3)
    group.add_argument(
        "--channels", type=cli.channels, default=8,
        help="of the classifier at full resolution, a multiple of 4",
    )  # fmt: skip
    parser.set_defaults(minutes=None)
    options = parser.parse_args()
    if options.resume and options.noisy_classifier is not None:
        parser.error("--resume goes on with a training: leave --noisy-classifier out")
    if options.resume:
        cli.restore(options, parser, KIND, ("channels",), PLACE)
    return options


if __name__ == "__main__":
    with cli.program():
        options = parse_options()
        with cli.run_folder(options, PLACE, trains=options.noisy_classifier is None):
            main(options)
