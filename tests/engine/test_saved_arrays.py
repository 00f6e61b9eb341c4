import gc

import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F
from minidiff.engine import saved_arrays


@pytest.fixture(autouse=True)
def nothing_stays_held():
    gc.collect()
    assert not saved_arrays._held
    yield
    gc.collect()
    assert not saved_arrays._held


def tensors():
    return md.Tensor(np.ones(3), requires_grad=True), md.Tensor(np.full(3, 2.0), requires_grad=True)


def test_a_tensor_refuses_to_be_edited_and_names_the_operation_and_its_line():
    x, y = tensors()
    z = x * y
    with pytest.raises(
        RuntimeError, match=r"this tensor, shape \(3,\), can't be edited in place: the gradient of multiply \(.*test_saved_arrays.py:\d+\)"
    ):
        x[0] = 5.0
    z.backward(np.ones(3))
    x[0] = 5.0
    np.testing.assert_array_equal(x.data, [5, 1, 1])


def test_the_array_itself_is_read_only():
    x, y = tensors()
    z = x * y
    with pytest.raises(ValueError, match="read-only"):
        x.data += 1
    z.backward(np.ones(3))
    x.data += 1


def test_dropping_the_graph_releases_its_arrays():
    x, y = tensors()
    z = x * y
    del z
    x.data += 1
    x[0] = 0.0


def test_an_array_is_held_until_the_last_operation_that_needs_it():
    x, y = tensors()
    first, second = x * y, F.exp(x * y)
    first.backward(np.ones(3))
    with pytest.raises(ValueError, match="read-only"):
        x.data += 1
    second.backward(np.ones(3))
    x.data += 1


def test_a_plain_array_that_went_in_is_held():
    x, _ = tensors()
    factor = np.full(3, 4.0)
    y = x * factor
    with pytest.raises(ValueError, match="read-only"):
        factor[0] = 100
    y.backward(np.ones(3))
    factor[0] = 100
    np.testing.assert_array_equal(x.grad, [4, 4, 4])


def test_what_no_derivative_needs_can_be_edited():
    x, y = tensors()
    z = x + y
    x[0] = 5.0
    z.backward(np.ones(3))
    np.testing.assert_array_equal(x.grad, [1, 1, 1])


def test_the_result_is_held_where_the_derivative_is_written_with_it():
    x, _ = tensors()
    y = F.exp(x)
    with pytest.raises(RuntimeError, match="the gradient of exp"):
        y[0] = 0.0
    y.backward(np.ones(3))
    y[0] = 0.0


def test_the_owner_of_a_view_is_held():
    memory = np.zeros((2, 3))
    x = md.Tensor(memory[1], requires_grad=True)
    y = x * x
    with pytest.raises(ValueError, match="read-only"):
        memory[1, 0] = 1
    y.backward(np.ones(3))
    memory[1, 0] = 1


def test_a_view_that_is_released_before_its_owner_can_be_edited_in_the_end():
    x, _ = tensors()
    a = F.exp(x)
    view = F.reshape(a, (3, 1))
    y = view * view
    assert not view.data.flags.writeable
    y.backward(np.ones((3, 1)))  # releases the view first and `a`, which exp holds, after it
    assert a.data.flags.writeable and view.data.flags.writeable
    view[0] = 1.0


def test_a_view_that_is_held_again_before_its_owner_is_released():
    x, _ = tensors()
    a = F.exp(x)
    view = F.reshape(a, (3, 1))
    first = view * view
    md.gradients(first, [view], np.ones((3, 1)))
    second = view * view
    del a, x
    assert not view.data.flags.writeable
    md.gradients(second, [view], np.ones((3, 1)))
    del first, second
    base = view.data.base
    view = view.detach()
    gc.collect()
    assert base.flags.writeable and view.data.flags.writeable


def test_an_array_that_was_read_only_before_stays_so():
    array = np.ones(3)
    array.flags.writeable = False
    x = md.Tensor(array, requires_grad=True)
    (x * x).backward(np.ones(3))
    assert not array.flags.writeable


def test_assign_leaves_the_graph_the_old_array():
    """This is what optimisers do: the gradient of a graph made before the step is that of the values it was made with."""
    x, y = tensors()
    z = (x * y).sum()
    y.assign(np.full(3, 100.0))
    z.backward()
    np.testing.assert_array_equal(x.grad, [2, 2, 2])


def test_an_array_in_an_object_that_the_derivative_uses_is_held():
    class Saved:
        def __init__(self, x):
            self.x = x

    @md.operation
    def square(x):
        saved = Saved(x)

        def square_backward(dy):
            return 2 * dy * saved.x

        return x * x, square_backward

    x, _ = tensors()
    y = square(x)
    with pytest.raises(ValueError, match="read-only"):
        x.data += 1
    y.backward(np.ones(3))
    del md.operation.__globals__["operations"]["square"]


def test_a_graph_in_a_reference_cycle_is_released_by_the_garbage_collector():
    x, y = tensors()
    z = x * y
    cycle = [z]
    cycle.append(cycle)
    del z, cycle
    assert not x.data.flags.writeable
    gc.collect()
    assert x.data.flags.writeable


def test_a_collection_in_the_middle_of_counting_waits_for_its_turn(monkeypatch):
    """A guard that the garbage collector finds while another is being made."""
    x, y = tensors()
    doomed = [x * y]

    class Collecting(saved_arrays._Held):
        def __init__(self, array, by):
            doomed.clear()
            super().__init__(array, by)

    monkeypatch.setattr(saved_arrays, "_Held", Collecting)
    z = F.exp(y)
    assert not doomed and x.data.flags.writeable
    z.backward(np.ones(3))
    assert y.data.flags.writeable


def test_arrays_of_a_library_without_read_only_arrays_are_guarded_by_their_tensor(strict):
    x = md.Tensor(strict.asarray([1.0, 2.0]), requires_grad=True)
    y = x * x
    with pytest.raises(RuntimeError, match="the gradient of multiply"):
        x[0] = 3.0
    with pytest.raises(RuntimeError, match="the gradient of multiply"):
        x.check_editable()
    y.backward(strict.asarray([1.0, 1.0]))
    x[0] = 3.0


def test_memory_of_another_library_stays_writeable():
    """NumPy can't give it back its write permission, so it must not take it away."""

    class Foreign:
        def __init__(self):
            self.memory = np.ones(3, np.float32)
            self.__array_interface__ = self.memory.__array_interface__

    array = np.asarray(Foreign())
    x = md.Tensor(array, requires_grad=True)
    y = (x * x).sum()
    y.backward()
    array[0] = 5
    np.testing.assert_array_equal(x.grad, [2, 2, 2])
