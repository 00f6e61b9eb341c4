"""Tensors in other libraries, and theirs as Tensors: the same memory, never a lost gradient."""

import numpy as np
import pytest

import minidiff as md
from minidiff.nn import Parameter

DTYPES = ("float16", "float32", "float64", "int64", "uint8", "bool")
TO_NUMPY = {"np.from_dlpack": np.from_dlpack, "np.asarray": np.asarray}


def torch():
    return pytest.importorskip("torch", reason="exchange with PyTorch needs the compare extra")


def address(array):
    return array.ctypes.data


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", TO_NUMPY)
def test_numpy_sees_the_same_memory(name, dtype):
    x = md.Tensor(np.ones((2, 3), dtype))
    y = TO_NUMPY[name](x)
    assert address(y) == address(x.data) and y.dtype == x.dtype and y.shape == (2, 3)
    if name == "np.from_dlpack" and not np.from_dlpack(np.zeros(1)).flags.writeable:
        pytest.skip("this version of NumPy makes every array from DLPack read-only")
    y[1, 2] = 0
    assert x.data[1, 2] == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["from_dlpack", "asarray", "as_tensor"])
def test_pytorch_sees_the_same_memory(name, dtype):
    x = md.Tensor(np.arange(6).reshape(2, 3).astype(dtype))
    y = getattr(torch(), name)(x)
    assert y.data_ptr() == address(x.data) and y.tolist() == x.tolist()
    y[1, 2] = 0
    assert x.data[1, 2] == 0


def test_strided_views_go_through():
    x = md.Tensor(np.arange(12.0).reshape(3, 4))[:, ::2].T
    assert torch().from_dlpack(x).stride() == (2, 4)
    np.testing.assert_array_equal(np.from_dlpack(x), x.data)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tensor_of_pytorch_comes_in_without_a_copy(dtype):
    y = torch().zeros(2, 3, dtype=getattr(torch(), dtype))
    for x in (md.from_dlpack(y), md.Tensor(np.from_dlpack(y))):
        assert isinstance(x, md.Tensor) and address(x.data) == y.data_ptr() and not x.requires_grad
        x[0, 1] = 1
        assert y[0, 1] == 1


def test_an_array_and_a_tensor_come_in_without_a_copy():
    array = np.ones(3, np.float32)
    assert address(md.from_dlpack(array).data) == address(array) == address(md.from_dlpack(md.Tensor(array)).data)


@pytest.mark.parametrize("kind", [lambda x: x, lambda x: x * 2, Parameter])
def test_a_gradient_is_not_lost_on_the_way_out(kind):
    x = kind(md.Tensor([1.0], requires_grad=True))
    message = r"requires a gradient, which DLPack can't carry to another library: use x.detach\(\)"
    for convert in (np.from_dlpack, md.from_dlpack):
        with pytest.raises(BufferError, match=message):
            convert(x)
    assert address(np.from_dlpack(x.detach())) == address(x.data)


def test_pytorch_hears_the_same_refusal_and_refuses_its_own_gradients():
    x = md.Tensor([1.0], requires_grad=True)
    for convert in (torch().from_dlpack, torch().asarray):
        with pytest.raises(BufferError, match="use x.detach"):
            convert(x)
    with pytest.raises(BufferError, match="require gradient"):
        md.from_dlpack(torch().ones(1, requires_grad=True))


def test_values_that_a_live_graph_needs_are_handed_out_read_only():
    x = md.Tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    z = y * y
    if np.lib.NumpyVersion(np.__version__) < "2.1.0":  # it can't say that an array is read-only
        with pytest.raises(BufferError, match="readonly"):
            np.from_dlpack(y.detach())
        return
    seen = np.from_dlpack(y.detach())
    with pytest.raises(ValueError, match="read-only"):
        seen[0] = 5
    z.sum().backward()
    np.testing.assert_array_equal(x.grad, [4, 32])


@pytest.mark.parametrize("value, got", [([1.0], "list"), (1.0, "float"), ("x", "str")])
def test_only_arrays_of_libraries_come_in(value, got):
    with pytest.raises(TypeError, match=f"from_dlpack: wanted an array of a library that speaks DLPack, got {got}"):
        md.from_dlpack(value)


class Elsewhere:
    """An array on a device that has DLPack's number `kind`."""

    def __init__(self, kind):
        self.kind = kind

    def __dlpack__(self, **options):
        raise AssertionError("it is not asked for its memory")

    def __dlpack_device__(self):
        return self.kind, 0


def test_a_device_that_is_neither_cpu_nor_cuda_is_named():
    with pytest.raises(ValueError, match="wanted an array in the main memory or on CUDA, got DLPack's device kind 8"):
        md.from_dlpack(Elsewhere(8))


@pytest.mark.parametrize("kind", [2, 13])
def test_cuda_memory_goes_to_cupy(kind, monkeypatch):
    from minidiff.engine import backend

    class CuPy:
        @staticmethod
        def from_dlpack(x):
            return np.full(1, x.kind)

    asked = []
    monkeypatch.setattr(backend, "on_device", lambda device: asked.append(device) or pytest.MonkeyPatch.context())
    monkeypatch.setattr(backend, "module_of_device", lambda device: asked.append(device) or CuPy)
    assert md.from_dlpack(Elsewhere(kind)).item() == kind
    assert asked == ["cuda:0", "cuda"]


def test_the_device_is_the_arrays():
    assert md.Tensor([1.0]).__dlpack_device__() == (1, 0)


def test_tolist_and_cpu():
    x = md.Tensor([[1, 2], [3, 4]])
    assert x.tolist() == [[1, 2], [3, 4]] and md.Tensor(2.5).tolist() == 2.5
    assert type(x.tolist()[0][0]) is int
    g = md.Tensor([0.5], requires_grad=True)
    assert g.tolist() == [0.5] and g.cpu().data is g.data and g.cpu().device == "cpu"


def test_cpu_brings_the_values_down(strict):
    x = md.Tensor(np.ones(2, np.float32), device="strict")
    assert type(x.cpu().data) is np.ndarray and x.cpu().tolist() == x.tolist() == [1, 1]


@pytest.mark.parametrize("name", ["mean", "sum", "std", "max", "prod", "clip"])
def test_a_numpy_function_that_would_lose_a_gradient_names_the_method(name):
    arguments = (0, 1) if name == "clip" else ()
    for x in (md.Tensor([1.0, 2.0], requires_grad=True), Parameter(np.ones(2))):
        with pytest.raises(TypeError, match=rf"np.{name} of a Tensor that requires a gradient would lose it: use x.{name}\(\)"):
            getattr(np, name)(x, *arguments)
