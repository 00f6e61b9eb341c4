import sys

import numpy as np
import pytest

from minidiff.engine import backend


def test_numpy_is_the_module_of_its_arrays_and_of_nothing():
    assert backend.array_module(np.ones(2), None, 1.5, np.float32(2)) is np
    assert backend.array_module() is np
    assert backend.device_of(np.ones(2)) == "cpu"


def test_what_is_an_array(strict):
    assert backend.is_array(np.ones(2)) and backend.is_array(strict.asarray([1.0]))
    assert not any(backend.is_array(x) for x in (1.0, np.float32(1), [1.0], None, "x"))


def test_a_subclass_is_of_its_parents_library():
    class Special(np.ndarray):
        pass

    assert backend.array_module(np.ones(2).view(Special)) is np


def test_mixed_libraries(strict):
    with pytest.raises(
        TypeError, match=r"arrays of two libraries in one call: numpy \(device 'cpu'\) and strict.*Move one of them: x.to\('cpu'\)"
    ):
        backend.array_module(np.ones(2), 3, strict.asarray([1.0]))


def test_moving_between_libraries(strict):
    x = np.arange(3.0)
    moved = backend.to_device(x, "strict")
    assert backend.device_of(moved) == "strict" and backend.array_module(moved) is strict
    assert backend.to_device(moved, "strict") is moved and backend.to_device(x, "cpu") is x
    np.testing.assert_array_equal(backend.to_cpu(moved), x)
    np.testing.assert_array_equal(backend.to_device(moved, "cpu"), x)


def test_device_of_something_else():
    with pytest.raises(TypeError, match="device_of: wanted an array of NumPy or CuPy, got list"):
        backend.device_of([1.0])


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "CPU", 0, None])
def test_unknown_device(device):
    with pytest.raises(ValueError, match=f"device: wanted 'cpu', 'cuda' or 'cuda:N', got {device!r}"):
        backend.to_device(np.ones(2), device)


def test_cuda_without_cupy_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(backend, "_modules", {np.ndarray: backend._modules[np.ndarray]})  # also where an earlier test has used CuPy
    with pytest.raises(RuntimeError, match=r"device 'cuda' needs CuPy, which is not installed: pip install 'minidiff\[cuda13\]'"):
        backend.to_device(np.ones(2), "cuda")
