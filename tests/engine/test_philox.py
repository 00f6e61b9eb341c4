"""Philox against the published test vectors, and the distributions that are made of its words."""

import numpy as np
import pytest

from minidiff.engine import philox
from minidiff.engine.backend import to_cpu
from minidiff.engine.random import RNG

# "kat_vectors" of Random123, the authors' own code: counter, key, result
PUBLISHED = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]  # fmt: skip


@pytest.mark.parametrize("counter, key, result", PUBLISHED)
def test_published_vectors(counter, key, result):
    assert philox.philox(np.array(counter, np.uint32), tuple(key)).tolist() == result


def test_the_stream_continues_across_draws_and_beyond_32_bits():
    whole = philox.words((1, 2), 2**32 - 3, 6)
    np.testing.assert_array_equal(np.concatenate([philox.words((1, 2), 2**32 - 3, 2), philox.words((1, 2), 2**32 - 1, 4)]), whole)
    np.testing.assert_array_equal(whole[3], philox.philox(np.array([0, 1, 0, 0], np.uint32), (1, 2)))
    assert len(np.unique(philox.words((1, 2), 0, 10_000), axis=0)) == 10_000


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniforms_stay_in_their_interval(dtype):
    extremes = np.array([[0, 0, 0, 0], [0xFFFFFFFF] * 4], np.uint32)
    below_1, above_0 = philox.uniforms(extremes, dtype), philox.uniforms(extremes, dtype, above_0=True)
    assert below_1.dtype == above_0.dtype == dtype and below_1.shape == (2, philox.LANES[dtype])
    assert below_1.min() == 0 and below_1.max() < 1 and above_0.min() > 0 and above_0.max() == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_numbers_are_standard_normal(dtype):
    z = philox.draw(np, True, (7, 8), 0, (200_000,), dtype).astype(np.float64)
    assert z.dtype == np.float64 and np.isfinite(z).all()
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        assert abs((z**power).mean() - moment) < 0.06, power
    assert abs((z < 1).mean() - 0.8413447) < 0.003
    pairs = z.reshape(-1, 2)
    assert abs((pairs[:, 0] * pairs[:, 1]).mean()) < 0.01 and abs((z[:-4] * z[4:]).mean()) < 0.01


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("normal", [True, False])
def test_the_cuda_kernels_give_the_same(cuda, dtype, normal):
    """Their C++, compiled for this machine."""
    cupy, watcher = cuda
    for start, shape in ((0, (5, 7)), (2**32 - 2, (33,)), (9, ()), (1, (0, 3))):
        drawn = philox.draw(cupy, normal, (3, 2**31 + 5), start, shape, dtype)
        assert type(drawn) is cupy.ndarray and drawn.shape == shape and drawn.dtype == dtype
        expected = philox.draw(np, normal, (3, 2**31 + 5), start, shape, dtype)
        rtol, atol = (1e-5, 1e-6) if dtype == "float32" else (1e-13, 1e-15)
        np.testing.assert_allclose(to_cpu(drawn), expected, rtol=rtol, atol=atol)
    assert watcher.transfers["H2D"] == 0


def test_no_numbers_are_drawn_inside_of_a_graph(cuda):
    cupy, _ = cuda
    rng = RNG(0, "cuda")
    with cupy.cuda.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        with pytest.raises(RuntimeError, match="random numbers can't be drawn inside a CUDA graph"):
            rng.normal(3)
        stream.end_capture()
