"""Judge samples by the classifier of train_classifier.py.

Do they look like digits, are all ten there, how far are they from real ones?

    python examples/train_classifier.py
    python examples/evaluate.py --samples runs/mnist/samples.npz
    python examples/evaluate.py --samples runs/ldm/samples.npz     # what was asked for?
    python examples/evaluate.py --bits-per-dim runs/mnist/checkpoint       # of a model

Beside the samples it prints the same figures for as many real images, and for pure noise:
a classifier alone is fooled by noise, the Frechet distance is not. All figures are the
same at every run with one seed.
"""

import numpy as np

from minidiff import RNG, cli, evaluation
from minidiff.data import read_npz, to_float
from minidiff.models import UNet
from minidiff.sampling import eps_predictor, load_denoiser
from minidiff.training import Workers


def main() -> None:
    options = parse_options()
    if options.bits_per_dim:
        print_bits_per_dim(options)
        return
    samples, labels = read_samples(options.samples)
    known = evaluation.credentials(options.classifier)
    classifier = evaluation.load_classifier(options.classifier)
    classifier.to(options.device)
    dataset = cli.load_data(options)
    print(
        f"classifier: {100 * known.accuracy:.2f} % of {known.held_out} held-out "
        f"images of {known.data} right"
    )
    if len(samples) > len(dataset) // 2:  # the distance needs twice as many real ones
        n = len(dataset) // 2
        print(f"of {len(samples)} samples the first {n}: there are {len(dataset)} images")
        samples, labels = samples[:n], labels if labels is None else labels[:n]
    drawn = RNG(options.seed + 1).permutation(len(dataset))[: len(samples)]
    noise = RNG(options.seed).normal(samples.shape).clip(-1, 1)
    kinds = {
        "samples": samples * 2 - 1, "real": to_float(dataset.images[drawn]),
        "noise": noise,
    }  # fmt: skip
    with Workers(classifier, options.workers) as workers:
        for name, x in kinds.items():
            quality = evaluation.sample_quality(workers, x, dataset.images, options.seed)
            print(f"{name:8} {quality}")
        if labels is not None and labels.max() >= 0:
            print_agreement(workers, samples, labels)


def print_agreement(workers: Workers, samples: np.ndarray, labels: np.ndarray) -> None:
    """How many samples are what was asked for.

    sample_text.py writes the label -1 where the prompt names no class.
    """
    named = labels >= 0
    share, by_class = evaluation.agreement(workers, samples[named] * 2 - 1, labels[named])
    of = "" if named.all() else f" of the {named.sum()} with a class"
    classes = " ".join(f"{100 * c:.0f}" for c in by_class)
    print(
        f"samples  {100 * share:.1f} %{of} are what was asked for; "
        f"by class in %: {classes}"
    )


def print_bits_per_dim(options: cli.Options) -> None:
    """The variational bound of a pixel model, on images drawn at random."""
    denoiser = load_denoiser(options.bits_per_dim, UNet, device=options.device)
    dataset, schedule = cli.load_data(options), denoiser.schedule
    drawn = RNG(options.seed + 1).permutation(len(dataset))[: options.images]
    images, rng = dataset.images[drawn], RNG(options.seed, options.device)
    with Workers(denoiser.model, options.workers) as workers:
        eps_theta = eps_predictor(workers, denoiser.prediction, schedule)
        how = {"variance": options.variance, "clip": options.clip}
        how["sigma_1"] = options.sigma_1
        bits = evaluation.bits_per_dimension(eps_theta, images, schedule, rng, **how)
    print(
        f"{bits:.3f} bits/dim at most, for {len(images)} images of {dataset.name} "
        f"in {schedule.T} terms (8 bits unencoded)"
    )


def read_samples(path: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The float32 array `samples` of an npz file, and its `labels` or None.

    Raises: ValueError if there are no samples, if they are outside [0, 1], or if the
    labels don't fit.
    """
    arrays = read_npz(path, ("samples",), optional=("labels",))
    samples, labels = arrays["samples"], arrays.get("labels")
    if samples.size == 0:
        raise ValueError(
            f"{path}: samples must be (N, C, H, W) with N >= 1, got {samples.shape}"
        )
    wanted, came = "(N, C, H, W) float32 in [0, 1]", f"{samples.dtype} {samples.shape}"
    if samples.ndim != 4 or samples.dtype != np.float32:
        raise ValueError(f"{path}: samples must be {wanted}, got {came}")
    low, high = samples.min(), samples.max()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"{path}: samples must be {wanted}, got {came} in [{low:g}, {high:g}]"
        )
    n = len(samples)
    if labels is not None and (labels.shape != (n,) or labels.dtype.kind not in "iu"):
        raise ValueError(
            f"{path}: labels must be ({n},) integers, one for each sample, "
            f"got {labels.dtype} {labels.shape}"
        )
    return samples, labels


def parse_options() -> cli.Options:
    parser = cli.make_parser(__doc__)
    cli.add_common_options(parser)
    cli.add_data_options(parser, "mnist")
    add = parser.add_argument
    add(
        "--samples", type=cli.path, default="runs/mnist/samples.npz",
        help="npz file with `samples`: (N, C, H, W) in [0, 1]",
    )  # fmt: skip
    add(
        "--classifier", type=cli.path, default="runs/classifier",
        help="folder that train_classifier.py wrote",
    )  # fmt: skip
    add(
        "--bits-per-dim", type=cli.path, metavar="CHECKPOINT",
        help="of a pixel model's checkpoint, on --images images; nothing else is done",
    )  # fmt: skip
    add(
        "--images", type=cli.images, default=64, help="how many, for --bits-per-dim"
    )
    add(
        "--variance", default="beta", choices=["beta", "beta_tilde", "learned"],
        help="sigma^2 of the sampler whose model is measured, for --bits-per-dim",
    )  # fmt: skip
    add(
        "--clip", type=cli.positive_float,
        help="bound of that sampler for |x_0_hat|, 1 in sample_mnist.py (default: none)",
    )  # fmt: skip
    add(
        "--sigma-1", choices=["beta_tilde_2"],
        help="variance of the last step; the papers' bits/dim have beta_tilde_2 there",
    )  # fmt: skip
    return parser.parse_args()


if __name__ == "__main__":
    with cli.program():
        main()
