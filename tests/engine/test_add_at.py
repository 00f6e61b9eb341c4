"""Adding to places of an array that may repeat: NumPy's sums, in NumPy's order, on a GPU too."""

import numpy as np
import pytest

from minidiff import functional as F
from minidiff.engine import add_at as module
from minidiff.engine.add_at import add_at
from minidiff.engine.backend import to_cpu, to_device
from minidiff.engine.tensor import Tensor

RNG = np.random.default_rng(0)
INDICES = {
    "rows": ((7, 5), RNG.integers(-7, 7, (4, 9))),
    "one row many times": ((7, 5), np.full(50, 3)),
    "rows of a vector": ((6,), RNG.integers(0, 6, 40)),
    "elements": ((4, 6), (RNG.integers(0, 4, 30), RNG.integers(-6, 6, 30))),
    "a slice and a column": ((4, 6), (slice(1, 3), RNG.integers(0, 6, 8))),
    "a list": ((4, 6), [1, 1, 3]),
    "nothing": ((4, 6), np.zeros(0, int)),
}


def moved(index):
    if isinstance(index, tuple):
        return tuple(moved(i) for i in index)
    return to_device(index, "cuda") if isinstance(index, np.ndarray) else index


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("counted", [module.COUNTED, 0], ids=["counted", "sorted"])
@pytest.mark.parametrize("name", INDICES)
def test_a_gpu_adds_in_numpys_order(cuda, monkeypatch, name, counted, dtype):
    monkeypatch.setattr(module, "COUNTED", counted)
    shape, index = INDICES[name]
    array = RNG.standard_normal(shape).astype(dtype)
    values = RNG.standard_normal(array[index].shape).astype(dtype)
    there = to_device(array, "cuda")
    add_at(there, moved(index), to_device(values, "cuda"))
    np.add.at(array, index, values)
    assert (to_cpu(there) == array).all()  # bit for bit


def test_the_stand_in_refuses_atomics(cuda):
    cupy, watcher = cuda
    if "fake" not in getattr(cupy, "__version__", ""):
        pytest.skip("CuPy itself takes them")
    with pytest.raises(RuntimeError, match="add.at adds floats by atomics"):
        cupy.add.at(cupy.zeros(3, "float32"), cupy.asarray(np.array([0, 0])), cupy.ones(2, "float32"))


def test_gradients_of_lookups_are_the_same_on_both_devices(cuda):
    weight, indices = RNG.standard_normal((9, 4)).astype(np.float32), RNG.integers(0, 9, 60)
    weights = RNG.standard_normal((60, 4)).astype(np.float32)
    gradients = []
    for device in ("cpu", "cuda"):
        for lookup in (lambda table, i: F.embedding(i, table), F.getitem):
            table = Tensor(to_device(weight, device), requires_grad=True)
            (lookup(table, to_device(indices, device)) * to_device(weights, device)).sum().backward()
            gradients.append(to_cpu(table.grad))
    assert all((gradient == gradients[0]).all() for gradient in gradients)


def test_a_cuda_graph_records_it(cuda):
    cupy, watcher = cuda
    array = cupy.zeros((5, 3), "float32")
    index, values = cupy.asarray(np.array([4, 0, 4, 4])), cupy.asarray(np.arange(12, dtype=np.float32).reshape(4, 3))
    add_at(array, index, values)  # compiles
    array[...] = 0
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        add_at(array, index, values)
        graph = stream.end_capture()
        graph.launch(stream)
        graph.launch(stream)
    stream.synchronize()
    expected = np.zeros((5, 3), np.float32)
    for _ in range(2):
        np.add.at(expected, to_cpu(index), to_cpu(values))
    assert (to_cpu(array) == expected).all()
