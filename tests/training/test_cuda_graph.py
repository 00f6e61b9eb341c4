"""Recorded steps, on a GPU and on the stand-in for CuPy, which records what is called, undoes it, and repeats it on the same memory."""

from types import SimpleNamespace

import numpy as np
import pytest

import minidiff
from minidiff.data import Loader
from minidiff.diffusion.ddim import ddim_sample
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.backend import to_cpu, to_device
from minidiff.engine.random import RNG
from minidiff.models import UNet, UNetConfig
from minidiff.optim import SGD, AdamW
from minidiff.sampling.predictor import evaluating
from minidiff.training.cuda_graph import Recorded, RecordedPredictor, RecordedTraining
from minidiff.training.trainer import Trainer, TrainerSettings
from minidiff.training.workers import Workers

SCHEDULE = make_schedule("cosine", 20)


def vector(*values):
    return to_device(np.float32(values), "cuda")


def test_the_third_call_is_recorded_and_later_ones_launch_it(cuda):
    total, calls = vector(0, 0), []

    def add(x, y):
        calls.append(x)
        total.__iadd__(x)
        return (x * y).sum(), total

    recorded = Recorded(add)
    for n in range(1, 7):
        product, _ = recorded(x=vector(n, 1), y=vector(2, 3))
        assert to_cpu(product) == 2 * n + 3
        assert to_cpu(total).tolist() == [n * (n + 1) / 2, n]  # once per call, also in that which records
    assert len(calls) == 3 and recorded.launches == 4 and recorded.reason == ""


def test_each_shape_has_its_own_graph(cuda):
    recorded = Recorded(lambda x: x + 1)
    for _ in range(4):
        assert to_cpu(recorded(x=vector(1, 2))).tolist() == [2, 3]
        assert to_cpu(recorded(x=vector(5))).tolist() == [6]
    assert recorded.launches == 4 and len(recorded._recordings) == 2


def test_it_is_recorded_anew_when_watched_arrays_are_others(cuda):
    weights = [vector(2, 2)]
    recorded = Recorded(lambda x: x * weights[0], lambda: weights)
    for _ in range(4):
        recorded(x=vector(1, 2))
    weights[0] = vector(3, 3)
    results = [to_cpu(recorded(x=vector(1, 2))).tolist() for _ in range(4)]
    assert results == [[3, 6]] * 4 and recorded.launches == 4


@pytest.mark.parametrize(
    "function, reason",
    [
        (lambda x: (x[:, None] * x) @ (x[:, None] * x), "NotImplementedError: calling cuBLAS API during stream capture is currently unsupported"),
        (lambda x: x * float(x.sum()), "RuntimeError: the current stream is capturing"),
        (lambda x: x + to_device(np.float32([1, 1]), "cuda"), "RuntimeError: the current stream is capturing"),
        (lambda x: x + RNG(0, "cuda").normal(2), "RuntimeError: random numbers can't be drawn inside a CUDA graph"),
    ],
)
def test_what_cant_be_recorded_runs_call_by_call_and_says_why(cuda, function, reason):
    recorded = Recorded(function)
    expected = to_cpu(function(vector(1, 2)))
    for n in range(4):
        if n == 2:
            with pytest.warns(UserWarning, match=f"no CUDA graph: this step can't be recorded, so it runs call by call .{reason}"):
                result = recorded(x=vector(1, 2))
        else:
            result = recorded(x=vector(1, 2))
        np.testing.assert_array_equal(to_cpu(result), expected)
    assert recorded.reason.startswith(reason) and recorded.launches == 0


def test_a_product_of_two_vectors_is_recorded(cuda):
    """CuPy multiplies and sums it by kernels of its own, without cuBLAS."""
    recorded = Recorded(lambda x: x @ x)
    for n in range(1, 5):
        assert to_cpu(recorded(x=vector(1, n))) == 1 + n * n
    assert recorded.reason == "" and recorded.launches == 2


def test_arrays_of_a_cpu_are_not_recorded():
    recorded = Recorded(lambda x: x + 1)
    for _ in range(4):
        assert recorded(x=np.float32([1])) == 2
    assert recorded.reason == "CUDA graphs need a GPU, these arrays are numpy's"


def test_a_wrong_index_in_a_graph_gives_nan(cuda):
    table = to_device(np.ones((3, 2), np.float32), "cuda")
    recorded = Recorded(lambda i: minidiff.functional.embedding(i, table).data)
    for index in (0, 1, 2, 0, -1, 2):
        result = to_cpu(recorded(i=to_device(np.array([index]), "cuda")))
        assert np.isnan(result).all() if index < 0 else (result == 1).all()
    assert recorded.launches == 4


def make_trainer(graph, prediction="eps", optimizer=AdamW, dropout=0.0):
    rng = RNG(0)
    model = UNet(UNetConfig(1, 4, (1,), (False,), n_heads=1, dropout=dropout), rng).to("cuda")
    images = (RNG(1).uniform((12, 1, 4, 4)) * 255).astype(np.uint8)
    loader = Loader(images, None, 4, rng, drop_last=True)
    return Trainer(
        model, SCHEDULE, loader, optimizer(model.named_parameters(), lr=1e-2), RNG(5, "cuda"),
        TrainerSettings(lr_warmup=10, graph=graph, prediction=prediction),
    )  # fmt: skip


def train(trainer, steps):
    with Workers(trainer.model, 1) as workers:
        iterator = trainer.steps(workers)
        return [next(iterator) for _ in range(steps)]


def assert_same(a, b):
    np.testing.assert_allclose(a.losses, b.losses, rtol=1e-6)
    for name, array in b.model.state_dict().items():
        np.testing.assert_array_equal(to_cpu(a.model.state_dict()[name]), to_cpu(array), err_msg=name)
        np.testing.assert_array_equal(to_cpu(a.ema.average[name]), to_cpu(b.ema.average[name]), err_msg=name)


@pytest.mark.parametrize("prediction", ["eps", "v", "velocity"])
def test_training_by_a_graph_is_training(cuda, prediction):
    """Over steps in which the learning rate, Adam's corrections and the average's decay change: none may be that of the recording."""
    _, watcher = cuda
    plain, recorded = make_trainer(False, prediction), make_trainer(True, prediction)
    steps = train(plain, 6), train(recorded, 4)
    before = dict(watcher.transfers)
    steps = steps[0], steps[1] + train(recorded, 2)
    assert watcher.transfers["D2H"] == before["D2H"]
    assert recorded.recorded.recorded.reason == "" and recorded.recorded.recorded.launches == 4
    assert_same(recorded, plain)
    for a, b in zip(*steps, strict=True):
        assert set(a.names) == set(b.names)
        for name in a.names:
            np.testing.assert_allclose(to_cpu(a[name]), to_cpu(b[name]), rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_recorded_run_is_continued_from_its_checkpoint(cuda, tmp_path):
    whole, first, second = make_trainer(True), make_trainer(True), make_trainer(True)
    train(whole, 6)
    train(first, 4)
    first.save(tmp_path)
    train(second, 4)  # its graph must see what is loaded now
    second.load(tmp_path)
    train(second, 2)
    assert_same(second, whole)


def test_previews_between_the_steps_change_nothing(cuda):
    plain, recorded = make_trainer(False), make_trainer(True)
    for trainer in (plain, recorded):
        for _ in range(3):
            train(trainer, 2)
            with trainer.ema.applied_to(trainer.model), evaluating(trainer.model):
                predict = RecordedPredictor(trainer.model)
                ddim_sample(predict, (2, 1, 4, 4), SCHEDULE, RNG(3, "cuda"), steps=2, clip=1.0)
    assert_same(recorded, plain)


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"dropout": 0.1}, "random numbers can't be drawn inside a CUDA graph"),
        ({"optimizer": SGD}, "parameters or state are other arrays at every call"),
    ],
)
def test_training_that_cant_be_recorded_goes_on_without(cuda, options, reason):
    trainer = make_trainer(True, **options)
    plain = make_trainer(False, **options)
    with pytest.warns(UserWarning, match=reason):
        train(trainer, 6)
    train(plain, 6)
    assert_same(trainer, plain)
    assert reason in trainer.recorded.recorded.reason


def test_an_update_that_is_not_in_place_is_not_recorded(cuda):
    """A parameter without a gradient: the others are then updated one by one, into new arrays."""
    trainer = make_trainer(True)
    trainer.model.final.bias.requires_grad = False
    with pytest.warns(UserWarning, match="other arrays at every call|in place, which this step of AdamW can't do"):
        train(trainer, 6)
    assert np.isfinite(trainer.losses).all()


def test_sampling_by_a_graph_is_sampling(cuda):
    model = UNet(UNetConfig(1, 4, (1,), (False,), n_heads=1), RNG(0)).to("cuda").eval()
    recorded = RecordedPredictor(model)

    def plain(x_t, t):
        with minidiff.no_grad():
            return model(x_t, t).data

    samples = [to_cpu(ddim_sample(p, (2, 1, 4, 4), SCHEDULE, RNG(3, "cuda"), steps=5, eta=0.5, clip=1.0)) for p in (plain, recorded)]
    np.testing.assert_allclose(*samples, rtol=1e-5, atol=1e-6)
    assert recorded.recorded.launches == 3 and recorded.recorded.reason == ""


def test_a_learned_variance_is_not_recorded():
    """The graph knows L_simple alone; the second output would stay untrained without a word."""
    model = UNet(UNetConfig(1, 8, (1,), (False,), learned_variance=True))
    with pytest.raises(ValueError, match="graph: it records L_simple only, not the loss of a learned variance"):
        RecordedTraining(SimpleNamespace(model=model))


def test_a_loss_with_weights_is_not_recorded():
    settings = TrainerSettings(weighting="min_snr")
    with pytest.raises(ValueError, match="graph: it records L_simple only, not a loss with weights"):
        RecordedTraining(SimpleNamespace(model=UNet(UNetConfig(1, 8, (1,), (False,))), settings=settings))
