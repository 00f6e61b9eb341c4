"""Exact checks of the deck's formulas that live in the layers."""

import math

import numpy as np
import pytest

from minidiff.classroom.index import get_equation
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models.unet_blocks import TimeEmbedding


def value_of(id, *args):
    y, _ = get_equation(id).function(*args)
    return y


@pytest.mark.checks("unet.swish")
def test_swish_by_the_library_s_exponential():
    x = np.linspace(-30, 30, 61)
    np.testing.assert_allclose(value_of("unet.swish", x), [v / (1 + math.exp(-v)) for v in x], rtol=1e-12, atol=1e-14)


@pytest.mark.checks("unet.group_norm")
def test_group_norm_by_a_loop_over_the_groups():
    rng = RNG(0)
    x, weight, bias = rng.normal((2, 6, 3, 3), np.float64), rng.normal((6,), np.float64), rng.normal((6,), np.float64)
    y = value_of("unet.group_norm", x, 3, weight, bias)
    for n in range(2):
        for g in range(3):
            values = x[n, 2 * g : 2 * g + 2].ravel().tolist()
            mean = math.fsum(values) / 18
            variance = math.fsum((v - mean) ** 2 for v in values) / 18
            for c in (2 * g, 2 * g + 1):
                expected = (x[n, c] - mean) / math.sqrt(variance + 1e-5) * weight[c] + bias[c]
                np.testing.assert_allclose(y[n, c], expected, rtol=1e-11, atol=1e-12)


@pytest.mark.checks("unet.time_embedding")
def test_the_time_embedding_is_the_slide_s_sines_and_cosines_through_the_mlp():
    """In float64, with a first layer that only notes what comes in."""
    embedding = TimeEmbedding(32, RNG(0))
    seen = []
    embedding.lin1 = lambda x: seen.append(x.data) or Tensor(np.zeros((2, 32)))
    embedding.lin1.weight = Tensor(np.zeros((32, 8)))
    embedding.lin2 = lambda x: x
    get_equation("unet.time_embedding").function(embedding, np.array([3, 997]))
    d = 4
    for row, t in zip(seen[0], (3, 997), strict=True):
        expected = [f(t / 10000 ** (i / (d - 1))) for f in (math.sin, math.cos) for i in range(d)]
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-12)


@pytest.mark.checks("ldm.attention")
def test_attention_by_a_loop_over_queries_and_keys():
    rng = RNG(1)
    Q, K, V = (rng.normal(shape, np.float64) for shape in ((1, 3, 4), (1, 5, 4), (1, 5, 2)))
    y = value_of("ldm.attention", Q, K, V)
    for n in range(3):
        scores = [math.exp(sum(a * b for a, b in zip(Q[0, n], K[0, m], strict=True)) / math.sqrt(4)) for m in range(5)]
        expected = sum(s * V[0, m] for m, s in enumerate(scores)) / sum(scores)
        np.testing.assert_allclose(y[0, n], expected, rtol=1e-12)
