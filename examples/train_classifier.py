"""Train the classifier that judges samples, on real digits.

    python examples/train_classifier.py --out runs/classifier

One fifth of the images is held out. The program ends with the share of those that it gets
right, and saves the network.
"""

from tqdm import tqdm

from minidiff import RNG, cli
from minidiff.data import Loader, load_dataset, to_float
from minidiff.evaluation import judge
from minidiff.models import Classifier
from minidiff.optim import AdamW
from minidiff.training import Workers, classifier_steps, make_folder, save_classifier


def main() -> None:
    parser = cli.make_parser(__doc__)
    cli.add_data_options(parser, "mnist")
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
        total = options.epochs * len(loader)
        bar = tqdm(losses, total=total, unit="step", mininterval=0.5)
        for loss in bar:
            bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        judgement = judge(workers, to_float(held_out.images))

    accuracy = float((judgement.labels == held_out.labels).mean())
    facts = {"accuracy": accuracy, "held_out": len(held_out)}
    facts |= {"data": dataset.name, "seed": options.seed}
    save_classifier(options.out, model, facts)
    percent = f"{100 * accuracy:.2f} %"
    print(
        f"{percent} of {len(held_out)} held-out images are right. Saved in {options.out}."
    )


if __name__ == "__main__":
    main()
