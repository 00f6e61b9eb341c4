"""Phase 2: captions for the loop, guidance for the samplers, and what belongs together on the disk."""

import numpy as np
import pytest

from minidiff.data import Captions, Loader, make_digits
from minidiff.diffusion.ddim import ddim_sample
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.backend import to_cpu, to_device
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models import (
    KLAutoencoder,
    KLConfig,
    TextUNet,
    TextUNetConfig,
    VQAutoencoder,
    VQConfig,
)
from minidiff.optim import AdamW
from minidiff.sampling.latents import encode_images
from minidiff.sampling.text_to_image import KIND, guided_by_text, load_text_to_image
from minidiff.training.autoencoder_trainer import AutoencoderTrainer
from minidiff.training.checkpoint import CheckpointError
from minidiff.training.text_condition import with_captions
from minidiff.training.trainer import Trainer, TrainerSettings
from minidiff.training.workers import Workers

DIGITS = make_digits(60, seed=0)
CAPTIONS = Captions.of(DIGITS)


def autoencoder_trainer(model):
    loader = Loader(DIGITS.images, DIGITS.labels, 8, RNG(0))
    return AutoencoderTrainer(model, loader, AdamW(model.named_parameters(), lr=1e-3), RNG(0))


def text_trainer(z, seed=0):
    rng = RNG(seed)
    model = TextUNet(TextUNetConfig(
        {"image_channels": z.shape[1], "n_channels": 8, "ch_mults": (1,), "is_attn": (True,), "n_heads": 2},
        {"n_words": len(CAPTIONS.vocabulary), "max_length": CAPTIONS.max_words, "d": 8, "n_heads": 2, "n_layers": 1},
    ), rng)  # fmt: skip
    loader = Loader(z, CAPTIONS.facts(DIGITS.images, DIGITS.labels), 8, rng, n_classes=None, value_range=None)
    optimizer = AdamW(model.named_parameters(), lr=1e-3)
    return Trainer(model, make_schedule("cosine", 20), loader, optimizer, rng, TrainerSettings(kind=KIND), with_captions(CAPTIONS, 0.3))


@pytest.fixture(scope="module")
def latents():
    with Workers(VQAutoencoder(VQConfig(n_channels=8), RNG(0)), 1) as workers:
        return encode_images(workers, DIGITS.images)


def test_captions_are_drawn_anew_true_and_sometimes_dropped(latents):
    facts = CAPTIONS.facts(DIGITS.images, DIGITS.labels)
    prepare, rng = with_captions(CAPTIONS, p_uncond=0.25), RNG(0)
    null = CAPTIONS.null
    dropped, seen = 0, set()
    for _ in range(20):
        z_0, condition = prepare(latents, facts, rng)
        assert z_0 is latents
        for row, label in zip(condition["tokens"], facts[:, 0], strict=True):
            if (row == null).all():
                dropped += 1
            else:
                text = CAPTIONS.vocabulary.decode(row)
                assert text.split()[-1] == CAPTIONS.nouns[label]
                seen.add(text)
    assert dropped / (20 * len(facts)) == pytest.approx(0.25, abs=0.04)
    assert len(seen) > 30
    with pytest.raises(ValueError, match=r"with_captions: p_uncond must be in \[0, 1\], got 1.5"):
        with_captions(CAPTIONS, p_uncond=1.5)


def test_captions_are_dropped_on_a_gpu_as_well(latents, cuda):
    facts = CAPTIONS.facts(DIGITS.images, DIGITS.labels)
    null = CAPTIONS.null
    _, condition = with_captions(CAPTIONS, p_uncond=0.5)(to_device(latents, "cuda"), facts, RNG(0, "cuda"))
    assert type(condition["tokens"]) is cuda[0].ndarray
    tokens = to_cpu(condition["tokens"])
    dropped = (tokens == null).all(axis=1)
    assert 0 < dropped.sum() < len(dropped)
    assert all(CAPTIONS.vocabulary.decode(row).split()[-1] in CAPTIONS.nouns for row in tokens[~dropped])


def test_the_loop_of_the_pixel_model_trains_on_latents_and_words_and_resumes_exactly(latents, tmp_path):
    whole, first, second = text_trainer(latents), text_trainer(latents), text_trainer(latents, seed=9)

    def train(trainer, steps):
        with Workers(trainer.model, 2) as workers:
            iterator = trainer.steps(workers)
            for _ in range(steps):
                next(iterator)

    train(whole, 6)
    train(first, 3)
    first.save(tmp_path)
    second.load(tmp_path)
    train(second, 3)
    for name, array in whole.model.state_dict().items():
        np.testing.assert_array_equal(second.model.state_dict()[name], array, err_msg=name)
    np.testing.assert_array_equal(second.losses, whole.losses)


def test_guidance_is_the_equation_on_the_model_with_and_without_words(latents):
    model, schedule = text_trainer(latents).model, make_schedule("cosine", 20)
    prompts = ["a thick seven", "two", "a slanted zero"]
    tokens, null = CAPTIONS.encode(prompts), CAPTIONS.null
    z_t, t = RNG(3).normal((3, *latents.shape[1:])), np.array([5, 11, 20])
    with_words = model(z_t, t, tokens).data
    without = model(z_t, t, np.tile(null, (3, 1))).data
    with Workers(model, 1) as workers:
        for s in (0.0, 1.0, 2.5):
            eps_hat = guided_by_text(workers, "eps", schedule, CAPTIONS, prompts, s)(z_t, t)
            np.testing.assert_allclose(eps_hat, without + s * (with_words - without), atol=1e-6)


def test_what_training_wrote_samples_from_prompts(latents, tmp_path):
    of_latents, of_images = text_trainer(latents), autoencoder_trainer(VQAutoencoder(VQConfig(n_channels=8), RNG(0)))
    of_latents.save(tmp_path / "checkpoint", {"captions": CAPTIONS.config, "latent_scale": 2.0})
    of_images.save(tmp_path / "autoencoder", {"latent_scale": 2.0})
    model = load_text_to_image(tmp_path)
    with Workers(model.denoiser.model, 1) as workers:
        eps_theta = model.eps_theta(workers, ["a thin eight", ""], guidance=3.0)
        z_0 = ddim_sample(eps_theta, (2, *model.denoiser.sample_shape), model.denoiser.schedule, RNG(0), steps=4)
    x_0 = model.autoencoder.decode(z_0)
    assert x_0.shape == (2, 1, 28, 28) and np.abs(x_0).max() <= 1
    expected = of_images.model.decode(Tensor(z_0 / 2.0)).data.clip(-1, 1)
    np.testing.assert_allclose(x_0, expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"'eihgt' is not a known word; did you mean 'eight'\? Known are: a, an, "):
        model.captions.encode(["a thin eihgt"])


def test_a_model_and_an_autoencoder_of_other_latents_are_refused(latents, tmp_path):
    text_trainer(latents).save(tmp_path / "checkpoint", {"captions": CAPTIONS.config})
    other = autoencoder_trainer(KLAutoencoder(KLConfig(n_channels=8, z_channels=3)))
    other.save(tmp_path / "autoencoder", {"latent_scale": 1.0})
    with pytest.raises(CheckpointError, match=r"the model makes latents \(4, 7, 7\), its autoencoder wants \(3, 7, 7\)"):
        load_text_to_image(tmp_path)
    same = autoencoder_trainer(VQAutoencoder(VQConfig(n_channels=8)))
    same.save(tmp_path / "autoencoder", {"latent_scale": 1.5})
    text_trainer(latents).save(tmp_path / "checkpoint", {"captions": CAPTIONS.config, "latent_scale": 2.5})
    with pytest.raises(CheckpointError, match="the model's latents have the scale 2.5, its autoencoder's 1.5: another one"):
        load_text_to_image(tmp_path)
    other.save(tmp_path / "checkpoint")
    with pytest.raises(CheckpointError, match="this is a checkpoint of kind 'autoencoder', wanted is 'ldm'"):
        load_text_to_image(tmp_path)
