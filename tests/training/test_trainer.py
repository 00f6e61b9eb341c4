"""The loop: Algorithm 1, repeatable, and exactly continued from a checkpoint."""

import numpy as np
import pytest

from minidiff.data import Loader
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.models import UNet, UNetConfig
from minidiff.optim import SGD, AdamW, Muon
from minidiff.sampling.denoiser import load_denoiser
from minidiff.sampling.predictor import eps_predictor, predictor
from minidiff.training.checkpoint import CheckpointError
from minidiff.training.trainer import Trainer, TrainerSettings
from minidiff.training.workers import Workers


def make_trainer(seed=0, T=50, channels=4, optimizer=AdamW, dropout=0.1, images=30, batch_size=8, kind="ddpm", prediction="eps"):
    rng = RNG(seed)
    model = UNet(UNetConfig(1, channels, (1, 2), (False, True), n_heads=2, dropout=dropout), rng)
    pictures = (RNG(1).uniform((images, 1, 8, 8)) * 255).astype(np.uint8)
    loader = Loader(pictures, None, batch_size, rng)
    step = optimizer(model.named_parameters(), lr=1e-3)
    return Trainer(model, make_schedule("cosine", T), loader, step, rng, TrainerSettings(lr_warmup=5, kind=kind, prediction=prediction))


def train(trainer, steps, count=2):
    with Workers(trainer.model, count) as workers:
        iterator = trainer.steps(workers)
        return [next(iterator) for _ in range(steps)][-1]


def arrays_of(trainer):
    arrays = {f"model.{name}": array for name, array in trainer.model.state_dict().items()}
    arrays |= {f"ema.{name}": array for name, array in trainer.ema.average.items()}
    arrays |= {f"{slot}.{name}": array for name, slots in trainer.optimizer.state.items() for slot, array in slots.items()}
    return arrays


@pytest.mark.parametrize("optimizer", [AdamW, Muon])
def test_resume_is_exact_to_the_bit(tmp_path, optimizer):
    settings = {"optimizer": optimizer, "channels": 8}
    whole = make_trainer(**settings)
    train(whole, 20)

    first = make_trainer(**settings)
    train(first, 10)
    first.save(tmp_path)
    second = make_trainer(seed=7, **settings)  # everything that the checkpoint does not bring would show
    second.load(tmp_path)
    train(second, 10)

    expected, got = arrays_of(whole), arrays_of(second)
    assert expected.keys() == got.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)
    np.testing.assert_array_equal(second.losses, whole.losses)
    assert second.step == whole.step == 20
    assert second.optimizer.steps == whole.optimizer.steps
    assert second.rng.state() == whole.rng.state()
    assert second.loader.state() == whole.loader.state()


def test_a_step_has_every_term_and_they_fit_together():
    trainer = make_trainer(dropout=0.0)
    step = train(trainer, 3)
    schedule = trainer.schedule
    assert step.names == ("x_0", "eps", "x_t", "eps_hat", "loss", "gradient_norm")
    assert step.t.shape == (8,) and step.t.min() >= 1 and step.t.max() <= schedule.T
    alpha_bar = schedule.at(step.t).alpha_bar[:, None, None, None]
    np.testing.assert_allclose(step.x_t, np.sqrt(alpha_bar) * step.x_0 + np.sqrt(1 - alpha_bar) * step.eps, atol=1e-5)
    np.testing.assert_allclose(step.loss, ((step.eps - step.eps_hat) ** 2).mean(), rtol=1e-5)
    assert trainer.losses[-1] == step.loss


def test_a_model_may_predict_v_and_samplers_get_its_eps():
    trainer = make_trainer(dropout=0.0, prediction="v")
    step = train(trainer, 2)
    alpha_bar = trainer.schedule.at(step.t).alpha_bar[:, None, None, None]
    v = np.sqrt(alpha_bar) * step.eps - np.sqrt(1 - alpha_bar) * step.x_0
    np.testing.assert_allclose(step.target, v, atol=1e-5)
    np.testing.assert_allclose(step.loss, ((step.predicted - v) ** 2).mean(), rtol=1e-5)

    with Workers(trainer.model, 1) as workers:
        eps_theta = eps_predictor(workers, "v", trainer.schedule)
        v_hat = predictor(workers)(step.x_t, step.t)
        expected = np.sqrt(alpha_bar) * v_hat + np.sqrt(1 - alpha_bar) * step.x_t
        np.testing.assert_allclose(eps_theta(step.x_t, step.t), expected, atol=1e-5)


def test_an_unknown_prediction_is_refused():
    with pytest.raises(ValueError, match="prediction must be one of eps, x_0, mu_tilde, v, got 'noise'"):
        train(make_trainer(prediction="noise"), 1, count=1)


def test_the_number_of_workers_changes_only_the_rounding():
    one, two = make_trainer(dropout=0.0), make_trainer(dropout=0.0)
    train(one, 3, count=1)
    train(two, 3, count=2)
    np.testing.assert_allclose(one.losses, two.losses, rtol=1e-4)


def test_the_loss_falls():
    trainer = make_trainer(dropout=0.0, channels=8)
    train(trainer, 80, count=1)
    assert trainer.losses[-20:].mean() < 0.8 * trainer.losses[:5].mean()


def test_the_learning_rate_warms_up():
    trainer = make_trainer()
    rates = []
    with Workers(trainer.model, 1) as workers:
        for _, _step in zip(range(7), trainer.steps(workers), strict=False):
            rates.append(trainer.optimizer.lr)
    np.testing.assert_allclose(rates, [0.0002, 0.0004, 0.0006, 0.0008, 0.001, 0.001, 0.001])


def test_prepare_makes_the_data_and_the_condition():
    """What latent diffusion adds to the loop: another x_0, and arguments for the model."""
    seen = []
    trainer = make_trainer()
    network = trainer.model.forward

    def forward(x, t, label):
        seen.append((x.shape, label.tolist()))
        return network(x, t)

    trainer.model.forward = forward
    trainer.prepare = lambda x_0, labels, rng: (x_0[:, :, ::2, ::2] * 0.5, {"label": np.arange(len(x_0))})
    train(trainer, 1, count=1)
    assert seen == [((8, 1, 4, 4), list(range(8)))]
    assert trainer.sample_shape == (1, 4, 4)


def test_load_denoiser_has_the_averaged_parameters(tmp_path):
    trainer = make_trainer()
    train(trainer, 4)
    trainer.save(tmp_path, options={"note": "kept"})
    denoiser = load_denoiser(tmp_path, UNet)
    for name, array in denoiser.model.state_dict().items():
        np.testing.assert_array_equal(array, trainer.ema.average[name])
    assert not denoiser.model.training
    assert denoiser.sample_shape == (1, 8, 8)
    assert denoiser.schedule.config == trainer.schedule.config
    assert denoiser.facts["options"] == {"note": "kept"}


@pytest.mark.parametrize(
    "other, message",
    [
        ({"channels": 8}, "its model is .*'n_channels': 4.*, this run's is .*'n_channels': 8"),
        ({"T": 60}, "its schedule is .*'T': 50.*, this run's is .*'T': 60"),
        ({"optimizer": SGD}, "trained with AdamW, this run has SGD"),
        ({"prediction": "v"}, "its prediction is eps, this run's is v"),
        ({"kind": "ldm"}, "this is a checkpoint of kind 'ddpm', wanted is 'ldm'"),
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
    assert another.step == 0
