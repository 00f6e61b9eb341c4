import threading

import numpy as np
import pytest

from minidiff.kernels.cpu.scratch import CACHE_LINE, channels_first, channels_last, chunks, scratch


def test_channels_last_and_first():
    x = np.arange(24.0).reshape(1, 2, 3, 4)
    y = channels_last(x)
    assert y.shape == (1, 3, 4, 2) and y.flags.c_contiguous
    np.testing.assert_array_equal(channels_first(y), x)
    assert np.shares_memory(channels_last(channels_first(y)), y)


def test_scratch_is_used_again_and_grows():
    small = scratch(np, "test", (2, 3), np.float32)
    assert small.shape == (2, 3) and small.dtype == np.float32
    assert np.shares_memory(small, scratch(np, "test", (6,), np.float32))
    assert not np.shares_memory(small, scratch(np, "other test", (6,), np.float32))
    assert scratch(np, "test", (1000, 7), np.float64).shape == (1000, 7)


@pytest.mark.parametrize("size", [1, 100, 12_345])
def test_scratch_starts_at_a_cache_line(size):
    assert scratch(np, f"test {size}", (size,), np.float32).ctypes.data % CACHE_LINE == 0


def test_each_thread_has_its_own_scratch():
    mine, theirs = scratch(np, "test", (5,), np.float32), []
    thread = threading.Thread(target=lambda: theirs.append(scratch(np, "test", (5,), np.float32)))
    thread.start()
    thread.join()
    assert not np.shares_memory(mine, theirs[0])


@pytest.mark.parametrize("n, most", [(0, 3), (1, 5), (7, 3), (64, 10), (5, 0)])
def test_chunks_cover_everything_once(n, most):
    parts = chunks(n, most)
    assert [i for part in parts for i in range(n)[part]] == list(range(n))
    sizes = [part.stop - part.start for part in parts]
    assert not sizes or (max(sizes) <= max(most, 1) and max(sizes) - min(sizes) <= 1)
