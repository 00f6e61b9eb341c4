"""Judge samples by the classifier of train_classifier.py: do they look like digits, are all ten there, how far are they from real ones?

    python examples/train_classifier.py
    python examples/evaluate.py --samples runs/mnist/samples.npz --classifier runs/classifier

Beside the samples it prints the same figures for as many real images, and for pure noise: a classifier alone is fooled by noise,
the Frechet distance is not.
"""

import argparse

import numpy as np

from minidiff.data import load_dataset, to_float
from minidiff.random import RNG
from minidiff.training.checkpoint import CheckpointError, load_checkpoint
from minidiff.training.classification import load_classifier
from minidiff.training.metrics import sample_quality
from minidiff.training.options import add_common_options, one_line_error
from minidiff.training.workers import Workers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_options(parser)
    parser.add_argument("--samples", default="runs/mnist/samples.npz", help="npz file with `samples`: (N, C, H, W) in [0, 1]")
    parser.add_argument("--classifier", default="runs/classifier", help="folder that train_classifier.py wrote")
    parser.add_argument("--data", default="mnist", choices=["mnist", "fashion", "digits", "auto"], help="the real images")
    parser.add_argument("--data-dir", help="where the IDX files lie")
    options = parser.parse_args()

    samples = read_samples(options.samples)
    classifier = load_classifier(options.classifier)
    classifier.to(options.device)
    dataset = load_dataset(options.data, options.data_dir)
    facts = load_checkpoint(options.classifier, "classifier").description
    print(f"classifier: {100 * facts['accuracy']:.2f} % of {facts['held_out']} held-out images of {facts['data']} right")
    real = dataset.images[RNG(options.seed + 1).permutation(len(dataset))[: len(samples)]]
    noise = RNG(options.seed).normal(samples.shape).clip(-1, 1)
    with Workers(classifier, options.workers) as workers:
        for name, x in (("samples", samples * 2 - 1), ("real", to_float(real)), ("noise", noise)):
            quality = sample_quality(workers, x, dataset.images, options.seed)
            print(f"{name:8} {quality}")


def read_samples(path: str) -> np.ndarray:
    """The float32 array `samples` of an npz file.    Raises ValueError if it is none, or has values outside [0, 1]."""
    try:
        samples = np.load(path)["samples"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: wanted an npz file with an array `samples`: {error}") from error
    if samples.ndim != 4 or samples.dtype != np.float32 or samples.min() < 0 or samples.max() > 1:
        raise ValueError(
            f"{path}: samples must be (N, C, H, W) float32 in [0, 1], got {samples.dtype} {samples.shape} "
            f"in [{samples.min():g}, {samples.max():g}]"
        )
    return samples


if __name__ == "__main__":
    with one_line_error(CheckpointError, ValueError, OSError, RuntimeError):
        main()
