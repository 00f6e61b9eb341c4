"""The early version of a network that a run keeps, and the guidance away from it."""

import numpy as np
import pytest

from minidiff.classroom import ship_weights
from minidiff.data import Loader
from minidiff.diffusion import make_schedule
from minidiff.engine.random import RNG
from minidiff.models import UNet, UNetConfig
from minidiff.optim import AdamW
from minidiff.sampling import evaluating, guided_predictor, load_denoiser
from minidiff.training import CheckpointError, load_checkpoint, save_checkpoint
from minidiff.training.trainer import Trainer, TrainerSettings
from minidiff.training.workers import Workers


def make_trainer(seed=0, early_share=0.4):
    rng = RNG(seed)
    model = UNet(UNetConfig(1, 4, (1, 2), (False, True), n_heads=2, patch_size=2), rng)
    loader = Loader((RNG(1).uniform((30, 1, 8, 8)) * 255).astype(np.uint8), None, 8, rng)
    return Trainer(model, make_schedule("cosine", 50), loader, AdamW(model.named_parameters()), rng, TrainerSettings(lr_warmup=5, early_share=early_share))


def trained(steps, early_share=0.4, of=10, seed=0, trainer=None):
    """A trainer after `steps` steps of a run of ten."""
    if trainer is None:
        trainer = make_trainer(seed, early_share)
    with Workers(trainer.model, 1) as workers:
        iterator = trainer.steps(workers)
        while trainer.step < steps:
            trainer.progress = trainer.step / of
            next(iterator)
    return trainer


def test_it_is_the_average_after_that_share_of_the_run():
    trainer, short = trained(10), trained(5)
    assert trainer.early_step == 5  # the first step that began with 4 of 10 done
    for name, array in short.ema.average.items():
        np.testing.assert_array_equal(trainer.early[name], array)
        assert not np.shares_memory(trainer.early[name], trainer.ema.average[name])
    model = trainer.early_model()
    assert not model.training
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, trainer.early[name])


def test_without_the_setting_and_before_that_share_there_is_none():
    assert trained(10, early_share=None).early_model() is None and trained(4).early_model() is None


@pytest.mark.parametrize("at", [3, 8])
def test_a_resumed_run_has_the_same(tmp_path, at):
    trained(at).save(tmp_path)
    second = make_trainer(seed=7)
    second.load(tmp_path)
    whole, second = trained(10), trained(10, trainer=second)
    assert second.early_step == whole.early_step == 5
    for name, array in whole.early.items():
        np.testing.assert_array_equal(second.early[name], array)
    np.testing.assert_array_equal(second.losses, whole.losses)


def test_half_of_it_is_refused_and_nothing_changes(tmp_path):
    trained(8).save(tmp_path)
    checkpoint = load_checkpoint(tmp_path)
    facts, arrays = dict(checkpoint.description), dict(checkpoint.arrays)
    del arrays["early.final.weight"]
    save_checkpoint(tmp_path / "cut", "ddpm", facts, arrays)
    for name, value, message in (("cut", None, r"incomplete: missing early\.final\.weight"), ("none", "soon", "early_step must be an int >= 0, got 'soon'")):
        if value:
            save_checkpoint(tmp_path / name, "ddpm", facts | {"early_step": value}, checkpoint.arrays)
        trainer = make_trainer()
        before = trainer.model.state_dict()["final.weight"].copy()
        with pytest.raises(CheckpointError, match=message):
            trainer.load(tmp_path / name)
        np.testing.assert_array_equal(trainer.model.state_dict()["final.weight"], before)
    with pytest.raises(CheckpointError, match=r"incomplete: missing early\.final\.weight"):
        load_denoiser(tmp_path / "cut", UNet)


def test_a_sampler_is_guided_away_from_it(tmp_path):
    trainer = trained(10)
    trainer.save(tmp_path, {"guidance": 1.5})
    denoiser = load_denoiser(tmp_path, UNet)
    assert denoiser.guidance == 1.5
    x, t = RNG(0).normal((3, 1, 8, 8)), np.array([5, 20, 50])
    with Workers(denoiser.model, 1) as workers, guided_predictor(workers, denoiser.early, 1.5) as network, evaluating(denoiser.model):
        guided = network(x, t)
        now, then = (model(x, t).numpy() for model in (denoiser.model, denoiser.early))
    assert np.abs(now - then).max() > 1e-3
    np.testing.assert_allclose(guided, then + 1.5 * (now - then), rtol=1e-5, atol=1e-6)
    with Workers(denoiser.model, 1) as workers, guided_predictor(workers, None, 1.5) as network:
        np.testing.assert_allclose(network(x, t), now, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("strength", ["much", -1, float("inf")])
def test_a_strength_that_makes_no_sense_is_refused(tmp_path, strength):
    trained(6).save(tmp_path)
    checkpoint = load_checkpoint(tmp_path)
    facts = checkpoint.description | {"options": {"guidance": strength}}
    save_checkpoint(tmp_path / "wrong", "ddpm", facts, checkpoint.arrays)
    with pytest.raises(CheckpointError, match="guidance must be a number >= 0"):
        load_denoiser(tmp_path / "wrong", UNet)


def test_shipped_weights_keep_it(tmp_path):
    trained(10).save(tmp_path / "run" / "checkpoint", {"guidance": 2.0})
    ship_weights.ship(str(tmp_path / "run"), weights=tmp_path / "weights")
    denoiser = load_denoiser(tmp_path / "weights" / "mnist", UNet)
    assert denoiser.guidance == 2.0 and denoiser.early is not None
