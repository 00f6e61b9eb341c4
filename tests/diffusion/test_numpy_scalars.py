"""NumPy scalars as options (eta, clip, s, w, a) work as Python numbers do: float32 stays float32."""

import numpy as np
import pytest

from minidiff.beyond import pairs
from minidiff.diffusion import ddim_sample, ddpm_sample, guidance, make_schedule
from minidiff.diffusion.ddim import ddim_sigma
from minidiff.diffusion.inversion import slerp
from minidiff.diffusion.noise_prediction import clip_x_0
from minidiff.engine.random import RNG

SCHEDULE, SHAPE = make_schedule("linear", 20), (2, 1, 4, 4)
X = RNG(1).normal(SHAPE)


def network(x, t, *y):
    return np.float32(0.1) * x


def gradient(x, t):
    return np.float32(0.2) * x


def ddim(model=network, **options):
    return ddim_sample(model, SHAPE, SCHEDULE, RNG(0), steps=5, **options)


CALLS = {
    "eta of DDIM": lambda a: ddim(eta=a),
    "clip of DDIM": lambda a: ddim(clip=a),
    "clip of DDPM": lambda a: ddpm_sample(network, SHAPE, SCHEDULE, RNG(0), clip=a),
    "clip_x_0": lambda a: clip_x_0(X, 5, X, SCHEDULE, a)[0],
    "s without a classifier": lambda a: ddim(guidance.guide_without_classifier(network, 1, 2, s=a)),
    "w without a classifier": lambda a: ddim(guidance.guide_without_classifier(network, 1, 2, w=a)),
    "s with a classifier": lambda a: ddim(guidance.guide_with_classifier(network, gradient, SCHEDULE, a)),
    "s of a shifted mean": lambda a: ddpm_sample(network, SHAPE, SCHEDULE, RNG(0), guide=guidance.shift_mean(gradient, a)),
    "classifier_mean": lambda a: guidance.classifier_mean(X, 0.5, X, a),
    "classifier_eps": lambda a: guidance.classifier_eps(X, 5, X, SCHEDULE, a),
    "classifier_free_w": lambda a: guidance.classifier_free_w(X, 2 * X, a),
    "classifier_free_s": lambda a: guidance.classifier_free_s(X, 2 * X, a),
    "slerp": lambda a: slerp(X, X[::-1].copy(), a),
    "ddim_sigma": lambda a: ddim_sigma(5, 3, SCHEDULE, a) * X,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16])
def test_a_numpy_scalar_is_the_number(call, kind):
    y = call(kind(0.5))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, call(0.5))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_array_of_no_axis_is_the_number(call):
    y = call(np.array(0.5))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, call(0.5))


@pytest.mark.parametrize("clip", [-1, 0, float("nan"), np.float64(-0.5)])
def test_a_bound_that_is_none_is_refused(clip):
    """-1 would have made every pixel -1 without a word."""
    for call in (CALLS["clip of DDIM"], CALLS["clip of DDPM"], CALLS["clip_x_0"], lambda a: pairs.predict_pair(network, X, 5, SCHEDULE, clip=a)):
        with pytest.raises(ValueError, match=f"sampling: clip must be > 0, or None, got {float(clip):g}"):
            call(clip)
