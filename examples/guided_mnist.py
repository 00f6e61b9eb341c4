"""Classifier guidance: an unconditional DDPM draws the digit that is asked for, led by the gradient of a classifier of noisy images.

    python examples/train_mnist_ddpm.py                                       # the denoiser
    python examples/train_classifier.py                                       # the judge, who does not guide
    python examples/guided_mnist.py --scale 3                                 # all ten digits
    python examples/guided_mnist.py --label 3 --noisy-classifier runs/guided/noisy_classifier      # one, at growing scales

The first run trains p_phi(y | x_t, t), a minute or two, and keeps it. Algorithm 2 of Dhariwal & Nichol, the default, puts the gradient into
eps_theta and samples by DDIM; Algorithm 1 shifts the mean of each of DDPM's T steps, and takes as much longer.
It writes guided.png and samples.npz, with `samples` and the `labels` that were wanted, into --out.
"""

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minidiff.cli import (
    add_common_options,
    one_line_error,
    positive_float,
    positive_int,
    zero_to_one,
)
from minidiff.data import Loader, load_dataset, to_float, to_unit
from minidiff.data.atomic import save_npz
from minidiff.diffusion.ddim import ddim_steps
from minidiff.diffusion.ddpm import ddpm_steps
from minidiff.diffusion.guidance import guide_with_classifier, shift_mean
from minidiff.engine.backend import to_cpu
from minidiff.engine.random import RNG
from minidiff.evaluation.judge import judge, load_classifier
from minidiff.evaluation.metrics import accuracy_per_t
from minidiff.models import NoisyClassifier, UNet
from minidiff.optim import AdamW
from minidiff.pictures.images import save_grid
from minidiff.sampling.classifier_guidance import class_gradient, load_noisy_classifier
from minidiff.sampling.denoiser import Denoiser, load_denoiser
from minidiff.sampling.predictor import eps_predictor
from minidiff.training.checkpoint import CheckpointError, make_folder
from minidiff.training.noisy_classification import noisy_classifier_steps, save_noisy_classifier
from minidiff.training.workers import Workers

N_CLASSES = 10


def main() -> None:
    options = parse_options()
    make_folder(options.out)
    denoiser = load_denoiser(options.denoiser, UNet, device=options.device)
    if options.algorithm == 2 and options.sampling_steps > denoiser.schedule.T:
        raise ValueError(
            f"--sampling-steps must be in 1..T = 1..{denoiser.schedule.T}, got {options.sampling_steps}"
        )
    judge_model = (
        load_classifier(options.classifier)
        if Path(options.classifier, "checkpoint.json").exists()
        else None
    )
    if options.noisy_classifier is None:
        classifier = train_noisy_classifier(denoiser, options)
    else:
        classifier = load_noisy_classifier(
            options.noisy_classifier, denoiser.schedule, options.device
        )

    wanted = np.arange(N_CLASSES) if options.label is None else np.array([options.label])
    labels = wanted.repeat(options.per_class)
    scales = (
        [0.0, options.scale]
        if options.label is None
        else [0.0, 1.0, options.scale, 3 * options.scale]
    )
    samples = {s: sample(denoiser, classifier, labels, s, options) for s in dict.fromkeys(scales)}

    guided = samples[options.scale]
    save_npz(f"{options.out}/samples.npz", samples=guided, labels=labels)
    draw(f"{options.out}/guided.png", samples, options)
    print(f"wrote guided.png and samples.npz in {options.out}")
    if judge_model is None:
        print(
            f"no classifier in {options.classifier}: train_classifier.py makes one that judges whether the digits are those wanted"
        )
        return
    with Workers(judge_model, options.workers) as workers:
        for s, x_0 in samples.items():
            judgement = judge(workers, x_0 * 2 - 1)
            agreement = float((judgement.labels == labels).mean())
            print(
                f"scale {s:4g}: the classifier of clean digits sees the wanted one in {100 * agreement:5.1f} % of {len(labels)} samples"
            )


def train_noisy_classifier(denoiser: Denoiser, options: argparse.Namespace) -> NoisyClassifier:
    """p_phi(y | x_t, t) for the denoiser's schedule, trained on noisy digits and saved in --out."""
    folder = f"{options.out}/noisy_classifier"
    rng = RNG(options.seed, options.device)
    dataset = load_dataset(options.data, options.data_dir, seed=options.seed)
    print(dataset.note)
    if dataset.images.shape[1:] != denoiser.sample_shape:
        raise ValueError(
            f"the denoiser makes images of {denoiser.sample_shape}, {dataset.name} has {dataset.images.shape[1:]}"
        )
    train, held_out = dataset.split(len(dataset) // 5, options.seed)
    channels, size = dataset.images.shape[1:3]
    model = NoisyClassifier(
        channels, options.channels, n_classes=N_CLASSES, image_size=size, rng=rng
    )
    model.to(options.device)
    print(f"training a classifier of noisy images with {model.parameter_count():,} parameters")
    loader = Loader(
        train.images, train.labels, min(options.batch_size, len(train)), rng, drop_last=True
    )
    optimizer = AdamW(model.named_parameters(), lr=options.lr, weight_decay=0.05)
    with Workers(model, options.workers) as workers:
        losses = noisy_classifier_steps(
            loader, optimizer, denoiser.schedule, rng, options.epochs, workers
        )
        bar = tqdm(losses, total=options.epochs * len(loader), unit="step", mininterval=0.5)
        for loss in bar:
            bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        shares = accuracy_per_t(
            workers, to_float(held_out.images), held_out.labels, denoiser.schedule, rng
        )
    print(f"of {len(held_out)} held-out images, noised to a random time of each range, are right:")
    for first, last, share in shares:
        print(f"  t = {first:4}..{last:4}  {100 * share:5.1f} %")
    save_noisy_classifier(
        folder,
        model,
        denoiser.schedule,
        {"accuracy_per_t": shares, "data": dataset.name, "seed": options.seed},
    )
    print(f"saved; next time: --noisy-classifier {folder}")
    model.eval()
    return model


def sample(
    denoiser: Denoiser,
    classifier: NoisyClassifier,
    labels: np.ndarray,
    s: float,
    options: argparse.Namespace,
) -> np.ndarray:
    """One image for each label, guided with scale s from the same noise for every s; s = 0 is the denoiser alone.    -> [0, 1]"""
    schedule, shape = denoiser.schedule, (len(labels), *denoiser.sample_shape)
    rng = RNG(options.seed + 1, options.device)
    with (
        Workers(denoiser.model, options.workers) as workers,
        Workers(classifier, options.workers) as classifier_workers,
    ):
        eps_theta = eps_predictor(workers, denoiser.prediction, schedule)
        gradient = class_gradient(classifier_workers, labels)
        if options.algorithm == 1:
            guide = shift_mean(gradient, s) if s else None
            steps, total = (
                ddpm_steps(eps_theta, shape, schedule, rng, clip=1.0, guide=guide),
                schedule.T,
            )
        else:
            guided = guide_with_classifier(eps_theta, gradient, schedule, s) if s else eps_theta
            total = options.sampling_steps
            steps = ddim_steps(guided, shape, schedule, rng, steps=total, eta=options.eta, clip=1.0)
        for step in tqdm(steps, total=total, unit="step", mininterval=0.5, desc=f"scale {s:g}"):
            x_0 = step.x_prev
    return to_unit(to_cpu(x_0), clip=True)


def draw(path: str, samples: dict[float, np.ndarray], options: argparse.Namespace) -> None:
    """A row for each class or, where one was chosen, for each scale: then the images of a column come from one noise."""
    n = options.per_class
    if options.label is None:
        save_grid(
            path,
            samples[options.scale],
            n,
            title=f"guided with scale {options.scale:g}",
            value_range=(0, 1),
        )
        return
    labels = [f"s = {s:g}" if i == 0 else "" for s in samples for i in range(n)]
    title = f"guided towards {options.label}"
    save_grid(
        path,
        np.concatenate(list(samples.values())),
        n,
        title=title,
        labels=labels,
        value_range=(0, 1),
    )


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common_options(parser)
    parser.add_argument(
        "--denoiser", default="runs/mnist/checkpoint", help="folder that train_mnist_ddpm.py wrote"
    )
    parser.add_argument(
        "--noisy-classifier",
        help="folder of one that was trained before (default: train one, into --out)",
    )
    parser.add_argument(
        "--classifier",
        default="runs/classifier",
        help="folder that train_classifier.py wrote, if there is one",
    )
    parser.add_argument("--out", default="runs/guided")
    parser.add_argument(
        "--scale", type=positive_float, default=3.0, help="s, how strongly the classifier guides"
    )
    parser.add_argument(
        "--label", type=int, choices=range(N_CLASSES), help="this digit only, at several scales"
    )
    parser.add_argument(
        "--algorithm",
        type=int,
        default=2,
        choices=[1, 2],
        help="2: DDIM with a guided eps_theta; 1: DDPM, all T steps",
    )
    parser.add_argument("--per-class", type=positive_int, default=10, help="images of each digit")
    parser.add_argument(
        "--sampling-steps", type=positive_int, default=50, help="S, the steps of DDIM"
    )
    parser.add_argument(
        "--eta",
        type=zero_to_one,
        default=0.0,
        help="DDIM's eta: 0 deterministic, 1 as much noise as DDPM",
    )
    training = parser.add_argument_group("training the classifier of noisy images")
    training.add_argument("--data", default="mnist", choices=["mnist", "fashion", "digits", "auto"])
    training.add_argument("--data-dir", help="where the IDX files lie")
    training.add_argument("--epochs", type=positive_int, default=5)
    training.add_argument("--batch-size", type=positive_int, default=32)
    training.add_argument("--lr", type=positive_float, default=3e-3)
    training.add_argument(
        "--channels",
        type=positive_int,
        default=8,
        help="of the classifier at full resolution, a multiple of 4",
    )
    return parser.parse_args()


if __name__ == "__main__":
    with one_line_error(CheckpointError, ValueError, OSError, RuntimeError):
        main()
