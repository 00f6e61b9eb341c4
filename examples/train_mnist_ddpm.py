"""Train a DDPM on MNIST and sample from it.

    python examples/train_mnist_ddpm.py              # about ten minutes on two CPU cores
    python examples/train_mnist_ddpm.py --resume     # go on with the run in --out
    python examples/train_mnist_ddpm.py --data DIR --size 32       # your own pictures
    mpirun -n 2 python examples/train_mnist_ddpm.py --distributed  # docs: MPI

It writes into --out: samples.png, loss.png and metrics.csv as it goes, a checkpoint, and
at the end samples.npz and loss_per_t.png.
"""

from minidiff import RNG, cli, evaluation, optim, pictures, sampling, to_cpu
from minidiff.beyond import PREDICTIONS, SCHEMES, any_schedule
from minidiff.data import Loader, save_npz, to_float, to_unit
from minidiff.models import UNet, UNetConfig
from minidiff.training import Trainer, TrainerSettings, Workers, run

KIND = "ddpm"
EARLY = 0.12  # of the run: the network that the later one is guided away from
AS_ON_THE_SLIDES = {  # --deck: Algorithm 1 line for line, in one process, to debug
    "predict": "eps", "patch_size": 1, "optimizer": "adamw", "schedule": "linear",
    "times": "uniform", "workers": 1, "lr": 1e-3, "guidance": 1.0,
}  # fmt: skip


def main(options: cli.Options) -> None:
    dataset = cli.load_data(options, options.seed)
    print(dataset.note)
    rng = RNG(options.seed, options.device)
    schedule = any_schedule(
        options.schedule, options.timesteps, options.zero_terminal_snr
    )
    print(schedule.check().sentence)
    model = UNet(unet_config(dataset.images.shape, options), rng)
    model.to(options.device)
    print(f"U-Net with {model.parameter_count():,} parameters on {options.device}")
    train, held_out = dataset, None
    if options.held_out is None:
        options.held_out = min(500, len(dataset) // 20)
    if options.held_out:
        train, held_out = dataset.split(options.held_out)
    cli.fit_batch(options, len(train))
    loader = Loader(
        train.images, train.labels, options.batch_size, rng, drop_last=True,
        n_classes=len(dataset.classes),
    )  # fmt: skip
    Optimizer = {"muon": optim.Muon, "adamw": optim.AdamW}[options.optimizer]
    optimizer = Optimizer(
        model.named_parameters(), lr=options.lr, betas=(0.9, 0.99), weight_decay=0.0
    )
    settings = TrainerSettings(
        dataset=dataset.identity(), ema_decay=options.ema, prediction=options.predict,
        graph=options.graph, kind=KIND, times=options.times,
        early_share=None if options.guidance == 1 else EARLY,
        weighting=None if options.weighting == "none" else options.weighting,
    )  # fmt: skip
    trainer = Trainer(model, schedule, loader, optimizer, rng, settings)
    if options.resume:
        cli.resume(trainer, options)

    judge, note = evaluation.preview_judge(options.judge, dataset, train)
    if note:
        print(note)
    how_long = cli.run_settings(options, len(loader))
    with cli.workers(model, options) as workers:

        def preview(trainer: Trainer) -> dict[str, float]:
            return draw_preview(trainer, workers, held_out, judge, options)

        facts = cli.stored_options(options)
        ending = run(trainer, options.out, workers, how_long, facts, preview)
        if not ending:
            cli.end_early(ending, options)
        if workers.leads:
            draw_results(trainer, dataset, workers, options)


def unet_config(shape: tuple[int, ...], options: cli.Options) -> UNetConfig:
    """A U-Net for images of this shape, (N, C, H, W), on 2x2 patches or on pixels."""
    levels = {"ch_mults": (1, 2, 4), "is_attn": (False, False, True)}
    if options.patch_size == 2:
        levels = {"ch_mults": (1, 2), "is_attn": (False, True)}
    _, channels, size, _ = shape
    return UNetConfig(
        channels, options.channels, **levels, zero_init=True,
        patch_size=options.patch_size, image_size=size,
        learned_variance=options.variance == "learned",
    )  # fmt: skip


def draw_preview(
    trainer: Trainer, workers: Workers, held_out, judge, options: cli.Options
) -> dict[str, float]:
    """samples.png from the averaged parameters, with few steps.    -> figures of them"""
    schedule, figures = trainer.schedule, {}
    with trainer.ema.applied_to(trainer.model), sampling.evaluating(trainer.model):
        if held_out is not None:
            figures["held_out_loss"] = evaluation.held_out_loss(
                workers, to_float(held_out.images), schedule, trainer.prediction
            )
        # the same noise at each preview, so that one sees the digits emerge
        noise = RNG(options.seed + 1, options.device)
        shape = (64, *trainer.loader.images.shape[1:])
        network = sampling.predictor(workers)
        x_0 = draw(trainer, network, shape, noise, {"steps": min(20, schedule.T)})
    x_0 = to_cpu(x_0)
    images, title = to_unit(x_0, clip=True), f"step {trainer.step}"
    pictures.save_grid(
        f"{options.out}/samples.png", images, title=title, value_range=(0, 1)
    )
    return figures | (judge.figures(x_0.clip(-1, 1)) if judge else {})


def draw(trainer: Trainer, network, shape: tuple[int, ...], noise: RNG, how):
    """x_0 by DDIM.    network: called as network(x_t, t); how: DDIM's steps and eta"""
    settings = sampling.SamplerSettings(**how)
    return sampling.sample(
        network, trainer.prediction, trainer.schedule, shape, noise, settings
    )


def draw_results(
    trainer: Trainer, dataset, workers: Workers, options: cli.Options
) -> None:
    """samples.png, samples.npz and loss_per_t.png."""
    noise, schedule = RNG(options.seed + 1, options.device), trainer.schedule
    shape, out = (options.samples, *dataset.images.shape[1:]), options.out
    how = {"steps": options.sampling_steps, "eta": options.eta}
    print(
        f"sampling {options.samples} images with {how['steps']} steps of DDIM, "
        f"eta = {how['eta']:g}, guidance {options.guidance:g}"
    )
    early = trainer.early_model()
    with trainer.ema.applied_to(trainer.model), sampling.evaluating(trainer.model):
        eps_theta = sampling.eps_predictor(workers, trainer.prediction, schedule)
        with sampling.guided_predictor(workers, early, options.guidance) as network:
            x_0 = draw(trainer, network, shape, noise, how)
        images = trainer.loader.images[:64]
        t, loss = evaluation.loss_per_t(eps_theta, images, schedule, noise)
    samples, title = to_unit(to_cpu(x_0), clip=True), f"{trainer.step} steps of training"
    save_npz(f"{out}/samples.npz", samples=samples)
    pictures.save_grid(
        f"{out}/samples.png", samples[:100], title=title, value_range=(0, 1)
    )
    pictures.save_loss_per_t(f"{out}/loss_per_t.png", t, loss)
    print(f"mean of the last losses: {trainer.losses[-200:].mean():.4f}")
    written = "samples.png, samples.npz, loss.png, loss_per_t.png and metrics.csv"
    print(f"wrote {written} in {out}")


def parse_options() -> cli.Options:
    parser = cli.make_parser(__doc__)
    cli.add_training_options(
        parser, out="runs/mnist", minutes=9.2, lr=2.5e-3, batch_size=64, ema=0.999,
        graph=True, ranks=True,
    )
    cli.add_sampling_options(parser, steps=30)
    add = parser.add_argument
    add(
        "--patch-size", type=int, default=2, choices=[1, 2],
        help="2: a U-Net on 2x2 patches, 14-7; 1: on pixels as on the slides, 28-14-7",
    )  # fmt: skip
    add(
        "--channels", type=cli.channels, default=32,
        help="of its first level, a multiple of 4",
    )  # fmt: skip
    add(
        "--optimizer", choices=["muon", "adamw"],
        help="default: muon, or adamw with --graph, which can record only that",
    )  # fmt: skip
    add(
        "--schedule", default="cosine", choices=["linear", "cosine", "straight"],
        help="straight: the times of flow matching; it ends in pure noise",
    )  # fmt: skip
    add(
        "--zero-terminal-snr", action="store_true",
        help="rescale the schedule so that x_T is pure noise (not with --predict eps)",
    )  # fmt: skip
    add(
        "--predict", default="v", choices=PREDICTIONS,
        help="what the network predicts: eps (as on the slides), v (clear digits soon), "
        "velocity (flow matching)",
    )  # fmt: skip
    add(
        "--weighting", default="none", choices=["none", *SCHEMES],
        help="of the loss over time: min_snr, p2 or edm (default: none, L_simple)",
    )  # fmt: skip
    add(
        "--variance", default="fixed", choices=["fixed", "learned"],
        help="learned: a second output for the variance of a step, trained with L_hybrid",
    )  # fmt: skip
    add(
        "--times", default="logit-normal", choices=["uniform", "logit-normal"],
        help="how t is drawn: uniform as on the slides, or mostly from the middle",
    )  # fmt: skip
    add(
        "--held-out", type=cli.up_to(cli.MOST_IMAGES, least=0),
        help="images kept from the training, for held_out_loss in metrics.csv "
        "(default: 500, at most a twentieth; 0: none)",
    )  # fmt: skip
    add(
        "--judge", type=cli.path, default="runs/classifier",
        help="a classifier (train_classifier.py) that looks at each preview's samples",
    )  # fmt: skip
    add(
        "--guidance", type=cli.at_least_0, default=2.0,
        help="how far the samples are guided away from an early version of the network "
        "(1: not at all, as on the slides)",
    )  # fmt: skip
    add("--timesteps", type=cli.positive_int, default=1000, help="T")
    add(
        "--deck", action="store_true",
        help="the settings of the slides where none is given: eps, pixels, AdamW, the "
        "linear schedule, uniform t, one process",
    )  # fmt: skip
    options = parser.parse_args()
    if options.deck and not options.resume:
        for name, value in AS_ON_THE_SLIDES.items():
            if name not in options.given:
                setattr(options, name, value)
    if options.resume:  # the run's own network and training
        network = ("patch_size", "channels", "schedule", "predict", "timesteps")
        saved = cli.restore(options, parser, KIND, (*network, "optimizer", "ema"))
        options.held_out = saved.get("held_out", 0)  # older runs held nothing out
        options.times = saved.get("times", "uniform")
        if "guidance" not in options.given:
            options.guidance = saved.get("guidance", 1.0)
    options.optimizer = options.optimizer or ("adamw" if options.graph else "muon")
    if options.graph and options.optimizer != "adamw":
        parser.error(
            "--graph goes with --optimizer adamw, whose step can be recorded, "
            f"got {options.optimizer}"
        )
    if options.graph and options.variance == "learned":
        parser.error("--graph records L_simple only: it goes with --variance fixed")
    if options.graph and options.device == "cpu":
        print("--graph is for a GPU: on the CPU each step runs as without it")
    check_loss(options, parser)
    cli.check_limits(options, parser)
    return options


def check_loss(options: cli.Options, parser) -> None:
    """Refuse predictions, weights and ends of the schedule that don't go together."""
    weighted, predict = options.weighting != "none", options.predict
    if options.graph and weighted:
        parser.error("--graph records L_simple only: it goes without --weighting")
    if options.variance == "learned" and (weighted or predict == "velocity"):
        parser.error("--variance learned has a loss of its own: no weights, no velocity")
    if weighted and predict == "mu_tilde":
        parser.error("--weighting knows eps, x_0, v and velocity, not mu_tilde")
    ends_in_noise = options.zero_terminal_snr or options.schedule == "straight"
    needs_signal = predict in ("eps", "mu_tilde") or options.variance == "learned"
    if ends_in_noise and needs_signal:
        parser.error(
            "the schedule ends in pure noise, where eps, mu_tilde and a learned variance "
            "tell no image: --predict v, x_0 or velocity, --variance fixed"
        )


if __name__ == "__main__":
    with cli.program():
        options = parse_options()
        with cli.run_folder(options):
            main(options)
