"""Train the classifier that judges samples, on real digits.

    python examples/train_classifier.py --out runs/classifier

One fifth of the images is held out; the program ends with the share of those that it gets right, and saves the network.
"""

import argparse

from tqdm import tqdm

from minidiff.data import Loader, load_dataset, to_float
from minidiff.engine.random import RNG
from minidiff.evaluation.judge import judge
from minidiff.models import Classifier
from minidiff.optim import AdamW
from minidiff.training.checkpoint import make_folder, save_checkpoint
from minidiff.training.classification import classifier_steps
from minidiff.training.workers import Workers


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="mnist", choices=["mnist", "fashion", "digits", "auto"])
    parser.add_argument("--data-dir", help="where the IDX files lie")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, help="default: one per core")
    parser.add_argument("--out", default="runs/classifier")
    options = parser.parse_args()

    make_folder(options.out)
    rng = RNG(options.seed)
    dataset = load_dataset(options.data, options.data_dir)
    print(dataset.note)
    train, held_out = dataset.split(len(dataset) // 5, options.seed)
    model = Classifier(rng=rng)
    optimizer = AdamW(model.named_parameters(), lr=options.lr, weight_decay=0.05)
    loader = Loader(train.images, train.labels, options.batch_size, rng, drop_last=True)

    with Workers(model, options.workers) as workers:
        losses = classifier_steps(loader, optimizer, rng, options.epochs, workers)
        bar = tqdm(losses, total=options.epochs * len(loader), unit="step", mininterval=0.5)
        for loss in bar:
            bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        judgement = judge(workers, to_float(held_out.images))

    accuracy = float((judgement.labels == held_out.labels).mean())
    facts = {
        "model": model.config,
        "accuracy": accuracy,
        "data": dataset.name,
        "held_out": len(held_out),
        "seed": options.seed,
    }
    save_checkpoint(
        options.out,
        "classifier",
        facts,
        {f"model.{name}": array for name, array in model.state_dict().items()},
    )
    print(
        f"{100 * accuracy:.2f} % of {len(held_out)} held-out images are right. Saved in {options.out}."
    )


if __name__ == "__main__":
    main()
