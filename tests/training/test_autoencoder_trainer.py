"""Phase 1: training an autoencoder, continuing it exactly, and what phase 2 gets of it."""

import numpy as np
import pytest
from support.autoencoders import N_CODES, VARIANTS, arrays_of, make_trainer, pictures, train

from minidiff.diffusion.latent import perplexity
from minidiff.engine.backend import to_cpu
from minidiff.engine.random import RNG
from minidiff.optim import SGD
from minidiff.sampling.latents import encode_images, load_autoencoder, reconstruct
from minidiff.training.autoencoder_trainer import RESTARTS_UNTIL
from minidiff.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from minidiff.training.workers import Workers

# -- the loop ----------------------------------------------------------------------------------------------------------------------------


@VARIANTS
def test_it_learns(variant):
    trainer = make_trainer(variant)
    with Workers(trainer.model, 1) as workers:
        before = reconstruct(workers, pictures(20, seed=2)).mse
        train(trainer, 40)
        after = reconstruct(workers, pictures(20, seed=2)).mse
    assert trainer.losses[-10:].mean() < 0.7 * trainer.losses[:5].mean()
    assert after < 0.5 * before


@VARIANTS
def test_resume_is_exact_to_the_bit(tmp_path, variant):
    whole, first = make_trainer(variant, dead=0.8), make_trainer(variant, dead=0.8)
    train(whole, 20, count=2)
    train(first, 10, count=2)  # in the middle of a window of the codebook's keeper
    first.save(tmp_path)
    second = make_trainer(variant, seed=7, dead=0.8)  # everything that the checkpoint does not bring would show
    second.load(tmp_path)
    train(second, 10, count=2)

    expected, got = arrays_of(whole), arrays_of(second)
    assert expected.keys() == got.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)
    np.testing.assert_array_equal(second.losses, whole.losses)
    np.testing.assert_array_equal(np.float32(second.perplexities), np.float32(whole.perplexities))
    assert second.step == whole.step == 20 and len(second.perplexities) == (0 if variant == "kl" else 20)
    assert second.optimizer.steps == whole.optimizer.steps
    assert second.rng.state() == whole.rng.state() and second.loader.state() == whole.loader.state()
    assert variant == "kl" or whole.keeper.restarts > first.keeper.restarts > 0  # they are part of what is continued


@VARIANTS
def test_the_number_of_workers_changes_only_the_rounding(variant):
    """Also though the codes move between steps, and where the slices are of two sizes."""
    one, two = make_trainer(variant, batch_size=9), make_trainer(variant, batch_size=9)
    one_step, two_step = train(one, 3, count=1), train(two, 3, count=2)
    np.testing.assert_allclose(one.losses, two.losses, rtol=1e-4)
    assert one_step.names == two_step.names
    for name, value in one_step:
        np.testing.assert_allclose(two_step[name], value, rtol=1e-3, atol=1e-3, err_msg=name)


def test_terms_of_a_step_fit_together():
    for variant, losses in (("vq", ("reconstruction", "commitment", "codebook")), ("ema", ("reconstruction", "commitment"))):
        trainer = make_trainer(variant, batch_size=9)
        step = train(trainer, 2, count=2)
        assert step.names == ("x", "z_e", "k", "x_hat", *losses, "loss", "gradient_norm")
        assert step.algorithm == "vq" and step.t == 2
        np.testing.assert_allclose(step.loss, sum(step[name] for name in losses), rtol=1e-5)
        np.testing.assert_allclose(step.reconstruction, ((step.x - step.x_hat) ** 2).mean(), rtol=1e-5)
        assert step.z_e.shape == (9 * 4, 2) and step.k.shape == (9 * 4,)
        assert trainer.perplexities[-1] == perplexity(step.k, N_CODES) and trainer.losses[-1] == np.float32(step.loss)
    step = train(make_trainer("kl", batch_size=9, kl_weight=0.5), 2, count=2)
    assert step.names == ("x", "mu", "log_variance", "z", "x_hat", "reconstruction", "kl", "loss", "gradient_norm")
    np.testing.assert_allclose(step.loss, step.reconstruction + 0.5 * step.kl / 64, rtol=1e-5)


def test_the_codes_begin_on_vectors_of_the_first_batch():
    trainer = make_trainer("vq", lr=0.0)
    step = train(trainer, 1)
    codes = trainer.model.quantizer.codebook.data
    assert all((np.abs(step.z_e - code).max(axis=1) < 1e-6).any() for code in codes)
    assert trainer.perplexities[0] > 4


def test_losses_and_running_means_use_the_codebook_alike():
    """Both ways of moving the codes keep most of them in use, and do as well."""
    results = {}
    for variant in ("vq", "ema"):
        trainer = make_trainer(variant, window=10)
        train(trainer, 40)
        with Workers(trainer.model, 1) as workers:
            result = reconstruct(workers, pictures(50, seed=3))
        results[variant] = result.perplexity(N_CODES), result.mse
    (loss_perplexity, loss_mse), (ema_perplexity, ema_mse) = results.values()
    assert min(loss_perplexity, ema_perplexity) > 0.6 * N_CODES
    assert abs(loss_perplexity - ema_perplexity) < 0.25 * N_CODES
    assert 0.5 < ema_mse / loss_mse < 2


def test_without_running_means_or_gradients_the_codes_would_stay():
    """The keeper of the EMA variant moves them; the optimiser does not know them."""
    trainer = make_trainer("ema", window=100)
    with Workers(trainer.model, 1) as workers:
        iterator = trainer.steps(workers)
        next(iterator)
        first = trainer.model.quantizer.codebook.data.copy()
        next(iterator)
    assert not np.array_equal(trainer.model.quantizer.codebook.data, first)
    assert "quantizer.codebook" not in trainer.optimizer.state


def test_new_codes_are_not_handed_out_near_the_end_of_a_run():
    for progress, restarted in ((RESTARTS_UNTIL - 0.01, True), (RESTARTS_UNTIL, False)):
        trainer = make_trainer("vq", window=1, dead=0.9)
        trainer.progress = progress
        train(trainer, 3)
        assert (trainer.keeper.restarts > 0) == restarted


@VARIANTS
def test_on_a_gpu_it_computes_what_the_cpu_computes(cuda, tmp_path, variant):
    here, there = make_trainer(variant), make_trainer(variant, device="cuda")
    if variant == "kl":
        there.rng.normal = lambda shape: cuda[0].asarray(RNG.normal(there.rng, shape))
    here.optimizer.eps = there.optimizer.eps = 1e-3  # Adam would enlarge the rounding of gradients that are 0
    train(here, 3)
    step = train(there, 3)
    assert type(step.x_hat) is cuda[0].ndarray
    np.testing.assert_allclose(there.losses, here.losses, rtol=1e-3)
    np.testing.assert_allclose(there.perplexities, here.perplexities, rtol=0.1)
    for name, array in arrays_of(here).items():
        if name not in ("counts", "last_counts", "N"):  # one vector on the border between two codes would change them
            np.testing.assert_allclose(to_cpu(arrays_of(there)[name]), array, rtol=2e-2, atol=2e-3, err_msg=name)

    there.save(tmp_path, {"latent_scale": 2.0})
    here.load(tmp_path)  # from one device to the other
    trained = load_autoencoder(tmp_path, "cuda")
    z = cuda[0].asarray(RNG(1).normal((2, 2, 2, 2)))
    assert type(trained.decode(z)) is cuda[0].ndarray
    with Workers(trained.model) as workers:
        images = reconstruct(workers, pictures(6), chunk=4)
        assert encode_images(workers, pictures(6)).shape == (6, 2, 2, 2)
    assert images.x_hat.shape == (6, 1, 8, 8) and (images.k is None) == (variant == "kl")


# -- measuring ---------------------------------------------------------------------------------------------------------------------------


# -- checkpoints -------------------------------------------------------------------------------------------------------------------------


def test_another_kind_is_refused_in_both_directions(tmp_path):
    save_checkpoint(tmp_path / "ddpm", "ddpm", {}, {})
    with pytest.raises(CheckpointError, match="this is a checkpoint of kind 'ddpm', wanted is 'autoencoder'"):
        load_autoencoder(tmp_path / "ddpm")
    with pytest.raises(CheckpointError, match="this is a checkpoint of kind 'ddpm', wanted is 'autoencoder'"):
        make_trainer().load(tmp_path / "ddpm")
    trainer = make_trainer()
    train(trainer, 1)
    trainer.save(tmp_path / "vq")
    with pytest.raises(CheckpointError, match="this is a checkpoint of kind 'autoencoder', wanted is 'ddpm'"):
        load_checkpoint(tmp_path / "vq", "ddpm")


@pytest.mark.parametrize(
    "other, message",
    [
        ({"variant": "kl"}, "its regularizer is vq, this run's is kl"),
        ({"variant": "ema"}, "its model is .*'ema': False.*, this run's is .*'ema': True"),
        ({"n_channels": 12}, "its model is .*'n_channels': 8.*, this run's is .*'n_channels': 12"),
        ({"optimizer": SGD}, "trained with AdamW, this run has SGD"),
        ({"batch_size": 6}, "batch_size = 8 but here batch_size = 6"),
    ],
)
def test_checkpoint_of_another_run_is_refused_and_changes_nothing(tmp_path, other, message):
    trainer = make_trainer()
    train(trainer, 1)
    trainer.save(tmp_path)
    another = make_trainer(**other)
    before = {name: array.copy() for name, array in another.model.state_dict().items()}
    with pytest.raises((CheckpointError, ValueError), match=message):
        another.load(tmp_path)
    for name, array in another.model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert another.step == 0 and another.optimizer.steps == 0
