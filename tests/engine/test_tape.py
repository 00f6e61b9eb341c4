import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minidiff as md
from minidiff import functional as F
from minidiff.engine.node import unbroadcast


def leaf(*values):
    return md.Tensor(np.array(values, np.float64), requires_grad=True)


# -- the chain rule ---------------------------------------------------------------------------------------------------------------------


def test_gradients_of_two_paths_are_added():
    x = leaf(2.0, 3.0)
    a = x * x
    y = (a * x + a).sum()  # x^3 + x^2
    y.backward()
    np.testing.assert_allclose(x.grad, 3 * x.data**2 + 2 * x.data)


def test_one_tensor_as_both_arguments():
    x = leaf(2.0, 3.0)
    (x * x).backward(np.array([1.0, 10.0]))
    np.testing.assert_allclose(x.grad, [4.0, 60.0])
    x.grad = None
    (x - x).backward(np.ones(2))
    np.testing.assert_array_equal(x.grad, [0, 0])


def test_one_tensor_twice_in_a_list():
    x = leaf(2.0, 3.0)
    F.concatenate([x, x, 2 * x]).backward(np.arange(6.0))
    np.testing.assert_allclose(x.grad, [0 + 2 + 2 * 4, 1 + 3 + 2 * 5])


def test_a_diamond_is_walked_once_per_node():
    """40 doublings have 2^40 paths: a walk by path would never end."""
    x = leaf(1.0)
    y = x
    for _ in range(40):
        y = y + y
    y.backward(np.ones(1))
    assert x.grad == 2.0**40


def test_backward_adds_to_what_is_in_grad():
    x = leaf(1.0)
    (3 * x).backward(np.ones(1))
    (4 * x).backward(np.ones(1))
    assert x.grad == 7
    np.testing.assert_array_equal(x.data, 1)


def test_nothing_is_passed_to_what_needs_no_gradient():
    x, constant = leaf(1.0), md.Tensor([2.0], dtype=np.float64)
    (x * constant).backward(np.ones(1))
    assert constant.grad is None and x.grad == 2


def test_frozen_between_forward_and_backward():
    x, y = leaf(1.0), leaf(5.0)
    z = x * y
    x.requires_grad = False
    z.backward(np.ones(1))
    assert x.grad is None and y.grad == 1


# -- what backward() is asked for -------------------------------------------------------------------------------------------------------


def test_backward_of_a_vector_needs_a_gradient():
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"backward: a tensor of shape \(2,\) needs a gradient of that shape"):
        (2 * x).backward()


@pytest.mark.parametrize(
    "gradient, got", [(np.ones(3), r"float64 \(3,\)"), (np.ones(2, np.float32), r"float32 \(2,\)"), (1.0, "float")], ids=str
)
def test_backward_refuses_a_gradient_that_does_not_fit(gradient, got):
    with pytest.raises(ValueError, match=r"backward: gradient must be float64 \(2,\) like the tensor, got " + got):
        (2 * leaf(1.0, 2.0)).backward(gradient)


def test_backward_takes_a_tensor_as_gradient():
    x = leaf(1.0, 2.0)
    (2 * x).backward(md.Tensor(np.array([1.0, 10.0])))
    np.testing.assert_array_equal(x.grad, [2, 20])


def test_backward_without_a_graph():
    with pytest.raises(RuntimeError, match="does not depend on any tensor with requires_grad=True"):
        md.Tensor(1.0).backward()


def test_a_second_backward_says_that_the_graph_was_freed_and_where():
    x = leaf(1.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"the graph of sum \(.*test_tape.py:\d+\) was freed by an earlier backward.*retain_graph=True"):
        y.backward()


def test_a_freed_graph_below_a_new_operation_is_refused():
    x = leaf(1.0)
    a = x * x
    a.sum().backward()
    with pytest.raises(RuntimeError, match="the graph of multiply .* was freed"):
        (a + x).sum().backward()


def test_retain_graph_allows_a_second_backward():
    x = leaf(3.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad == 12


def test_detach_cuts_the_graph():
    x = leaf(3.0)
    ((x * x).detach() * x).backward(np.ones(1))
    assert x.grad == 9


def test_no_grad_records_nothing_and_ends_with_its_block():
    x = leaf(3.0)
    with md.no_grad():
        assert not md.is_recording()
        assert not (x * x).requires_grad
    assert md.is_recording()
    assert (x * x).requires_grad
    with pytest.raises(ZeroDivisionError), md.no_grad():
        raise ZeroDivisionError
    assert md.is_recording()


def test_enable_grad_records_within_no_grad_and_ends_with_its_block():
    x = leaf(3.0)
    with md.no_grad():
        with md.enable_grad():
            assert md.is_recording()
            y = x * x
        assert not md.is_recording()
        y.backward()
        with pytest.raises(ZeroDivisionError), md.enable_grad():
            raise ZeroDivisionError
        assert not md.is_recording()
    assert md.is_recording() and x.grad == 6


def test_retain_grad_keeps_the_gradient_of_an_intermediate_result():
    x = leaf(3.0)
    h = (x * x).retain_grad()
    (h * 5 + h).sum().backward()
    assert h.grad == 6 and x.grad == 36


# -- gradients() ------------------------------------------------------------------------------------------------------------------------


def test_gradients_touches_no_grad_and_answers_none_where_nothing_depends():
    x, y, other = leaf(2.0), leaf(5.0), leaf(1.0)
    assert md.gradients((x * y).sum(), [y, other, x]) == [2, None, 5]
    assert x.grad is None and y.grad is None


def test_gradients_with_respect_to_intermediate_results():
    x = leaf(2.0)
    h = x * x
    y = (h * h).sum()  # x^4
    dh, dx, dy = md.gradients(y, [h, x, y])
    assert dh == 8 and dx == 32 and dy == 1


def test_gradients_that_are_only_read_are_not_copied():
    x, y = leaf(2.0, 3.0), leaf(5.0, 7.0)
    for read_only in (False, True):
        dx, dy = md.gradients(x + y, [x, y], np.array([1.0, 4.0]), read_only=read_only)
        np.testing.assert_array_equal([dx, dy], [[1, 4], [1, 4]])
        assert np.shares_memory(dx, dy) == read_only


def test_the_walk_ends_at_the_tensors_asked_for():
    """h is all that is asked for: the graph below it is not walked, hence not freed, and needs no derivative."""
    x = leaf(2.0)
    h = x * x
    assert md.gradients((3 * h).sum(), [h])[0] == 3
    assert md.gradients(h.sum(), [x])[0] == 4
    assert md.gradients((3 * h).sum(), [h])[0] == 3  # though h's own graph is freed now


def test_arrays_that_are_handed_out_are_nobody_elses():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    dx, dy = md.gradients((x + y).sum(), [x, y])
    dx *= 100
    np.testing.assert_array_equal(dy, [1, 1])
    seed = np.ones(2)
    (x + y).backward(seed)
    x.grad *= 100
    np.testing.assert_array_equal(y.grad, [1, 1])
    np.testing.assert_array_equal(seed, [1, 1])


# -- size -------------------------------------------------------------------------------------------------------------------------------


def chain(x, length):
    for _ in range(length):
        x = -x
    return x


def test_a_graph_of_50000_nodes():
    """Forward, backward, and dropping the graph without a backward pass, on a small stack: nothing recurses, not even when it is freed."""
    x = leaf(3.0)
    failures = []

    def run():
        try:
            y = chain(x, 50_000)
            y.backward(np.ones(1))
            y = chain(x, 50_000)
            del y
        except BaseException as error:
            failures.append(error)

    before = threading.stack_size(256 * 1024)
    thread = threading.Thread(target=run)
    thread.start()
    threading.stack_size(before)
    thread.join()
    assert failures == []
    assert x.grad == 1


def test_a_chain_of_20000_views_is_freed_without_recursion():
    def run():
        y = leaf(3.0)
        for _ in range(20_000):
            y = y[:]

    before = threading.stack_size(256 * 1024)
    thread = threading.Thread(target=run)
    thread.start()
    threading.stack_size(before)
    thread.join()


def test_results_that_no_derivative_needs_are_freed_with_their_tensor():
    x = md.Tensor(np.ones(3), requires_grad=True)
    h = x + 1  # the derivative of the addition below needs neither of its arguments
    y = h + x
    array = weakref.ref(h.data)
    del h
    gc.collect()
    assert array() is None
    y.backward(np.ones(3))
    np.testing.assert_array_equal(x.grad, [2, 2, 2])


def test_backward_frees_what_was_kept():
    x = leaf(1.0)
    h = F.exp(x)
    y = h * h
    array = weakref.ref(h.data)
    del h
    gc.collect()
    assert array() is not None
    y.backward(np.ones(1))
    assert array() is None


# -- threads ----------------------------------------------------------------------------------------------------------------------------


def test_threads_share_leaves():
    """Four threads, each with its own graph over the same weights, many times: the gradients of one after another, nothing left held."""
    rng = md.RNG(0)
    W = md.Tensor(rng.normal((8, 8), dtype=np.float64), requires_grad=True)
    inputs = [rng.normal((4, 8), dtype=np.float64) for _ in range(4)]

    def gradient(x):
        h = x
        for _ in range(5):
            h = F.tanh(F.matmul(h, W)) + h
        return md.gradients((h * h).sum(), [W])[0]

    expected = [gradient(x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(25):
            for found, right in zip(pool.map(gradient, inputs), expected, strict=True):
                np.testing.assert_array_equal(found, right)
    assert W.data.flags.writeable


# -- broadcasting -----------------------------------------------------------------------------------------------------------------------


@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3))
def test_unbroadcast_is_the_adjoint_of_broadcasting(shapes):
    """<broadcast(x), z> = <x, unbroadcast(z)> for every x and z."""
    shape, result = shapes.input_shapes[0], shapes.result_shape
    rng = md.RNG(1)
    x, z = np.asarray(rng.normal(shape, np.float64)), np.asarray(rng.normal(result, np.float64))
    back = unbroadcast(z, shape)
    assert back.shape == shape
    np.testing.assert_allclose((np.broadcast_to(x, result) * z).sum(), (x * back).sum(), atol=1e-12)


@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3))
def test_gradients_of_broadcast_arguments_have_the_arguments_shapes(shapes):
    rng = md.RNG(1)
    x, y = (md.Tensor(np.asarray(rng.normal(s, np.float64)), requires_grad=True) for s in shapes.input_shapes)
    z = x * y
    assert z.shape == shapes.result_shape
    dx, dy = md.gradients(z, [x, y], np.ones(z.shape))
    assert dx.shape == x.shape and dy.shape == y.shape
    np.testing.assert_allclose((dx * x.data).sum(), z.data.sum(), atol=1e-12)
    np.testing.assert_allclose((dy * y.data).sum(), z.data.sum(), atol=1e-12)


@given(st.data())
def test_gradient_of_any_index_puts_ones_where_the_elements_came_from(data):
    """x[index] summed: the gradient counts how often each element was taken, basic and fancy indices mixed, repeated ones added up."""
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    kind = data.draw(st.sampled_from(["basic", "integer"]))
    if kind == "basic":
        index = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    else:
        index = data.draw(hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2, max_side=4)))
    x = md.Tensor(np.arange(np.prod(shape), dtype=np.float64).reshape(shape), requires_grad=True)
    y = x[index]
    np.testing.assert_array_equal(y.data, x.data[index])
    (gradient,) = md.gradients(y, [x], np.ones(y.shape))
    counts = np.bincount(np.ravel(x.data[index]).astype(int), minlength=x.size).reshape(shape)
    np.testing.assert_array_equal(gradient, counts)
