"""Another library edits values that a live graph needs: an error in backward, never a wrong gradient."""

import gc

import numpy as np
import pytest

import minidiff as md
from minidiff.engine import shared_memory

EDITED = r"backward: the gradient of multiply \(.*test_shared_memory.py:\d+\) needs values that were edited meanwhile by another library"


def torch():
    return pytest.importorskip("torch", reason="exchange with PyTorch needs the compare extra")


class Careless:
    """A library that takes a Tensor's memory by DLPack and doesn't look at its read-only mark, as PyTorch."""

    def __init__(self, x):
        if np.lib.NumpyVersion(np.__version__) < "2.1.0" and not x.data.flags.writeable:
            pytest.skip("this version of NumPy hands out no read-only array")
        self.capsule = x.__dlpack__(**({} if np.__version__ < "2.1" else {"max_version": (1, 0)}))
        self.array, self.shape = x.data, x.shape

    def write(self, place, value):
        kind = np.ctypeslib.as_ctypes_type(self.array.dtype)
        offset = sum(i * step for i, step in zip(place, self.array.strides, strict=True))
        kind.from_address(self.array.ctypes.data + offset).value = value


class Foreign:
    """Memory of a library that NumPy can't mark as read-only."""

    def __init__(self, values):
        self.memory = np.array(values)
        self.__array_interface__ = self.memory.__array_interface__


def graph(kind="float64"):
    """-> y that a graph needs, the result"""
    x = md.Tensor(np.array([1, 2, 3], kind), requires_grad=True)
    y = x * x
    return x, y, (y * y).sum()


@pytest.mark.parametrize("kind", ["float32", "float64"])  # float16 is computed on a copy
@pytest.mark.parametrize("name", ["from_dlpack", "asarray", "as_tensor"])
def test_an_edit_by_pytorch_is_an_error_in_backward(name, kind):
    x, y, loss = graph(kind)
    seen = getattr(torch(), name)(y.detach())
    assert seen.data_ptr() == y.data.ctypes.data
    seen[1] = 5
    with pytest.raises(RuntimeError, match=EDITED + r".*element \(1,\) of shape \(3,\) was 4.0 and is 5.0"):
        loss.backward(retain_graph=True)
    assert x.grad is None
    seen[1] = 4
    loss.backward()
    np.testing.assert_array_equal(x.grad, [4, 32, 108])


def test_a_copy_in_pytorch_may_be_edited():
    x, y, loss = graph()
    torch().from_dlpack(y.detach()).clone()[1] = 5
    torch().from_dlpack(y.detach(), copy=True)[1] = 5
    torch().from_dlpack(y.detach())
    loss.backward()
    np.testing.assert_array_equal(x.grad, [4, 32, 108])


def test_memory_of_pytorch_that_a_graph_needs():
    there = torch().tensor([1.0, 2.0], dtype=torch().float32)
    w = md.Tensor([3.0, 4.0], requires_grad=True)
    for x in (md.from_dlpack(there), md.Tensor(there.numpy()), md.Tensor(np.from_dlpack(there))[:]):
        loss = (w * x).sum()
        there.add_(1)
        with pytest.raises(RuntimeError, match=EDITED):
            loss.backward()
        there.sub_(1)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_edit_by_a_library_that_does_not_look_at_the_mark(when):
    x = md.Tensor([[1.0, 2.0, 3.0]] * 2, requires_grad=True)
    y = md.Tensor([[4.0, 5.0, 6.0]] * 2)
    library = Careless(y) if when == "before" else None
    loss = (x * y).sum()
    library = library or Careless(y)
    library.write((1, 2), 7.0)
    with pytest.raises(RuntimeError, match=EDITED + r".*element \(1, 2\) of shape \(2, 3\) was 6.0 and is 7.0.*edit a copy"):
        loss.backward()


def test_an_edit_through_a_view_that_was_handed_out():
    x = md.Tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    y = md.Tensor([4.0, 5.0, 6.0, 7.0])
    loss = (x * y).sum()
    Careless(y[::2]).write((1,), 0.0)
    with pytest.raises(RuntimeError, match=EDITED + r".*element \(1,\) of shape \(2,\) was 6.0 and is 0.0"):
        loss.backward()


def test_edits_between_two_graphs_are_no_error():
    """As a network's parameters that PyTorch sees, too."""
    x, y = md.Tensor([1.0, 2.0], requires_grad=True), md.Tensor([3.0, 4.0])
    library = Careless(y)
    for value in (5.0, 6.0):
        library.write((0,), value)
        x.grad = None
        (x * y).sum().backward()
        np.testing.assert_array_equal(x.grad, [value, 4])


def test_what_the_gradient_does_not_need_may_be_edited():
    x, y = md.Tensor([1.0, 2.0], requires_grad=True), md.Tensor([3.0, 4.0])
    library = Careless(y)
    loss = (x + y).sum()
    library.write((0,), 9.0)
    loss.backward()
    np.testing.assert_array_equal(x.grad, [1, 1])


def test_nan_that_stays_is_no_edit():
    x, y = md.Tensor([1.0, 2.0], requires_grad=True), md.Tensor([np.nan, 4.0])
    library = Careless(y)
    loss = (x * y).sum()
    loss.backward(retain_graph=True)
    library.write((1,), np.nan)
    with pytest.raises(RuntimeError, match="was 4.0 and is nan"):
        loss.backward()


def test_foreign_memory_is_compared_and_the_part_that_is_needed_is_copied():
    array = np.asarray(Foreign(np.arange(1000, dtype=np.float32)))
    x = md.Tensor(array)[10:12]
    w = md.Tensor([1.0, 1.0], requires_grad=True)
    y = w * x
    assert [copy.shape for _, copy in y.node.guard.saved] == [(2,)]
    array[500] = 0  # not needed
    y.sum().backward(retain_graph=True)
    array[10] = 0
    with pytest.raises(RuntimeError, match=EDITED):
        y.sum().backward()


def test_only_shared_memory_costs_a_copy(tmp_path):
    (tmp_path / "x").write_bytes(bytes(24))
    of_numpy = {
        "its own": np.zeros(3), "a view": np.zeros(6)[::2], "bytes": np.frombuffer(bytes(24)), "a bytearray": np.frombuffer(bytearray(24)),
        "a file": np.memmap(tmp_path / "x", float, "r+"), "windows": np.lib.stride_tricks.sliding_window_view(np.zeros(5), 3)[0],
    }  # fmt: skip
    for name, array in of_numpy.items():
        y = md.Tensor(np.ones(3, array.dtype), requires_grad=True) * array
        assert y.node.guard.saved == [], name


def test_an_array_that_is_gone_is_forgotten():
    gc.collect()
    before = len(shared_memory._handed_out)
    x = md.Tensor([1.0])
    library = Careless(x)
    assert len(shared_memory._handed_out) == before + 1 and shared_memory.is_shared(x.data)
    del x, library
    gc.collect()
    assert len(shared_memory._handed_out) == before
