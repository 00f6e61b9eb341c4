"""Slices of a batch in several processes give the numbers of the whole batch."""

import os
import pickle
import signal
import time

import numpy as np
import pytest

from minidiff import functional as F
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.nn import Dropout, Linear, Sequential
from minidiff.sampling.predictor import evaluating, predictor
from minidiff.training.workers import Workers, slices


def squared_error(model, x, y, scale=1.0):
    return F.mse_loss(model(Tensor(x)), y * scale), (os.getpid(), x.shape)



class Shifted(Linear):
    def forward(self, x, t, shift):
        return super().forward(x) + t[:, None].astype(np.float32) + shift


def training_flag(model, x):
    return model.training, F.linear(x, model.weight).data.sum()


def fail_elsewhere(model, x, caller):
    if os.getpid() != caller:
        raise ValueError("in the other process")
    return "fine"


def die_elsewhere(model, x, caller):
    if os.getpid() != caller:
        os._exit(3)


def pid(model, x):
    return os.getpid()


def test_slices_cut_everything_once():
    for n in (1, 2, 7, 64):
        for parts in (1, 2, 3, 5):
            covered = [i for part in slices(n, parts) for i in range(part.start, part.stop)]
            assert covered == list(range(n))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [5, 12, 13])  # 13 in 3 slices: of unequal size
def test_gradients_are_those_of_the_whole_batch(count, batch_size):
    rng = RNG(0)
    layer = Linear(3, 2, rng=rng)
    for parameter in layer.parameters():
        parameter.data = parameter.data.astype(np.float64)
    x, y = rng.normal((batch_size, 3), np.float64), rng.normal((batch_size, 2), np.float64)
    with Workers(layer, count) as workers:
        for _ in range(2):  # the second time with other parameters: they must reach the other processes
            whole, _ = squared_error(layer, x, y, scale=2.0)
            whole.backward()
            loss, gradients, rest = workers.loss_and_gradients(squared_error, {"x": x, "y": y}, scale=2.0)
            assert len({pid for pid, _ in rest}) == len(rest) == min(count, max(1, batch_size // 4))
            assert sum(shape[0] for _, shape in rest) == batch_size
            np.testing.assert_allclose(loss, whole.item(), rtol=1e-12)
            for name, parameter in layer.named_parameters():
                np.testing.assert_allclose(gradients[name], parameter.grad, rtol=1e-12)
                parameter.assign(parameter.data + 1)
            layer.zero_grad()


def test_a_frozen_parameter_has_no_gradient():
    layer = Linear(3, 2, rng=RNG(0))
    layer.bias.requires_grad = False
    x, y = RNG(1).normal((8, 3)), RNG(2).normal((8, 2))
    with Workers(layer, 2) as workers:
        _, gradients, _ = workers.loss_and_gradients(squared_error, {"x": x, "y": y})
    assert list(gradients) == ["weight"]


def test_dropout_repeats_with_the_seed_and_differs_between_slices():
    model = Sequential(Dropout(0.5), Linear(50, 1, bias=False))
    for parameter in model.parameters():
        parameter.data = np.ones_like(parameter.data)
    x, y = np.ones((8, 50), np.float32), np.zeros((8, 1), np.float32)
    with Workers(model, 2) as workers:
        first, second, other = (workers.loss_and_gradients(squared_error, {"x": x, "y": y}, seed)[1]["1.weight"] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_predictor_is_the_model_whatever_the_slices_and_chunks():
    layer = Shifted(3, 3, rng=RNG(0))
    x, t, shift = RNG(1).normal((21, 3)), np.arange(21), RNG(2).normal((21, 3))
    expected = layer(x, t, shift).data
    for count, chunk in ((1, 64), (2, 64), (2, 4), (3, 1)):
        with Workers(layer, count) as workers:
            np.testing.assert_allclose(predictor(workers, chunk, shift=shift)(x, t), expected, rtol=1e-6)


def test_the_mode_reaches_the_others():
    layer = Linear(3, 2)
    with Workers(layer, 2) as workers:
        x = np.ones((8, 3), np.float32)
        assert [flag for flag, _ in workers.map(training_flag, {"x": x})] == [True, True]
        with evaluating(layer):
            assert [flag for flag, _ in workers.map(training_flag, {"x": x})] == [False, False]
        assert layer.training


def test_an_error_in_another_process_reaches_the_caller_and_work_goes_on():
    with Workers(Linear(3, 2), 2) as workers:
        x = np.ones((8, 3), np.float32)
        with pytest.raises(ValueError, match="in the other process") as error:
            workers.map(fail_elsewhere, {"x": x}, caller=os.getpid())
        assert "fail_elsewhere" in str(error.value.__cause__)
        assert len(set(workers.map(pid, {"x": x}))) == 2


def test_a_process_that_dies_is_reported():
    with Workers(Linear(3, 2), 2) as workers, pytest.raises(RuntimeError, match=r"a worker process ended \(exit code 3\)"):
        workers.map(die_elsewhere, {"x": np.ones((8, 3), np.float32)}, caller=os.getpid())


def test_ctrl_c_leaves_the_others_alone_and_they_end_with_the_caller():
    x = np.ones((12, 3), np.float32)
    with Workers(Linear(3, 2), 3) as workers:
        _, *others = workers.map(pid, {"x": x})
        for other in others:
            os.kill(other, signal.SIGINT)
        assert workers.map(pid, {"x": x})[1:] == others
        start = time.monotonic()
    assert time.monotonic() - start < 5
    for other in others:
        with pytest.raises(ProcessLookupError):
            os.kill(other, 0)


def test_a_model_can_be_sent_where_processes_do_not_fork():
    layer = Linear(3, 2, rng=RNG(4))
    copy = pickle.loads(pickle.dumps(layer))
    np.testing.assert_array_equal(copy.weight.data, layer.weight.data)
    assert copy.weight.requires_grad


def test_bad_count():
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        Workers(Linear(1, 1), 0)
    for wrong in (1.5, "2", True):
        with pytest.raises(TypeError, match=rf"Workers: count must be an int in 1..256, got {wrong!r}"):
            Workers(Linear(1, 1), wrong)
    assert Workers(Linear(1, 1), np.int64(1)).count == 1
