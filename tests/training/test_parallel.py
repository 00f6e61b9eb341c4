"""Slices of a batch in threads give the numbers of the whole batch."""

import numpy as np
import pytest

from minidiff import functional as F
from minidiff import no_grad
from minidiff.nn import Linear
from minidiff.random import RNG
from minidiff.tape import is_recording
from minidiff.tensor import Tensor
from minidiff.training.parallel import Workers, loss_and_gradients, predictor, slices


def test_slices_cut_everything_once():
    for n in (1, 2, 7, 64):
        for parts in (1, 2, 3, 5):
            covered = [i for part in slices(n, parts) for i in range(part.start, part.stop)]
            assert covered == list(range(n))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [5, 12, 13])  # 13 in 3 slices: of unequal size
def test_gradients_are_those_of_the_whole_batch(threads, batch_size):
    rng = RNG(0)
    layer = Linear(3, 2, rng=rng)
    for parameter in layer.parameters():
        parameter.data = parameter.data.astype(np.float64)
    x, y = rng.normal((batch_size, 3), np.float64), rng.normal((batch_size, 2), np.float64)
    whole = F.mse_loss(layer(Tensor(x)), y)
    whole.backward()

    with Workers(threads) as workers:
        loss, gradients, parts = loss_and_gradients(
            workers, lambda part: (F.mse_loss(layer(Tensor(x[part])), y[part]), part), dict(layer.named_parameters()), batch_size
        )
    assert len(parts) == min(threads, max(1, batch_size // 4))
    np.testing.assert_allclose(loss, whole.item(), rtol=1e-12)
    for name, parameter in layer.named_parameters():
        np.testing.assert_allclose(gradients[name], parameter.grad, rtol=1e-12)


def test_threads_see_the_callers_context_and_errors_reach_the_caller():
    with Workers(2) as workers, no_grad():
        assert workers.map(lambda part: is_recording(), 16) == [False, False]

    def fails(part):
        raise ValueError("in a thread")

    with Workers(2) as workers, pytest.raises(ValueError, match="in a thread"):
        workers.map(fails, 16)


def test_predictor_is_the_model_whatever_the_chunks():
    layer = Linear(3, 3, rng=RNG(0))

    def model(x, t, shift):
        return layer(Tensor(x)) + t[:, None].astype(np.float32) + shift

    x, t, shift = RNG(1).normal((21, 3)), np.arange(21), RNG(2).normal((21, 3))
    expected = model(x, t, shift).data
    for threads, chunk in ((1, 64), (2, 64), (2, 4), (3, 1)):
        with Workers(threads) as workers:
            eps_theta = predictor(model, workers, chunk, shift=shift)
            np.testing.assert_allclose(eps_theta(x, t), expected, rtol=1e-6)


def test_bad_thread_count():
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        Workers(0)
