"""Which sampler is best at few network calls? A classifier's opinion and the Frechet distance of each, at 5, 10, 20 and 50 calls.

    python benchmarks/samplers.py --checkpoint runs/mnist/checkpoint --classifier runs/classifier --write docs/benchmarks/samplers.md

All samplers start from the same noise, and clip x_0_hat alike. One with two calls a step gets half as many steps. Each is run with the
times of its steps uniform in t and in log-SNR.
"""

import argparse
from typing import NamedTuple

import numpy as np

from minidiff.data import load_dataset
from minidiff.data.atomic import atomic_write
from minidiff.engine.backend import to_cpu, use_device
from minidiff.engine.random import RNG
from minidiff.evaluation import SampleQuality, load_classifier, sample_quality
from minidiff.models import UNet
from minidiff.sampling import SAMPLERS, SamplerSettings, load_denoiser, predictor, sample
from minidiff.sampling.solvers import network_calls, steps_for_calls
from minidiff.training import run_or_shipped
from minidiff.training.workers import Workers

SPACINGS = ("uniform", "log-snr")


class Row(NamedTuple):
    """One sampler at one number of calls. `quality` is None where it cannot run: DDPM to pure noise."""

    settings: SamplerSettings
    calls: int
    quality: SampleQuality | None


def main() -> None:
    options = parse_options()
    use_device(options.device)
    run, note = run_or_shipped(options.checkpoint, "runs/mnist/checkpoint", "mnist")
    print(note)
    table = report(measure(run, options), options)
    print(table)
    if options.write:
        with atomic_write(options.write) as part:
            part.write_text(table)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", help="of train_mnist_ddpm.py (default: runs/mnist/checkpoint, or the weights of the package)")
    parser.add_argument("--classifier", default="runs/classifier", help="of train_classifier.py")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=250, help="samples at a time")
    parser.add_argument("--calls", type=int, nargs="+", default=[5, 10, 20, 50])
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS), choices=SAMPLERS)
    parser.add_argument("--eta", type=float, default=0.0, help="of ddim")
    parser.add_argument("--data", default="auto")
    parser.add_argument("--data-dir")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", metavar="FILE", help="the Markdown table")
    return parser.parse_args()


def measure(run: str, options: argparse.Namespace) -> list[Row]:
    """Samples of every sampler, judged. The noise x_T is the same for all."""
    denoiser = load_denoiser(run, UNet, device=options.device)
    classifier = load_classifier(options.classifier)
    classifier.to(options.device)
    images = load_dataset(options.data, options.data_dir).images
    shape, rows = (options.samples, *denoiser.sample_shape), []
    x_T = RNG(options.seed, options.device).normal(shape)
    with Workers(denoiser.model, options.workers) as painters, Workers(classifier, options.workers) as judges:
        network = predictor(painters)
        for calls in options.calls:
            for sampler in options.samplers:
                for spacing in SPACINGS:
                    settings = SamplerSettings(sampler, steps_for_calls(sampler, calls), spacing, eta=options.eta)
                    try:
                        parts = [
                            to_cpu(sample(network, denoiser.prediction, denoiser.schedule, x_T[i : i + options.batch], RNG(i, options.device), settings))
                            for i in range(0, len(x_T), options.batch)
                        ]
                    except ValueError as error:
                        print(f"{sampler}, {spacing}, {calls} calls: {error}")
                        rows.append(Row(settings, calls, None))
                        continue
                    samples = np.concatenate(parts).clip(-1, 1)
                    quality = sample_quality(judges, samples, images, options.seed)
                    print(f"{sampler}, {spacing}, {network_calls(settings, denoiser.schedule.T)} calls: {quality}", flush=True)
                    rows.append(Row(settings, calls, quality))
    return rows


def report(rows: list[Row], options: argparse.Namespace) -> str:
    """Share of confident samples in % / Frechet distance, a row for each sampler and a column for each number of calls."""
    found = {(row.settings.sampler, row.settings.spacing, row.calls): row.quality for row in rows}
    judged = [row for row in rows if row.quality is not None]
    floor = f"{judged[0].quality.floor:.2f}" if judged else "unknown"
    lines = [
        "# Samplers at few network calls", "",
        f"{options.samples} samples each from the same noise. In a cell: the share with a top probability of at least 0.9 in %, then the "
        f"Frechet distance from real images (as many real ones are at {floor}). The best distance of a column is bold. "
        "Heun's methods ask the network twice a step, so they take half as many steps.", "",
        "| sampler | times | " + " | ".join(f"{calls} calls" for calls in options.calls) + " |",
        "|---|---|" + "---|" * len(options.calls),
    ]  # fmt: skip
    best = {calls: min((row.quality.frechet for row in judged if row.calls == calls), default=None) for calls in options.calls}
    for sampler in options.samplers:
        for spacing in SPACINGS:
            cells = [cell(found[sampler, spacing, calls], best[calls]) for calls in options.calls]
            lines.append(f"| {sampler} | {spacing} | " + " | ".join(cells) + " |")
    lines += ["", *verdict(judged, options), ""]
    command = f"python benchmarks/samplers.py --samples {options.samples} --calls {' '.join(map(str, options.calls))} --seed {options.seed}"
    return "\n".join([*lines, f"Made by `{command} --write docs/benchmarks/samplers.md`, and the checkpoints of a run.", ""])


def cell(quality: SampleQuality | None, best: float | None) -> str:
    if quality is None:
        return "-"
    distance = f"**{quality.frechet:.2f}**" if quality.frechet == best else f"{quality.frechet:.2f}"
    return f"{100 * quality.confident:.1f} / {distance}"


def verdict(judged: list[Row], options: argparse.Namespace) -> list[str]:
    """Which sampler is best at each number of calls, and by how much; and whether 10 calls of it do what 50 of DDIM do."""
    lines = []
    ddim = {(row.calls, row.settings.spacing): row.quality for row in judged if row.settings.sampler == "ddim"}
    for calls in options.calls:
        here = [row for row in judged if row.calls == calls]
        if not here:
            continue
        first = min(here, key=lambda row: row.quality.frechet)
        text = f"- {calls} calls: {first.settings.sampler} with {first.settings.spacing} times"
        plain = ddim.get((calls, "uniform"))
        if plain is not None:
            text += f", {first.quality.frechet:.2f} against {plain.frechet:.2f} of DDIM with uniform times"
        lines.append(text + ".")
    if 10 in options.calls and (50, "uniform") in ddim:
        best = min((row for row in judged if row.calls == 10), key=lambda row: row.quality.frechet).quality
        goal = ddim[50, "uniform"]
        for name, ours, theirs, better in (
            ("Frechet distance", best.frechet, goal.frechet, best.frechet <= goal.frechet),
            ("share of confident samples", best.confident, goal.confident, best.confident >= goal.confident),
        ):
            lines.append(f"- 10 calls of the best are {'at least as good as' if better else 'not as good as'} 50 of DDIM by the {name}: {ours:.3f} and {theirs:.3f}.")
    return lines


if __name__ == "__main__":
    main()
