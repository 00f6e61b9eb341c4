"""Train the classifier that judges samples, on real digits or other pictures.

    python examples/train_classifier.py --out runs/classifier
    python examples/train_classifier.py --data DIR       # a subfolder for each class
    python examples/train_classifier.py --resume         # go on with the run in --out

One fifth of the images is held out. The program ends with the share of those that it gets
right. It writes a checkpoint and loss.png into --out.
"""

from minidiff import RNG, cli
from minidiff.data import Loader, to_float
from minidiff.evaluation import judge
from minidiff.models import Classifier, ClassifierConfig
from minidiff.optim import AdamW
from minidiff.training import ClassifierSettings, ClassifierTrainer, Workers, run


def main(options: cli.Options) -> None:
    rng = RNG(options.seed, options.device)
    dataset = cli.load_data(options)
    print(dataset.note)
    cli.check_classes(dataset)
    train, held_out = dataset.split(len(dataset) // 5, options.seed)
    cli.fit_batch(options, len(train))
    _, channels, size, _ = dataset.images.shape
    model = Classifier(ClassifierConfig(channels, size, len(dataset.classes)), rng)
    model.to(options.device)
    optimizer = AdamW(model.named_parameters(), lr=options.lr, weight_decay=0.05)
    loader = Loader(
        train.images, train.labels, options.batch_size, rng, drop_last=True,
        n_classes=len(dataset.classes),
    )  # fmt: skip
    settings = ClassifierSettings(dataset=dataset.identity())
    trainer = ClassifierTrainer(model, loader, optimizer, rng, settings)
    if options.resume:
        cli.resume(trainer, options)

    how_long, facts = cli.run_settings(options, len(loader)), cli.stored_options(options)
    with Workers(model, options.workers) as workers:
        ending = run(trainer, options.out, workers, how_long, facts)
        if not ending:
            cli.end_early(ending, options)
        judgement = judge(workers, to_float(held_out.images))

    accuracy = float((judgement.labels == held_out.labels).mean())
    facts |= {"accuracy": accuracy, "held_out": len(held_out)}
    trainer.save(f"{options.out}/checkpoint", facts)
    print(
        f"{100 * accuracy:.2f} % of {len(held_out)} held-out images are right. "
        f"Saved in {options.out}."
    )


def parse_options() -> cli.Options:
    parser = cli.make_parser(__doc__)
    cli.add_common_options(parser)
    cli.add_data_options(parser, "mnist")
    cli.add_out(parser, "runs/classifier")
    cli.add_resume(parser)
    parser.add_argument("--epochs", type=cli.positive_int, default=12)
    parser.add_argument("--batch-size", type=cli.images, default=64)
    parser.add_argument("--lr", type=cli.positive_float, default=2e-3)
    parser.set_defaults(minutes=None)
    options = parser.parse_args()
    if options.resume:
        cli.restore(options, parser, "classifier", ())
    return options


if __name__ == "__main__":
    with cli.program():
        options = parse_options()
        with cli.run_folder(options):
            main(options)
