"""A long training: the memory, the files that are open and the Tensors that live stay as they are after the first steps.

MINIDIFF_STEPS=3000 takes so many, and prints the figures.
"""

import gc
import os
import sys

import numpy as np
import pytest

from minidiff.data import Loader
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models import UNet, UNetConfig, VQAutoencoder, VQConfig
from minidiff.optim import AdamW, Muon
from minidiff.training import AutoencoderTrainer, RunSettings, Trainer, Workers, run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

STEPS = int(os.environ.get("MINIDIFF_STEPS", "150"))
SAVE_EVERY = max(30, STEPS // 10)
MOST_GROWTH = 3.0  # MB; the losses of 3,000 steps take 0.1


def facts():
    """(MB in memory, open files, live Tensors) of this process."""
    gc.collect()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    tensors = sum(isinstance(thing, Tensor) for thing in gc.get_objects())
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, len(os.listdir("/proc/self/fd")), tensors


def pictures(rng):
    return Loader((rng.uniform((64, 1, 8, 8)) * 255).astype(np.uint8), None, 8, rng, drop_last=True)


def unet(rng):
    model = UNet(UNetConfig(1, 8, (1, 2), (False, True), n_heads=1, image_size=8), rng)
    return Trainer(model, make_schedule("cosine", 10), pictures(rng), Muon(model.named_parameters()), rng)


def autoencoder(rng):
    model = VQAutoencoder(VQConfig(1, 8, 2, 8), rng)
    return AutoencoderTrainer(model, pictures(rng), AdamW(model.named_parameters()), rng)


@pytest.mark.parametrize("make", [unet, autoencoder])
@pytest.mark.parametrize("count", [1, 2])
def test_nothing_grows(make, count, tmp_path, capsys):
    """With checkpoints, rows of metrics.csv and a curve on the way, as in a real run."""
    trainer, seen = make(RNG(0)), []
    draw = trainer.draw_batch

    def draw_batch():
        if trainer.step and trainer.step % SAVE_EVERY == 0:
            trainer.save(tmp_path / "on_the_way")
            seen.append(facts())
        return draw()

    trainer.draw_batch = draw_batch
    with Workers(trainer.model, count) as workers:
        assert run(trainer, tmp_path, workers, RunSettings(steps=STEPS + SAVE_EVERY, preview_minutes=1e9, quiet=True))
    (first, files, tensors), *_, (last, files_then, tensors_then) = seen
    with capsys.disabled():
        if "MINIDIFF_STEPS" in os.environ:
            print(f"\n{make.__name__}, {count}: {first:.1f} -> {last:.1f} MB, {files} -> {files_then} files, {tensors} -> {tensors_then} tensors")
    assert len(seen) >= 3 and last - first < MOST_GROWTH, [round(mb, 2) for mb, _, _ in seen]
    assert files_then == files and tensors_then == tensors
