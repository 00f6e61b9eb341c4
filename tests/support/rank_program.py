"""What tests/training/test_distributed.py runs on each rank:  rank_program.py WHAT FOLDER [...]"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from minidiff import functional as F
from minidiff.data import Loader
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.backend import to_cpu
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models import UNet, UNetConfig
from minidiff.nn import Linear
from minidiff.optim import AdamW, Muon
from minidiff.training import RunSettings, Trainer, TrainerSettings, run
from minidiff.training.distributed import Ranks, leave_by_abort

BATCH = 12
STEPS = 200  # of a run that ends before


def squared_error(model, x, y):
    return F.mse_loss(model(Tensor(x)), y), x.shape[0]


def regression(dtype=np.float32, n=13):
    """A layer, and a batch that neither 2 nor 3 ranks can share equally."""
    layer = Linear(3, 2, rng=RNG(0))
    for parameter in layer.parameters():
        parameter.data = parameter.data.astype(dtype)
    return layer, {"x": RNG(1).normal((n, 3), dtype), "y": RNG(2).normal((n, 2), dtype)}


def make_trainer(optimizer="adamw", seed=0, device="cpu", dtype=np.float64):
    """A small one, in float64: Adam divides a gradient by its own size, and in float32 one that should be 0 is all rounding."""
    rng = RNG(seed, device)
    model = UNet(UNetConfig(1, 4, (1, 1), (False, False), n_heads=1), rng)
    model.to(device)
    for parameter in model.parameters():
        parameter.data = parameter.data.astype(dtype)
    loader = Loader((RNG(5).uniform((40, 1, 4, 4)) * 255).astype(np.uint8), None, BATCH, rng, drop_last=True)
    Optimizer = {"adamw": AdamW, "muon": Muon}[optimizer]
    optimizer = Optimizer(model.named_parameters(), lr=1e-3)
    settings = TrainerSettings(lr_warmup=1)
    return Trainer(model, make_schedule("linear", 10), loader, optimizer, rng, settings, lambda x_0, labels, rng: (x_0.astype(dtype), {}))


def trained(trainer, workers, steps, of=STEPS):
    """The losses and parameters after so many steps of a run of `of` steps."""
    iterator = trainer.steps(workers)
    for _ in range(steps):
        trainer.progress = trainer.step / of
        next(iterator)
    return results(trainer)


def results(trainer):
    return {"losses": trainer.losses, **{f"model.{name}": a for name, a in trainer.model.state_dict().items()}}


def gradients(folder):
    for dtype in (np.float32, np.float64):
        layer, batch = regression(dtype)
        with Ranks(layer) as ranks:
            loss, found, rest = ranks.loss_and_gradients(squared_error, batch)
            np.savez(folder / f"{np.dtype(dtype).name}.{ranks.rank}.npz", loss=loss, rest=rest[0], bytes=ranks.bytes, **found)


def train(folder, optimizer):
    trainer = make_trainer(optimizer)
    with Ranks(trainer.model) as ranks:
        np.savez(folder / f"{optimizer}.{ranks.rank}.npz", **trained(trainer, ranks, 6))


def whole_run(folder, steps, *resume):
    trainer = make_trainer()
    if resume:
        trainer.load(folder / "checkpoint")
    with Ranks(trainer.model) as ranks:
        assert run(trainer, folder, ranks, RunSettings(steps=int(steps), quiet=True))
        np.savez(folder.parent / f"run.{ranks.rank}.npz", **results(trainer), seconds=trainer.seconds)


class Victim(Trainer):
    """A trainer that something happens to at a step, before its gradient."""

    def loss_options(self):
        if self.step == self.at:
            self.happens()
        return super().loss_options()


def a_run_with(folder, happens, at, **settings):
    """A run in which `happens(rank)` is called in step `at` + 1.    -> as a program ends"""
    trainer = make_trainer()
    with Ranks(trainer.model, **settings) as ranks:
        trainer.__class__, trainer.at, trainer.happens = Victim, at, lambda: happens(ranks.rank)
        ending = run(trainer, folder, ranks, RunSettings(steps=STEPS, quiet=True))
    (folder / f"ending.{ranks.rank}").write_text(f"{ending.status}|{ending.saved}|{ending.reason}")
    if ending.rank_lost:
        leave_by_abort(ranks.communicator, ending.status)
    sys.exit(ending.status)


def killed(folder, who):
    a_run_with(folder, lambda rank: rank == int(who) and os.kill(os.getpid(), signal.SIGKILL), 6)


def stopped(folder):
    """Rank 1 does nothing for a long time."""
    a_run_with(folder, lambda rank: rank == 1 and time.sleep(60), 6, patience=1.0)


def interrupted(folder, who):
    a_run_with(folder, lambda rank: rank == int(who) and os.kill(os.getpid(), signal.SIGINT), 6)


def on_gpus(folder):
    """The same training on a device "cuda", whose sums go by NCCL: stand-ins of both."""
    from support import fake_cupy, fake_nccl

    with fake_cupy.installed() as (module, watcher):
        fake_nccl.install(module)
        trainer = make_trainer(device="cuda", dtype=np.float32)
        with Ranks(trainer.model) as ranks:
            found = trained(trainer, ranks, 3)
            calls = ranks._nccl.communicator.calls
            loss, gradients, _ = ranks.loss_and_gradients(type(trainer).loss, trainer.draw_batch(), **trainer.loss_options())
            gradients = {f"gradient.{name}": to_cpu(array) for name, array in gradients.items()}
            ranks._lost("for the test")
            aborted = ranks._nccl.communicator.aborted
        found = {name: to_cpu(array) for name, array in {**found, "loss": loss}.items()}
    np.savez(folder / f"gpu.{ranks.rank}.npz", calls=calls, aborted=aborted, **gradients, **found)


def mistakes(folder):
    """Each error that a caller of Ranks can cause, on every rank."""
    said = []

    def note(function, *arguments):
        try:
            function(*arguments)
        except ValueError as error:
            said.append(str(error))

    layer, batch = regression(n=1)
    with Ranks(layer) as ranks:
        note(ranks.loss_and_gradients, squared_error, batch)
    other = make_trainer(seed=ranks.rank)
    with Ranks(other.model) as ranks:
        note(next, other.steps(ranks))
    drifting = make_trainer()
    with Ranks(drifting.model) as ranks:
        steps = drifting.steps(ranks)
        next(steps)
        for parameter in drifting.model.parameters():
            parameter.assign(parameter.data + ranks.rank)
        note(next, steps)
    (folder / f"said.{ranks.rank}").write_text("\n".join(said))


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
