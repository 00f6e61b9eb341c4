"""Data-parallel training on ranks: a step on one and on two, measured in turn, and a model of more.

    mpirun -n 2 python benchmarks/ranks.py --write docs/benchmarks/ranks.md      # and ranks.json beside it

One rank and two take the same batch, A B A B in one run; each rank has one thread. The parts of a step are measured in seconds of the
processor, so that other programs on the machine don't count; waiting for the other rank is in none of them.
The model: T(B, P) = a + c ceil(B / P) + d B + 2 log2(P) latency + 2 n (P - 1) / P / bandwidth. Here a is what every rank does for itself
(clipping, optimiser, average), c the gradient for one image, d the drawing of a batch, which every rank does for all images, n the bytes of
the vector. The last two terms are an Allreduce by halving and doubling; a network that is shared by others, and slow ranks, make it longer.
"""

import argparse
import json
import math
import statistics
import time
from pathlib import Path

import numpy as np

from minidiff.data import Loader
from minidiff.data.atomic import atomic_write
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.models import UNet, UNetConfig
from minidiff.optim import Muon
from minidiff.training import Trainer, TrainerSettings
from minidiff.training.distributed import Ranks, world

NETWORK = UNetConfig(1, 32, (1, 2), (False, True), zero_init=True, patch_size=2, image_size=28)  # of train_mnist_ddpm.py
NETWORKS = {"InfiniBand, 100 Gbit/s": (2e-6, 10e9), "Ethernet, 10 Gbit/s": (30e-6, 1e9)}  # latency in s, bandwidth in bytes/s: assumed
RANKS = (8, 16, 32, 64, 128, 256, 512, 1024)
SHARES = (1, 4, 16, 32, 64)  # images of one rank


class Timed(Ranks):
    """Ranks that note the seconds of each Allreduce, after all have arrived."""

    def _sum(self, vector):
        self.communicator.Barrier()
        start = time.perf_counter()
        super()._sum(vector)
        self.seconds.append(time.perf_counter() - start)


def make_trainer(batch_size):
    rng = RNG(0)
    images = (RNG(1).uniform((4 * batch_size, 1, 28, 28)) * 255).astype(np.uint8)
    loader = Loader(images, None, batch_size, rng, drop_last=True)
    model = UNet(NETWORK, rng)
    optimizer = Muon(model.named_parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.0)
    return Trainer(model, make_schedule("cosine", 1000), loader, optimizer, rng, TrainerSettings(prediction="v"))


def seconds_of(call, rounds, clock):
    times = []
    for _ in range(rounds):
        start = clock()
        call()
        times.append(clock() - start)
    return times


def measure(batch_size, rounds):
    """Steps on one and two ranks in turn, and the parts of a step.    -> figures; rank 0's count"""
    from mpi4py import MPI

    everybody = world()
    trainer, shared = make_trainer(batch_size), make_trainer(batch_size)
    alone = Timed(trainer.model, MPI.COMM_SELF)
    together = Timed(shared.model, everybody)
    alone.seconds, together.seconds = [], []
    figures = {"one": [], "two": []}
    with together, alone:
        one, two = trainer.steps(alone), shared.steps(together)
        for number in range(rounds + 2):
            pairs = [("one", one), ("two", two)] if everybody.Get_rank() == 0 else [("two", two)]
            for name, steps in pairs:
                if name == "two":
                    everybody.Barrier()
                seconds = seconds_of(lambda steps=steps: next(steps), 1, time.perf_counter)
                figures[name] += seconds if number >= 2 else []
        result = {name: statistics.median(times) for name, times in figures.items() if times}
        result["allreduce"] = statistics.median(together.seconds[2:])
        result["bytes"] = together.bytes
        if everybody.Get_rank() == 0:
            result |= parts_of_a_step(trainer, alone, rounds)
        everybody.Barrier()
    return result


def parts_of_a_step(trainer, alone, rounds):
    """Seconds of the processor: {"draw": of a batch, "update": ..., "gradient": {images: ...}}"""
    draw = statistics.median(seconds_of(trainer.draw_batch, 3 * rounds, time.process_time))
    batch = trainer.draw_batch()
    options = trainer.loss_options()
    gradient = {}
    for n in SHARES:
        part = {name: array[:n] for name, array in batch.items()}
        times = seconds_of(lambda part=part: alone.loss_and_gradients(type(trainer).loss, part, **options), rounds, time.process_time)
        gradient[n] = statistics.median(times)

    whole = statistics.median(seconds_of(lambda: trainer.learn(batch, alone), rounds, time.process_time))
    update = whole - statistics.median(seconds_of(lambda: trainer.gradients(batch, alone), rounds, time.process_time))
    return {"draw": draw, "update": max(update, 0.0), "gradient": gradient}


def fit(figures, batch_size):
    """a, c, d of the model: the gradient's fixed part belongs to a."""
    images, seconds = zip(*((int(n), t) for n, t in figures["gradient"].items()), strict=True)
    c, fixed = np.polyfit(images, seconds, 1)
    return {"a": figures["update"] + max(float(fixed), 0.0), "c": float(c), "d": figures["draw"] / batch_size}


def step_seconds(batch, ranks, model, n_bytes, latency, bandwidth):
    """T(B, P).    -> seconds; the part of them that is the Allreduce"""
    messages = 2 * math.log2(ranks) * latency + 2 * n_bytes * (ranks - 1) / ranks / bandwidth
    return model["a"] + model["c"] * math.ceil(batch / ranks) + model["d"] * batch + messages, messages


def scaling(model, n_bytes, batch_of):
    """Rows of a table: ranks, batch, then for each network speed-up over one rank and efficiency."""
    rows = []
    for ranks in RANKS:
        batch, cells = batch_of(ranks), []
        for latency, bandwidth in NETWORKS.values():
            one, _ = step_seconds(batch, 1, model, n_bytes, latency, bandwidth)
            many, messages = step_seconds(batch, ranks, model, n_bytes, latency, bandwidth)
            cells += [f"{many * 1e3:.1f}", f"{messages * 1e3:.2f}", f"{one / many:.1f}", f"{one / many / ranks:.0%}"]
        rows.append([f"{ranks:,}", f"{batch:,}", *cells])
    return rows


def report(facts):
    figures, batch = facts["figures"], facts["batch"]
    model = fit(figures, batch)
    n_bytes = figures["bytes"]
    ms = lambda seconds: f"{seconds * 1e3:.2f}"  # noqa: E731
    head = "| ranks | batch | " + " | ".join(f"ms a step, {name} | of it Allreduce | speed-up | efficiency" for name in NETWORKS) + " |"
    rule = "|---" * (2 + 4 * len(NETWORKS)) + "|"
    table = lambda batch_of: [head, rule, *("| " + " | ".join(row) + " |" for row in scaling(model, n_bytes, batch_of))]  # noqa: E731
    return "\n".join([
        "# Scaling over ranks", "",
        f"Measured: the network of `train_mnist_ddpm.py` ({facts['parameters']:,} parameters, {n_bytes / 1e6:.2f} MB in the vector), batch "
        f"{batch}, {facts['machine']}, {facts['mpi']}, one thread a rank, medians of {facts['rounds']} steps, one and two ranks in turn in one run.", "",
        "| | ms |", "|---|---|",
        f"| a step on one rank | {ms(figures['one'])} |", f"| a step on two ranks | {ms(figures['two'])} |",
        f"| of it the Allreduce, after both have arrived | {ms(figures['allreduce'])} |", "",
        f"Two ranks take {figures['one'] / figures['two']:.2f} times as many steps as one. "
        "Parts of a step on one rank, in seconds of the processor:", "",
        "| | ms |", "|---|---|",
        *(f"| gradient for {n} images | {ms(t)} |" for n, t in figures["gradient"].items()),
        f"| drawing a batch of {batch} | {ms(figures['draw'])} |", f"| clipping, optimiser, average | {ms(figures['update'])} |", "",
        "## On paper: 8 to 1,024 ranks", "",
        "$$T(B, P) = a + c \\lceil B / P \\rceil + d B + 2 \\log_2(P)\\, \\text{latency} + \\frac{2 n (P - 1)}{P\\, \\text{bandwidth}}$$", "",
        f"with a = {ms(model['a'])} ms, c = {ms(model['c'])} ms an image, d = {model['d'] * 1e6:.1f} µs an image and n = {n_bytes:,} bytes from the "
        "figures above. Latency and bandwidth are assumed, not measured: "
        + "; ".join(f"{name} {latency * 1e6:g} µs and {bandwidth / 1e9:g} GB/s" for name, (latency, bandwidth) in NETWORKS.items())
        + ". The model has no slow ranks and no other users of the network, so these are upper bounds.", "",
        "The same batch of 1,024 images on more ranks:", "", *table(lambda ranks: 1024), "",
        "16 images for each rank, so that the batch grows; the speed-up is over one rank with that batch:", "", *table(lambda ranks: 16 * ranks), "",
        "What ends the scaling is a, what each rank does for itself, then d: every rank draws the whole batch, which is what makes the numbers "
        "those of one process. On the slower network it is the Allreduce, which hardly depends on the number of ranks.", "",
        f"Made by `mpirun -n 2 python benchmarks/ranks.py --batch {batch} --rounds {facts['rounds']} --write docs/benchmarks/ranks.md`.", "",
    ])  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--machine", default="2 cores")
    parser.add_argument("--write", metavar="FILE", help="a page, and its figures as FILE.json")
    options = parser.parse_args()
    figures = measure(options.batch, options.rounds)
    if world().Get_rank():
        return
    from mpi4py import MPI

    facts = {
        "batch": options.batch, "rounds": options.rounds, "machine": options.machine, "parameters": UNet(NETWORK).parameter_count(),
        "mpi": " ".join(MPI.Get_library_version().split(",")[0].split()[:3]), "figures": figures,
    }  # fmt: skip
    text = report(json.loads(json.dumps(facts)))
    print(text)
    if options.write:
        with atomic_write(options.write) as part:
            part.write_text(text, encoding="utf-8")
        with atomic_write(Path(options.write).with_suffix(".json")) as part:
            part.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
