import io
import re
import sys

import numpy as np
import pytest

from minidiff.classroom.sources import make_source, steps_of
from minidiff.classroom.walk import Walker, picture
from minidiff.data import Captions, Loader, draw_digits, make_digits
from minidiff.diffusion.ddpm import ddpm_steps
from minidiff.diffusion.schedule import make_schedule
from minidiff.diffusion.targets import eps_from_v
from minidiff.engine.elementwise import plain
from minidiff.engine.printing import show
from minidiff.engine.random import RNG
from minidiff.models import TextUNet, TextUNetConfig, UNet, UNetConfig, VQAutoencoder, VQConfig
from minidiff.optim import AdamW
from minidiff.sampling.text_to_image import KIND
from minidiff.training.autoencoder_trainer import AutoencoderTrainer
from minidiff.training.text_condition import with_captions
from minidiff.training.trainer import Trainer, TrainerSettings


def walk(commands, algorithm="ddpm", T=20, **options):
    """What the terminal shows for these lines of input."""
    source = make_source("oracle", T)
    out = io.StringIO()
    steps = steps_of(algorithm, source, RNG(0), **options)
    walker = Walker(steps, source.schedule, stdin=io.StringIO(commands), stdout=out)
    walker.cmdloop()
    return out.getvalue(), walker


def test_next_and_back_go_through_the_steps_and_keep_them():
    text, walker = walk("next\nn 3\nback 2\nq\n")
    assert walker.step.t == 18 and [step.t for step in walker.seen] == [20, 19, 18, 17, 16]
    for t in (19, 16, 18):
        assert f"Step ddpm, t = {t}" in text


def test_t_jumps_forwards_and_back_and_says_where_there_is_none():
    text, walker = walk("t 5\nt 18\nt 0\nq\n")
    assert walker.step.t in (1, 18) and "no step at t = 0; the steps so far are t = 20 .. 1" in text


def test_print_shows_the_values_of_a_term():
    text, walker = walk("p sigma_t\nprint nothing\nq\n")
    assert f"sigma_t = {walker.step.sigma_t:.6g}" in text
    assert "this ddpm step has no term 'nothing'; it has x_t, eps_hat, x_0_hat, mu, sigma_t, z, x_prev" in text


def test_the_end_is_announced_and_an_empty_line_is_next():
    text, walker = walk("\n\nn 100\n")
    assert walker.step.t == 1 and "that was the last step" in text


def test_unknown_commands_are_answered_with_the_known():
    text, _ = walk("jump\nq\n")
    assert "no command is called 'jump'. n(ext) [k], b(ack) [k]" in text


def test_break_opens_the_debugger_in_the_algorithm_with_the_terms_of_the_step():
    text, walker = walk("n\nbreak\np t\np x_prev\ns\ns\np t\nc\np x_t\nq\n")
    before, after = walker.seen[1], walker.seen[2]
    stops = re.findall(r"> (minidiff/diffusion/\S+):\d+ (\w+)\(\)\n", text)
    assert stops == [("minidiff/diffusion/ddpm.py", "ddpm_steps")] * 3
    said = text.split("(minidiff) ")
    assert said[1] == "19\n" and said[2] == f"{show(before.x_prev)}\n" and said[5] == "18\n"
    assert walker.step is after and text.count("Step ddpm, t = 18") == 1
    assert f"x_t = {show(after.x_t)}" in text, "c comes back to the walk"
    assert sys.gettrace() is None or "minidiff" not in repr(sys.gettrace())


def test_break_at_the_end_says_that_it_is_the_end():
    text, _ = walk("n 19\nbreak\nc\nq\n")
    assert "that was the last step" in text


def test_the_coefficients_of_the_step_stand_below_its_terms():
    text, walker = walk("n\np alpha_bar_t\np beta_t\nq\n")
    schedule = make_schedule("linear", 20)
    for name in ("beta", "alpha", "alpha_bar", "beta_tilde"):
        assert f"  {name + '_t':16} {schedule.tables[name][19]:.6g}\n" in text
    assert f"  {'1 - alpha_bar_t':16} {schedule.at(19).one_minus_alpha_bar:.6g}\n" in text
    assert f"  {'alpha_bar_t_prev':16} {schedule.at(18).alpha_bar:.6g}\n" in text
    assert f"alpha_bar_t = {schedule.at(19).alpha_bar:.6g}\n" in text


def test_a_jump_of_ddim_shows_alpha_bar_where_it_lands_and_training_each_images_own():
    text, walker = walk("n\nq\n", "ddim", steps=4)
    expected = walker.schedule.at(walker.step.t_prev).alpha_bar
    assert f"  {'alpha_bar_t_prev':16} {expected:.6g}\n" in text
    text, walker = walk("n\nq\n", "train", n=2)
    assert f"  {'alpha_bar_t':16} {show(walker.schedule.at(walker.step.t).alpha_bar)}\n" in text


def test_the_walk_shows_what_the_sampler_yields():
    source = make_source("oracle", 20)
    expected = list(ddpm_steps(source.eps_theta, (1, 2), source.schedule, RNG(0)))
    _, walker = walk("n 19\nq\n")
    np.testing.assert_array_equal(walker.step.x_prev, expected[-1].x_prev)


@pytest.mark.parametrize("algorithm", ["ddim", "train"])
def test_ddim_and_training_walk_too(algorithm):
    text, walker = walk("n\nq\n", algorithm, steps=5 if algorithm == "ddim" else None, t=7 if algorithm == "train" else None)
    assert f"Step {algorithm}, t = " in text
    if algorithm == "train":
        assert "(train t = 7) " in text and walker.step.t.tolist() == [7] and "loss" in walker.step.names


def test_training_without_a_t_draws_one_per_image():
    source = make_source("oracle", 20)
    step = next(steps_of("train", source, RNG(0), n=50))
    assert len(set(step.t.tolist())) > 5


def test_the_digits_are_images_and_are_drawn_in_characters():
    source = make_source("digits", 10)
    step = list(steps_of("ddim", source, RNG(0), steps=3))[-1]
    assert step.x_prev.shape == (1, 1, 28, 28)
    drawn = picture(step.x_prev)
    assert len(drawn.splitlines()) == 14 and all(len(line) == 28 for line in drawn.splitlines()) and "@" in drawn
    assert picture(-np.ones((1, 1, 4, 4))) == "\n".join(["    "] * 4)


@pytest.mark.parametrize("algorithm", ["heun", "dpm++", "sa", "flow-euler", "flow-heun"])
def test_a_solver_is_walked_from_the_noise_to_the_data(algorithm):
    steps = list(steps_of(algorithm, make_source("oracle", 50), RNG(0), n=3, steps=4))
    assert [step.t for step in steps] == [50, 34, 17, 1] and steps[-1].t_prev == 0
    assert steps[0].algorithm == algorithm and steps[-1].x_prev.shape == (3, 2)


def test_an_unknown_algorithm_is_an_error():
    with pytest.raises(ValueError, match="the algorithm must be one of ddpm, ddim, heun, dpm.., sa, flow-euler, flow-heun, train, got 'edm'"):
        next(steps_of("edm", make_source("oracle", 5), RNG(0)))


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_a_checkpoint_is_walked_whatever_its_network_predicts(tmp_path, prediction):
    rng = RNG(0)
    model = UNet(UNetConfig(1, 8, (1, 1), (False, False), n_heads=1), rng)
    loader = Loader(draw_digits(np.arange(8) % 10, rng), None, 4, rng)
    schedule = make_schedule("cosine", 5)
    trainer = Trainer(model, schedule, loader, AdamW(model.named_parameters()), rng, TrainerSettings(prediction=prediction))
    trainer.save(tmp_path)
    source = make_source(str(tmp_path))
    steps = list(steps_of("ddpm", source, RNG(1)))
    assert [step.t for step in steps] == [5, 4, 3, 2, 1] and steps[0].x_t.shape == (1, 1, 28, 28)
    x_t, t = RNG(2).normal((2, 1, 28, 28)), np.array([2, 5])
    output = model(x_t, t).data
    expected = output if prediction == "eps" else eps_from_v(x_t, t, output, schedule)
    np.testing.assert_allclose(plain(source.eps_theta(x_t, t)), expected, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def latent_run(tmp_path_factory):
    """A folder as train_mnist_ldm.py writes it, untrained."""
    folder, digits = tmp_path_factory.mktemp("ldm"), make_digits(60, seed=0)
    captions, autoencoder = Captions.of(digits), VQAutoencoder(VQConfig(n_channels=8), RNG(0))
    images = Loader(digits.images, digits.labels, 8, RNG(0))
    AutoencoderTrainer(autoencoder, images, AdamW(autoencoder.named_parameters()), RNG(0)).save(folder / "autoencoder", {"latent_scale": 2.0})
    unet = {"image_channels": autoencoder.config.z_channels, "n_channels": 8, "ch_mults": (1,), "is_attn": (True,), "n_heads": 1}
    words = {"n_words": len(captions.vocabulary), "max_length": captions.max_words, "d": 8, "n_heads": 1, "n_layers": 1}
    model = TextUNet(TextUNetConfig(unet, words), RNG(0))
    latents = Loader(np.zeros((60, autoencoder.config.z_channels, 7, 7), np.float32), captions.facts(digits.images, digits.labels), 8, RNG(0), n_classes=None, value_range=None)
    settings = TrainerSettings(kind=KIND)
    trainer = Trainer(model, make_schedule("cosine", 5), latents, AdamW(model.named_parameters()), RNG(0), settings, with_captions(captions, 0.3))
    trainer.save(folder / "checkpoint", {"captions": captions.config, "latent_scale": 2.0})
    return folder


@pytest.mark.parametrize("algorithm", ["ddpm", "ddim", "train"])
def test_a_latent_checkpoint_is_walked_and_its_latents_are_drawn_decoded(latent_run, algorithm):
    source, out = make_source(str(latent_run), prompt="a thin eight", guidance=2.0), io.StringIO()
    steps = steps_of(algorithm, source, RNG(0), n=2, t=3 if algorithm == "train" else None)
    term = "x_t" if algorithm == "train" else "x_prev"
    walker = Walker(steps, source.schedule, source.decode, stdin=io.StringIO(f"p {term}\nq\n"), stdout=out)
    walker.cmdloop()
    assert walker.step[term].shape == (2, *source.shape)
    assert picture(source.decode(walker.step[term])) in out.getvalue()
    assert len(picture(source.decode(walker.step[term])).splitlines()) == 14, "28 x 28 pixels, not the latent"


def test_a_word_that_the_latent_model_does_not_know_is_told_at_once(latent_run):
    with pytest.raises(ValueError, match="elephant"):
        make_source(str(latent_run), prompt="an elephant")
