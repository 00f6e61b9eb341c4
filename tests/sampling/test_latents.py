"""A trained autoencoder: latents, reconstructions, and what phase 2 gets of it."""

import numpy as np
import pytest
from support.autoencoders import VARIANTS, make_trainer, pictures, train

import minidiff as md
from minidiff.data import to_float
from minidiff.diffusion.latent import perplexity
from minidiff.sampling.latents import encode_images, load_autoencoder, reconstruct, scale_of
from minidiff.training.checkpoint import CheckpointError
from minidiff.training.workers import Workers


@VARIANTS
@pytest.mark.parametrize("count", [1, 2])
def test_reconstructions_and_latents_are_the_models_whatever_the_slices(variant, count):
    model, images = make_trainer(variant).model, pictures(11)
    with Workers(model, count) as workers:
        result, z = reconstruct(workers, images, chunk=3), encode_images(workers, images, chunk=3)
    with md.no_grad():
        expected_z = model.encode(md.Tensor(to_float(images)))
        x_hat = (model.decode(expected_z).data.clip(-1, 1) + 1) / 2
    np.testing.assert_allclose(z, expected_z.data, atol=1e-5)
    np.testing.assert_allclose(result.x_hat, x_hat, atol=1e-5)
    assert result.mse == pytest.approx(((x_hat - images / 255) ** 2).mean(), rel=1e-4)
    if variant == "kl":
        assert result.k is None and np.isnan(result.perplexity(8))
    else:
        np.testing.assert_array_equal(result.k, model.quantizer(expected_z).k)
        assert result.perplexity(8) == perplexity(result.k, 8)


def test_many_codes_have_an_exact_perplexity():
    """A whole data set's: 3 million indices."""
    k = np.arange(3_000_000) % 128
    assert perplexity(k, 128) == pytest.approx(128, rel=0.001)
    assert perplexity(np.repeat(np.arange(128), 23_000), 128) == pytest.approx(128, rel=1e-12)


@VARIANTS
def test_phase_2_gets_latents_of_unit_variance_and_images_back(tmp_path, variant):
    trainer = make_trainer(variant)
    train(trainer, 5)
    images = pictures(30, seed=4)
    with Workers(trainer.model, 1) as workers:
        z, result = encode_images(workers, images), reconstruct(workers, images)
    trainer.save(tmp_path, {"latent_scale": scale_of(z), "note": "kept"})

    trained = load_autoencoder(tmp_path)
    assert type(trained.model) is type(trainer.model) and not trained.model.training
    assert trained.facts["latent_shape"] == [2, 2, 2] and trained.facts["image_shape"] == [1, 8, 8]
    assert trained.facts["options"]["note"] == "kept"
    with Workers(trained.model, 1) as workers:
        scaled = encode_images(workers, images) * np.float32(trained.scale)
    assert scaled.var() == pytest.approx(1, rel=1e-5) and scaled.dtype == np.float32
    x = trained.decode(scaled)
    assert x.dtype == np.float32 and x.min() >= -1 and x.max() <= 1
    np.testing.assert_allclose((x + 1) / 2, result.x_hat, atol=1e-5)


def test_an_autoencoder_whose_training_did_not_end_is_refused(tmp_path):
    trainer = make_trainer()
    train(trainer, 1)
    trainer.save(tmp_path)
    with pytest.raises(CheckpointError, match="this autoencoder has no latent_scale: its training did not end; go on with --resume"):
        load_autoencoder(tmp_path)
