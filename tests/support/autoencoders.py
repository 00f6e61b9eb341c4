"""A small autoencoder and its trainer, on pictures that a small codebook can learn."""

import numpy as np
import pytest

from minidiff.data import Loader
from minidiff.engine.random import RNG
from minidiff.models.autoencoder import KLAutoencoder, KLConfig, VQAutoencoder, VQConfig
from minidiff.optim import AdamW
from minidiff.training.autoencoder_trainer import AutoencoderTrainer
from minidiff.training.codebook import CodebookKeeper
from minidiff.training.loop import LoopSettings
from minidiff.training.workers import Workers

VARIANTS = pytest.mark.parametrize("variant", ["vq", "ema", "kl"])
N_CODES = 8


def pictures(n=40, seed=1):
    """8x8 images whose quarters are one of four patterns, brighter or darker: a small codebook has much to gain."""
    rng = RNG(seed)
    i, j = np.mgrid[:4, :4]
    patterns = np.stack([i < 2, j < 2, i == j, (i + j) % 2 == 0]).astype(np.float32)
    quarters = patterns[rng.integers(0, 4, (n, 2, 2))] * (150 + 100 * rng.uniform((n, 2, 2, 1, 1)))
    return quarters.transpose(0, 1, 3, 2, 4).reshape(n, 1, 8, 8).astype(np.uint8)


def make_trainer(variant="vq", seed=0, optimizer=AdamW, batch_size=8, window=4, dead=0.2, device="cpu", lr=3e-3, **settings):
    rng = RNG(seed)
    size = {"n_channels": 8, "z_channels": 2, **settings}
    model = KLAutoencoder(KLConfig(**size), rng) if variant == "kl" else VQAutoencoder(VQConfig(n_codes=N_CODES, ema=variant == "ema", **size), rng)
    model.to(device)
    loader = Loader(pictures(), None, batch_size, rng)
    learned = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    keeper = None if variant == "kl" else CodebookKeeper(model.quantizer, window=window, dead=dead, gamma=0.9)
    return AutoencoderTrainer(model, loader, optimizer(learned, lr=lr), rng, LoopSettings(lr_warmup=5), keeper)


def train(trainer, steps, count=1):
    with Workers(trainer.model, count) as workers:
        iterator = trainer.steps(workers)
        return [next(iterator) for _ in range(steps)][-1]


def arrays_of(trainer):
    arrays = {f"model.{name}": array for name, array in trainer.model.state_dict().items()}
    arrays |= {f"{slot}.{name}": array for name, slots in trainer.optimizer.state.items() for slot, array in slots.items()}
    return arrays | (trainer.keeper.state() if trainer.keeper else {})
