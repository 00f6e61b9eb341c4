"""The VQ layer: which code, in which place, and where gradients go."""

import math

import numpy as np
import pytest

import minidiff as md
from minidiff.models.quantizer import VectorQuantizer


def latents(*shape):
    return md.Tensor(md.RNG(1).normal(shape), requires_grad=True)


def test_every_pixel_gets_the_nearest_code():
    layer, z_e = VectorQuantizer(6, 3, rng=md.RNG(0)), latents(2, 3, 4, 5)
    z_q, vectors, e, k = layer(z_e)
    codes = layer.codebook.data
    assert z_q.shape == z_e.shape and vectors.shape == e.shape == (40, 3) and k.shape == (40,)
    for n, (b, i, j) in enumerate(np.ndindex(2, 4, 5)):
        z = z_e.data[b, :, i, j]
        nearest = min(range(6), key=lambda number, z=z: math.dist(z, codes[number]))
        assert k[n] == nearest
        np.testing.assert_array_equal(vectors.data[n], z)
        np.testing.assert_array_equal(e.data[n], codes[nearest])
        np.testing.assert_allclose(z_q.data[b, :, i, j], codes[nearest], atol=1e-6)
    assert len(set(k.tolist())) > 2  # else the order of the pixels would not show


def test_a_code_is_its_own_nearest():
    layer = VectorQuantizer(5, 2, rng=md.RNG(0))
    np.testing.assert_array_equal(layer(md.Tensor(layer.codebook.data.T[None, :, None, :])).k, np.arange(5))


@pytest.mark.parametrize("ema", [False, True])
def test_straight_through_the_gradient_passes_unchanged_and_misses_the_codes(ema):
    """dL/dz_e = dL/dz_q to the bit, for a loss whose gradient depends on z_q."""
    layer, z_e = VectorQuantizer(6, 3, ema=ema, rng=md.RNG(0)), latents(2, 3, 2, 2)
    z_q = layer(z_e).z_q.retain_grad()
    (z_q**3).sum().backward()
    assert np.abs(z_q.grad).min() > 0
    np.testing.assert_array_equal(z_e.grad, z_q.grad)
    assert layer.codebook.grad is None


def test_codes_feel_every_vector_that_chose_them_unless_they_are_running_means():
    layer, z_e = VectorQuantizer(3, 2, rng=md.RNG(0)), latents(2, 2, 3, 3)
    quantized = layer(z_e)
    weight = md.RNG(2).normal((18, 2))
    (quantized.e * md.Tensor(weight)).sum().backward()
    expected = [sum((weight[n] for n in range(18) if quantized.k[n] == i), np.zeros(2)) for i in range(3)]
    np.testing.assert_allclose(layer.codebook.grad, expected, rtol=1e-5)
    assert not VectorQuantizer(3, 2, ema=True)(z_e).e.requires_grad


def test_one_seed_gives_one_codebook():
    one, same, other = (VectorQuantizer(4, 3, rng=md.RNG(seed)).codebook.data for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert repr(VectorQuantizer(4, 3)) == "VectorQuantizer(4 codes of 3)"


@pytest.mark.parametrize("shape", [(2, 4, 2, 2), (2, 3, 2), (3,)])
def test_latents_that_do_not_fit(shape):
    with pytest.raises(ValueError, match=r"VectorQuantizer: z_e must be \(B, 3, h, w\), got shape \(" + str(shape[0])):
        VectorQuantizer(6, 3)(latents(*shape))


@pytest.mark.parametrize("n_codes, code_size", [(1, 3), (4, 0)])
def test_impossible_codebooks(n_codes, code_size):
    message = f"n_codes must be >= 2 and code_size >= 1, got {n_codes} and {code_size}"
    with pytest.raises(ValueError, match=message):
        VectorQuantizer(n_codes, code_size)
