"""A training that diverges ends at once, says so, and leaves its last good checkpoint."""

import numpy as np
import pytest

from minidiff.data import Loader
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.models import Classifier, KLAutoencoder, KLConfig, UNet, UNetConfig
from minidiff.optim import SGD, AdamW
from minidiff.training import (
    AutoencoderTrainer,
    DivergenceError,
    RunSettings,
    Trainer,
    Workers,
    classifier_steps,
    load_checkpoint,
    run,
    save_classifier,
)
from minidiff.training.divergence import check_losses


def images(n=20, size=4):
    return (RNG(0).uniform((n, 1, size, size)) * 255).astype(np.uint8)


def ddpm():
    rng = RNG(0)
    model = UNet(UNetConfig(1, 4, (1, 1), (False, False), n_heads=1), rng)
    return Trainer(model, make_schedule("linear", 10), Loader(images(), None, 4, rng), AdamW(model.named_parameters()), rng)


def autoencoder():
    rng = RNG(0)
    model = KLAutoencoder(KLConfig(1, 8, 2), rng)
    return AutoencoderTrainer(model, Loader(images(size=8), None, 4, rng), AdamW(model.named_parameters()), rng)


def spoil(model):
    parameter = next(model.parameters())
    parameter.assign(parameter.data * np.float32(np.nan))


@pytest.mark.parametrize("make", [ddpm, autoencoder])
def test_the_first_nan_ends_the_run_and_spares_the_checkpoint(make, tmp_path):
    trainer = make()

    def preview(trainer):
        if trainer.step == 3:
            spoil(trainer.model)

    how_long = RunSettings(steps=20, preview_minutes=1e-9, quiet=True)
    with Workers(trainer.model, 1) as workers, pytest.raises(DivergenceError, match=r"diverged: the loss of step 4 is nan.*smaller learning rate"):
        run(trainer, tmp_path, workers, how_long, preview=preview)
    checkpoint = load_checkpoint(tmp_path / "checkpoint")
    assert checkpoint.description["step"] == 3 and all(np.isfinite(array).all() for array in checkpoint.part("model").values())


def test_an_infinite_gradient_ends_it_before_the_update():
    trainer = ddpm()
    gradients = trainer.gradients

    def infinite(batch, workers):
        step, found = gradients(batch, workers)
        return step, {name: gradient * np.float32(np.inf) for name, gradient in found.items()}

    trainer.gradients = infinite
    before = trainer.model.state_dict()
    with Workers(trainer.model, 1) as workers, pytest.raises(DivergenceError, match="norm of the gradient at step 1 is (nan|inf)"), np.errstate(invalid="ignore"):
        next(trainer.steps(workers))
    for name, array in trainer.model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_nothing_that_is_not_finite_is_saved(tmp_path):
    trainer = ddpm()
    trainer._losses = [1.0, np.inf, 1.0]
    with pytest.raises(DivergenceError, match="the loss of step 2 is inf"):
        trainer.save(tmp_path)
    trainer._losses, trainer._checked = [], 0
    spoil(trainer.model)
    with pytest.raises(DivergenceError, match="the parameter .* is not finite"):
        trainer.save(tmp_path)
    with pytest.raises(DivergenceError, match="the parameter .* is not finite"):
        save_classifier(tmp_path, trainer.model, {})
    assert not list(tmp_path.iterdir())


def test_a_classifier_stops_too():
    rng = RNG(0)
    model = Classifier(rng=rng)
    loader = Loader(images(8, 28), np.arange(8) % 10, 4, rng)
    with Workers(model, 1) as workers, pytest.raises(DivergenceError, match="the loss of step 2 is"):
        losses = classifier_steps(loader, SGD(model.named_parameters(), lr=0.1), rng, 4, workers)
        next(losses)
        spoil(model)
        list(losses)


def test_the_first_of_many_losses_is_named():
    check_losses([1.0, 2.0])
    with pytest.raises(DivergenceError, match="step 3 is inf"):
        check_losses([1.0, 2.0, np.inf, np.nan])
