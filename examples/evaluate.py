"""Judge samples by the classifier of train_classifier.py: do they look like digits, are all ten there, how far are they from real ones?

    python examples/train_classifier.py
    python examples/evaluate.py --samples runs/mnist/samples.npz --classifier runs/classifier
    python examples/evaluate.py --samples runs/ldm/samples.npz              # with `labels`: are they what was asked for?
    python examples/evaluate.py --bits-per-dim runs/mnist/checkpoint        # the variational bound, from a model

Beside the samples it prints the same figures for as many real images, and for pure noise: a classifier alone is fooled by noise,
the Frechet distance is not. All figures are the same at every run with one seed.
"""

import argparse

import numpy as np

from minidiff.cli import add_common_options, one_line_error, positive_int
from minidiff.data import load_dataset, read_npz, to_float
from minidiff.engine.random import RNG
from minidiff.evaluation.judge import load_classifier
from minidiff.evaluation.metrics import agreement, bits_per_dimension, sample_quality
from minidiff.models import UNet
from minidiff.sampling.denoiser import load_denoiser
from minidiff.sampling.predictor import eps_predictor
from minidiff.training.checkpoint import CheckpointError, load_checkpoint
from minidiff.training.workers import Workers


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common_options(parser)
    parser.add_argument(
        "--samples",
        default="runs/mnist/samples.npz",
        help="npz file with `samples`: (N, C, H, W) in [0, 1]",
    )
    parser.add_argument(
        "--classifier", default="runs/classifier", help="folder that train_classifier.py wrote"
    )
    parser.add_argument(
        "--data",
        default="mnist",
        choices=["mnist", "fashion", "digits", "auto"],
        help="the real images",
    )
    parser.add_argument("--data-dir", help="where the IDX files lie")
    parser.add_argument(
        "--bits-per-dim",
        metavar="CHECKPOINT",
        help="of a pixel model's checkpoint, on --images images; nothing else then",
    )
    parser.add_argument(
        "--images", type=positive_int, default=64, help="how many, for --bits-per-dim"
    )
    options = parser.parse_args()
    if options.bits_per_dim:
        print_bits_per_dim(options)
        return

    samples, labels = read_samples(options.samples)
    classifier = load_classifier(options.classifier)
    classifier.to(options.device)
    dataset = load_dataset(options.data, options.data_dir)
    facts = load_checkpoint(options.classifier, "classifier").description
    print(
        f"classifier: {100 * facts['accuracy']:.2f} % of {facts['held_out']} held-out images of {facts['data']} right"
    )
    real = dataset.images[RNG(options.seed + 1).permutation(len(dataset))[: len(samples)]]
    noise = RNG(options.seed).normal(samples.shape).clip(-1, 1)
    with Workers(classifier, options.workers) as workers:
        for name, x in (("samples", samples * 2 - 1), ("real", to_float(real)), ("noise", noise)):
            quality = sample_quality(workers, x, dataset.images, options.seed)
            print(f"{name:8} {quality}")
        if labels is not None and labels.max() >= 0:
            named = labels >= 0  # sample_text.py writes -1 where the prompt names no class
            share, by_class = agreement(workers, samples[named] * 2 - 1, labels[named])
            of = "" if named.all() else f" of the {named.sum()} with a class"
            print(
                f"samples  {100 * share:.1f} %{of} are what was asked for; by class in %: {' '.join(f'{100 * c:.0f}' for c in by_class)}"
            )


def print_bits_per_dim(options: argparse.Namespace) -> None:
    """The variational bound of a pixel model, on images drawn at random."""
    denoiser = load_denoiser(options.bits_per_dim, UNet, device=options.device)
    dataset = load_dataset(options.data, options.data_dir)
    images = dataset.images[RNG(options.seed + 1).permutation(len(dataset))[: options.images]]
    with Workers(denoiser.model, options.workers) as workers:
        eps_theta = eps_predictor(workers, denoiser.prediction, denoiser.schedule)
        bits = bits_per_dimension(
            eps_theta, images, denoiser.schedule, RNG(options.seed, options.device)
        )
    print(
        f"{bits:.3f} bits/dim at most, for {len(images)} images of {dataset.name} in {denoiser.schedule.T} terms (8 bits unencoded)"
    )


def read_samples(path: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The float32 array `samples` of an npz file, and its `labels` or None.

    Raises ValueError if there is none, or has values outside [0, 1] or labels that do not fit.
    """
    arrays = read_npz(path, ("samples",), optional=("labels",))
    samples, labels = arrays["samples"], arrays.get("labels")
    if samples.size == 0:
        raise ValueError(f"{path}: samples must be (N, C, H, W) with N >= 1, got {samples.shape}")
    if (
        samples.ndim != 4
        or samples.dtype != np.float32
        or not (samples.min() >= 0 and samples.max() <= 1)
    ):
        raise ValueError(
            f"{path}: samples must be (N, C, H, W) float32 in [0, 1], got {samples.dtype} {samples.shape} "
            f"in [{samples.min():g}, {samples.max():g}]"
        )
    if labels is not None and (labels.shape != (len(samples),) or labels.dtype.kind not in "iu"):
        raise ValueError(
            f"{path}: labels must be ({len(samples)},) integers, one for each sample, got {labels.dtype} {labels.shape}"
        )
    return samples, labels


if __name__ == "__main__":
    with one_line_error(CheckpointError, ValueError, OSError, RuntimeError):
        main()
