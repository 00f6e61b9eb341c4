import numpy as np

from minidiff.classroom.recording import record, trace
from minidiff.engine.tensor import Tensor


def test_each_assignment_has_the_value_of_its_moment():
    """A name that is bound anew, and an array that is changed in place, show both values."""

    def f(x):
        eps_hat = x + 1
        scores = eps_hat * 2
        scores /= scores.sum()
        eps_hat = eps_hat - 1
        return scores, eps_hat

    _, found = record(f, np.array([1.0, 2.0]))
    assert [a.name for a in found] == ["x", "eps_hat", "scores", "scores", "eps_hat"]
    values = [a.value.tolist() for a in found]
    assert values == [[1, 2], [2, 3], [4, 6], [0.4, 0.6], [1, 2]]
    first = f.__code__.co_firstlineno
    assert [a.line - first for a in found] == [0, 1, 2, 3, 4]


def test_a_change_of_an_argument_leaves_its_first_value():
    def update(N, m):
        N *= 0.5
        m += N
        return m

    N, m = np.array([2.0]), np.array([1.0])
    _, found = record(update, N, m)
    assert [(a.name, a.value.tolist()) for a in found] == [("N", [2.0]), ("m", [1.0]), ("N", [1.0]), ("m", [2.0])]


def test_each_turn_of_a_loop_is_there():
    def f(n):
        total = 0
        for i in range(n):
            total = total + i
        return total

    result, found = record(f, 4)
    assert result == 6 and [a.value for a in found if a.name == "total"] == [0, 1, 3, 6]
    assert [a.value for a in found if a.name == "i"] == [0, 1, 2, 3]


def test_variables_of_an_inner_function_come_in_order_too():
    """Python keeps them apart, behind all others."""

    def f(x):
        sigma = x + 1
        y = sigma * 2

        def backward(dy):
            return dy * sigma * x

        return y, backward

    _, found = record(f, 1.0)
    assert [a.name for a in found] == ["x", "sigma", "y", "backward"]


def test_names_of_one_line_come_in_the_order_of_the_line():
    def f():
        b, a = 1, 2
        return a, b

    assert [a.name for a in record(f)[1]] == ["b", "a"]


def test_nan_is_no_change_and_lists_that_grow_are_one():
    def f():
        x = np.array([np.nan, 1.0])
        images = []
        images.append(x)
        return images

    found = record(f)[1]
    assert [a.name for a in found] == ["x", "images", "images"] and [len(a.value) for a in found[1:]] == [0, 1]


def test_a_tensor_is_recorded_by_its_array():
    def f(x):
        y = x * 2
        y.data[0] = 7
        return y

    _, found = record(f, Tensor([1.0, 2.0]))
    assert [a.value.tolist() for a in found] == [[1, 2], [2, 4], [7, 4]]


def test_a_generator_is_recorded_up_to_its_first_yield():
    def f():
        for t in (3, 2, 1):
            doubled = 2 * t
            yield doubled

    result, found = record(f)
    assert result == 6 and [(a.name, a.value) for a in found] == [("t", 3), ("doubled", 6)]


def test_trace_has_the_last_value_of_each_name_and_restores_the_tracer():
    import sys

    def f(x):
        x = x + 1
        return x

    before = sys.gettrace()
    assert trace(f, 1) == (2, {"x": 2}) and sys.gettrace() is before
