"""Checkpoints of version 0.1, when the settings of a network were a dict, load and go on as they did.

checkpoints_of_0_1/ was written by that version, the losses of four steps with it; it was saved after the second.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from minidiff.data import Loader
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.evaluation.judgement import load_classifier
from minidiff.models import (
    PointDenoiser,
    PointDenoiserConfig,
    TextUNet,
    TextUNetConfig,
    UNet,
    UNetConfig,
    VQAutoencoder,
    VQConfig,
)
from minidiff.optim import AdamW, Muon
from minidiff.sampling.classifier_guidance import load_noisy_classifier
from minidiff.sampling.denoiser import load_denoiser
from minidiff.sampling.latents import load_autoencoder
from minidiff.training.autoencoder_trainer import AutoencoderTrainer
from minidiff.training.checkpoint import load_checkpoint
from minidiff.training.loop import LoopSettings
from minidiff.training.trainer import Trainer, TrainerSettings
from minidiff.training.workers import Workers

OLD = Path(__file__).parent / "checkpoints_of_0_1"
LOSSES = json.loads((OLD / "losses.json").read_text())


def images():
    return RNG(3).integers(0, 256, (12, 1, 8, 8)).astype(np.uint8)


def unet_trainer(rng):
    model = UNet(UNetConfig(1, 4, (1, 1), (False, True), n_heads=2, dropout=0.1), rng)
    optimizer, settings = Muon(model.named_parameters(), lr=0.01), TrainerSettings(lr_warmup=3, prediction="v")
    return Trainer(model, make_schedule("cosine", 10), Loader(images(), None, 4, rng), optimizer, rng, settings)


def vq_trainer(rng):
    model = VQAutoencoder(VQConfig(n_channels=8, z_channels=2, n_codes=8), rng)
    optimizer = AdamW(model.named_parameters(), lr=0.01)
    return AutoencoderTrainer(model, Loader(images(), None, 4, rng), optimizer, rng, LoopSettings(lr_warmup=3))


def losses(trainer, steps):
    with Workers(trainer.model, 1) as workers:
        iterator = trainer.steps(workers)
        for _ in range(steps):
            next(iterator)
    return trainer.losses


@pytest.mark.parametrize("name, make", [("unet", unet_trainer), ("vq", vq_trainer)])
def test_a_run_of_0_1_goes_on_and_is_the_run_of_today(name, make):
    trainer = make(RNG(8))
    trainer.load(OLD / name)
    assert trainer.step == 2
    np.testing.assert_allclose(losses(trainer, 2), LOSSES[name], rtol=1e-4)
    np.testing.assert_allclose(losses(make(RNG(0)), 4), LOSSES[name], rtol=1e-4)


@pytest.mark.parametrize("name, make", [("unet", unet_trainer), ("vq", vq_trainer)])
def test_checkpoints_of_today_hold_what_those_of_0_1_did(tmp_path, name, make):
    trainer = make(RNG(0))
    losses(trainer, 2)
    trainer.save(tmp_path)
    old, new = load_checkpoint(OLD / name), load_checkpoint(tmp_path)
    assert old.description.keys() == new.description.keys() and old.arrays.keys() == new.arrays.keys()
    assert old.description["model"].items() <= new.description["model"].items()


def test_networks_of_0_1_are_made_again():
    assert load_denoiser(OLD / "unet", UNet).model.config == UNetConfig(1, 4, (1, 1), (False, True), n_heads=2, dropout=0.1)
    assert load_autoencoder(OLD / "vq").model.config == VQConfig(1, 8, 2, 8)
    assert load_classifier(OLD / "classifier").config.n_features == 4
    assert load_noisy_classifier(OLD / "noisy_classifier", make_schedule("cosine", 10)).config.ch_mults == (1,)
    for name, network, config in (("text", TextUNet, TextUNetConfig), ("points", PointDenoiser, PointDenoiserConfig)):
        checkpoint = load_checkpoint(OLD / name)
        model = network(config(**checkpoint.description["model"]))
        model.load_state_dict(checkpoint.part("model"))
