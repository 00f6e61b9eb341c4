"""Training, checkpoints, sampling and judging with device "cuda", on a GPU and on a stand-in for CuPy: nothing leaks, and no step waits."""

import argparse

import numpy as np
import pytest

from minidiff.cli import add_common_options
from minidiff.data import Loader, draw_digits, to_float
from minidiff.diffusion.ddim import ddim_steps
from minidiff.diffusion.ddpm import ddpm_steps
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.backend import to_cpu
from minidiff.engine.random import RNG
from minidiff.evaluation.judge import judge
from minidiff.evaluation.metrics import loss_per_t, sample_quality
from minidiff.models import Classifier, ClassifierConfig, UNet, UNetConfig
from minidiff.optim import AdamW
from minidiff.sampling.denoiser import load_denoiser
from minidiff.sampling.predictor import evaluating, predictor
from minidiff.training.classification import classifier_steps
from minidiff.training.trainer import Trainer, TrainerSettings
from minidiff.training.workers import Workers

SCHEDULE = make_schedule("cosine", 20)


def make_trainer(device, rng=None, dropout=0.0, **options):
    rng = rng or RNG(0)
    model = UNet(UNetConfig(1, 4, (1, 1), (False, True), n_heads=1, dropout=dropout), rng).to(device)
    images = (RNG(1).uniform((10, 1, 4, 4)) * 255).astype(np.uint8)
    loader = Loader(images, None, 4, rng, drop_last=True)
    optimizer = AdamW(model.named_parameters(), lr=1e-2)
    return Trainer(model, SCHEDULE, loader, optimizer, RNG(5, device), TrainerSettings(lr_warmup=2, **options))


def train(trainer, steps):
    with Workers(trainer.model, 1) as workers:
        iterator = trainer.steps(workers)
        return [next(iterator) for _ in range(steps)]


def test_a_step_reads_nothing_back(cuda):
    cupy, watcher = cuda
    trainer = make_trainer("cuda", RNG(0, "cuda"), dropout=0.1)
    with Workers(trainer.model, 1) as workers:
        iterator = trainer.steps(workers)
        next(iterator)
        before = dict(watcher.transfers)
        for _ in range(2):
            step = next(iterator)
    assert watcher.transfers["D2H"] == before["D2H"]
    assert watcher.transfers["H2D"] - before["H2D"] in (2 * 4, 0)  # the images, t for the network, two look-ups in the schedule
    assert type(step.loss) is type(step.x_t) is type(step.gradient_norm) is cupy.ndarray and type(step.t) is np.ndarray
    assert trainer.losses.shape == (3,) and np.isfinite(trainer.losses).all()
    assert watcher.transfers["D2H"] - before["D2H"] in (1, 0)


def test_it_computes_what_the_cpu_computes(cuda):
    """The same batches, times and noise on both."""
    here, there = make_trainer("cpu"), make_trainer("cuda")
    there.rng.normal = lambda shape, dtype=np.float32: cuda[0].asarray(same.normal(shape, dtype))
    same = RNG(0)
    here.rng.normal = RNG(0).normal
    here.optimizer.eps = there.optimizer.eps = 1e-4  # the bias of the keys has no gradient but rounding, which Adam would enlarge
    train(here, 3)
    train(there, 3)
    np.testing.assert_allclose(there.losses, here.losses, rtol=1e-4)
    for name, array in here.model.state_dict().items():
        np.testing.assert_allclose(to_cpu(there.model.state_dict()[name]), array, rtol=1e-2, atol=1e-4, err_msg=name)


def test_a_continued_run_is_exact(cuda, tmp_path):
    whole, first, second = make_trainer("cuda", dropout=0.1), make_trainer("cuda", dropout=0.1), make_trainer("cuda", RNG(9), dropout=0.1)
    train(whole, 4)
    train(first, 2)
    first.save(tmp_path)
    train(second, 1)  # with vectors of its own already
    second.load(tmp_path)
    train(second, 2)
    np.testing.assert_array_equal(second.losses, whole.losses)
    for name, array in whole.model.state_dict().items():
        np.testing.assert_array_equal(to_cpu(second.model.state_dict()[name]), to_cpu(array), err_msg=name)
        np.testing.assert_array_equal(to_cpu(second.ema.average[name]), to_cpu(whole.ema.average[name]), err_msg=name)


@pytest.mark.parametrize("saved_on, loaded_on", [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_checkpoint_goes_from_one_device_to_another(cuda, tmp_path, saved_on, loaded_on):
    one, other = make_trainer(saved_on), make_trainer(loaded_on, RNG(9))
    train(one, 2)
    one.save(tmp_path)
    other.load(tmp_path)
    for name, array in one.model.state_dict().items():
        np.testing.assert_array_equal(to_cpu(other.model.state_dict()[name]), to_cpu(array))
        np.testing.assert_array_equal(to_cpu(other.ema.average[name]), to_cpu(one.ema.average[name]))
    train(other, 1)
    assert other.step == 3 and np.isfinite(other.losses).all() and next(other.model.parameters()).device[:4] == loaded_on[:4]
    denoiser = load_denoiser(tmp_path, UNet, device=loaded_on)
    assert next(denoiser.model.parameters()).device[:4] == loaded_on[:4]


def test_samplers_read_nothing_back(cuda):
    cupy, watcher = cuda
    model = UNet(UNetConfig(1, 4, (1, 1), (False, False), n_heads=1), RNG(0)).to("cuda")
    rng = RNG(1, "cuda")
    with Workers(model, 1) as workers, evaluating(model):
        for sampler in (ddim_steps(predictor(workers), (2, 1, 4, 4), SCHEDULE, rng, steps=2, eta=1.0, clip=1.0),
                        ddpm_steps(predictor(workers), (2, 1, 4, 4), make_schedule("linear", 2), rng, clip=1.0)):  # fmt: skip
            before = watcher.transfers["D2H"]
            steps = list(sampler)
            assert len(steps) == 2 and type(steps[-1].x_prev) is cupy.ndarray
            assert watcher.transfers["D2H"] == before
        t, loss = loss_per_t(predictor(workers), (RNG(1).uniform((2, 1, 4, 4)) * 255).astype(np.uint8), SCHEDULE, rng, times=2)
    assert t.shape == loss.shape == (4,) and np.isfinite(loss).all()


def test_a_classifier_learns_and_judges_there(cuda):
    labels = np.arange(20) % 10
    images, rng = draw_digits(labels, RNG(0))[:, :, 2:26:2, 2:26:2], RNG(1, "cuda")
    model = Classifier(ClassifierConfig(n_channels=4, n_features=8, image_size=12), rng).to("cuda")
    loader = Loader(images, labels, 10, rng)
    with Workers(model, 1) as workers:
        losses = list(classifier_steps(loader, AdamW(model.named_parameters(), lr=5e-3), rng, 1, workers))
        judgement = judge(workers, to_float(images))
        quality = sample_quality(workers, to_float(images[:5]), images)
    assert len(losses) == 2 and judgement.probabilities.shape == (20, 10) and type(judgement.features) is np.ndarray
    assert np.isfinite(quality.frechet)


def test_the_option_names_the_devices_that_are_there(cuda, capsys):
    parser = argparse.ArgumentParser()
    add_common_options(parser)
    assert parser.parse_args(["--device", "cuda:0"]).device == "cuda:0"
    with pytest.raises(SystemExit):
        parser.parse_args(["--device", "cuda:99"])
    assert "device 'cuda:99': this machine has " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parser.parse_args(["--device", "gpu"])
    assert "device: wanted 'cpu', 'cuda' or 'cuda:N', got 'gpu'" in capsys.readouterr().err
