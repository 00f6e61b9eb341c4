"""Which sampler is best at few network calls? A classifier's opinion and the Frechet distance of each, at 5, 10, 20 and 50 calls.

    python benchmarks/samplers.py --write docs/benchmarks/samplers.json
    python benchmarks/samplers.py --write docs/benchmarks/samplers.json --ways ddpm:uniform sa:inner:1

All samplers start from the same noise, and clip x_0_hat alike. One with two calls a step gets half as many steps. A way to sample is
SAMPLER:TIMES[:ETA]. What was measured before with the same samples and seed stays in the file, so that the table can be made in parts.
"""

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidiff.data import load_dataset
from minidiff.data.atomic import atomic_write
from minidiff.engine.backend import to_cpu, use_device
from minidiff.engine.random import RNG
from minidiff.evaluation import load_classifier, sample_quality
from minidiff.models import UNet
from minidiff.sampling import SamplerSettings, load_denoiser, predictor, sample
from minidiff.sampling.solvers import network_calls, steps_for_calls
from minidiff.training import run_or_shipped
from minidiff.training.workers import Workers

WAYS = [
    "ddim:uniform", "ddim:log-snr", "ddim:inner", "ddim:uniform:1", "ddpm:uniform", "heun:uniform", "heun:log-snr", "dpm++:uniform",
    "dpm++:log-snr", "dpm++:inner", "sa:inner", "sa:inner:1", "flow-euler:uniform", "flow-heun:uniform", "flow-heun:log-snr", "flow-heun:inner",
]  # fmt: skip


class Way(NamedTuple):
    """A sampler, the spacing of its times, and its eta."""

    sampler: str
    spacing: str
    eta: float

    @property
    def name(self) -> str:
        """As the table has it."""
        return f"{self.sampler}, eta = {self.eta:g}" if self.eta else self.sampler


class Row(NamedTuple):
    """One way at one number of calls. `confident` and `frechet` are None where it cannot run: DDPM to pure noise."""

    way: Way
    calls: int
    confident: float | None
    frechet: float | None


def main() -> None:
    options = parse_options()
    use_device(options.device)
    run, note = run_or_shipped(options.checkpoint, "runs/mnist/checkpoint", "mnist")
    print(note)
    before = read(options) if options.write and Path(options.write).exists() else []
    rows, floor = measure(run, options)
    measured = {(row.way, row.calls) for row in rows}
    rows += [row for row in before if (row.way, row.calls) not in measured]
    table = report(rows, floor, options)
    print(table)
    if options.write:
        held = {"samples": options.samples, "seed": options.seed, "floor": floor, "rows": [row._replace(way=list(row.way)) for row in rows]}
        for path, text in ((Path(options.write), json.dumps(held, indent=1) + "\n"), (Path(options.write).with_suffix(".md"), table)):
            with atomic_write(path) as part:
                part.write_text(text)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", help="of train_mnist_ddpm.py (default: runs/mnist/checkpoint, or the weights of the package)")
    parser.add_argument("--classifier", help="of train_classifier.py (default: runs/classifier, or the weights of the package)")
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--batch", type=int, default=250, help="samples at a time")
    parser.add_argument("--calls", type=int, nargs="+", default=[5, 10, 20, 50])
    parser.add_argument("--ways", type=way, nargs="+", default=[way(text) for text in WAYS], metavar="SAMPLER:TIMES[:ETA]")
    parser.add_argument("--data", default="auto")
    parser.add_argument("--data-dir")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", metavar="FILE.json", help="the figures; the Markdown table goes beside it")
    return parser.parse_args()


def way(text: str) -> Way:
    """SAMPLER:TIMES[:ETA], checked as SamplerSettings does."""
    sampler, spacing, *eta = text.split(":")
    found = Way(sampler, spacing, float(eta[0]) if eta else 0.0)
    try:
        SamplerSettings(found.sampler, 1, found.spacing, eta=found.eta)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return found


def read(options: argparse.Namespace) -> list[Row]:
    """The rows of the file, if they are of as many samples from the same seed.    Raises: SystemExit if not"""
    held = json.loads(Path(options.write).read_text())
    for name in ("samples", "seed"):
        if held[name] != getattr(options, name):
            raise SystemExit(f"--write {options.write}: it holds rows of {name} = {held[name]}, wanted {getattr(options, name)}; name another file")
    return [Row(Way(*row[0]), *row[1:]) for row in held["rows"]]


def measure(run: str, options: argparse.Namespace) -> tuple[list[Row], float | None]:
    """Samples of every way, judged; and the distance of as many real images. The noise x_T is the same for all."""
    denoiser = load_denoiser(run, UNet, device=options.device)
    classifier = load_classifier(run_or_shipped(options.classifier, "runs/classifier", "classifier")[0])
    classifier.to(options.device)
    images = load_dataset(options.data, options.data_dir).images
    shape, rows, floor = (options.samples, *denoiser.sample_shape), [], None
    x_T = RNG(options.seed, options.device).normal(shape)
    with Workers(denoiser.model, options.workers) as painters, Workers(classifier, options.workers) as judges:
        network = predictor(painters)
        for calls in options.calls:
            for how in options.ways:
                settings = SamplerSettings(how.sampler, steps_for_calls(how.sampler, calls), how.spacing, eta=how.eta)
                try:
                    samples = draw(network, denoiser, x_T, settings, options)
                except ValueError as error:
                    print(f"{how.name}, {how.spacing}, {calls} calls: {error}")
                    rows.append(Row(how, calls, None, None))
                    continue
                quality = sample_quality(judges, samples, images, options.seed)
                print(f"{how.name}, {how.spacing}, {network_calls(settings, denoiser.schedule.T)} calls: {quality}", flush=True)
                rows.append(Row(how, calls, quality.confident, quality.frechet))
                floor = quality.floor
    return rows, floor


def draw(network: Any, denoiser: Any, x_T: Any, settings: SamplerSettings, options: argparse.Namespace) -> np.ndarray:
    parts = []
    for i in range(0, len(x_T), options.batch):
        batch, rng = x_T[i : i + options.batch], RNG(i, options.device)
        parts.append(to_cpu(sample(network, denoiser.prediction, denoiser.schedule, batch, rng, settings)))
    return np.concatenate(parts).clip(-1, 1)


def report(rows: list[Row], floor: float | None, options: argparse.Namespace) -> str:
    """Share of confident samples in % / Frechet distance, a row for each way and a column for each number of calls."""
    found = {(row.way, row.calls): row for row in rows}
    judged = [row for row in rows if row.frechet is not None]
    columns = sorted({row.calls for row in rows})
    lines = [
        "# Samplers at few network calls", "",
        f"{options.samples} samples each from the same noise. In a cell: the share with a top probability of at least 0.9 in %, then the "
        f"Frechet distance from real images (as many real ones are at {'unknown' if floor is None else f'{floor:.2f}'}). The best distance of a column is bold. "
        "Heun's methods ask the network twice a step, so they take half as many steps. Rows of one sampler under two names agree to rounding: flow-euler is "
        "ddim, and ddpm on fewer times is ddim with eta = 1. [After the deck](../after_the_deck.md) says what was tried for few calls.", "",
        "| sampler | times | " + " | ".join(f"{calls} calls" for calls in columns) + " |",
        "|---|---|" + "---|" * len(columns),
    ]  # fmt: skip
    best = {calls: min((row.frechet for row in judged if row.calls == calls), default=None) for calls in columns}
    for how in sorted({row.way for row in rows}):
        cells = [cell(found.get((how, calls)), best[calls]) for calls in columns]
        lines.append(f"| {how.name} | {how.spacing} | " + " | ".join(cells) + " |")
    lines += ["", *verdict(judged, columns), ""]
    return "\n".join([*lines, "Made by `python benchmarks/samplers.py --write docs/benchmarks/samplers.json`.", ""])


def cell(row: Row | None, best: float | None) -> str:
    if row is None or row.frechet is None or row.confident is None:
        return "-" if row else "not run"
    distance = f"**{row.frechet:.2f}**" if row.frechet == best else f"{row.frechet:.2f}"
    return f"{100 * row.confident:.1f} / {distance}"


def verdict(judged: list[Row], columns: list[int]) -> list[str]:
    """Which way is best at each number of calls, and by how much; and whether 10 calls of it do what 50 of DDIM do."""
    lines, plain = [], {row.calls: row for row in judged if row.way == Way("ddim", "uniform", 0.0)}
    first = {calls: min((row for row in judged if row.calls == calls), key=lambda row: row.frechet, default=None) for calls in columns}
    for calls, row in first.items():
        if row is not None:
            against = f", {row.frechet:.2f} against {plain[calls].frechet:.2f} of DDIM with uniform times" if calls in plain else ""
            lines.append(f"- {calls} calls: {row.way.name} with {row.way.spacing} times{against}.")
    best, goal = first.get(10), plain.get(50)
    if best and goal:
        for name, ours, theirs, better in (
            ("Frechet distance", f"{best.frechet:.2f}", f"{goal.frechet:.2f}", best.frechet <= goal.frechet),
            ("share of confident samples", f"{100 * best.confident:.1f} %", f"{100 * goal.confident:.1f} %", best.confident >= goal.confident),
        ):
            lines.append(f"- 10 calls of the best are {'at least as good as' if better else 'not as good as'} 50 of DDIM by the {name}: {ours} and {theirs}.")
    return lines


if __name__ == "__main__":
    main()
