import inspect

import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F
from minidiff.engine.operation import operations


@pytest.fixture
def own():
    """A place for operations of a test, removed afterwards."""
    before = dict(operations)
    yield md.operation
    operations.clear()
    operations.update(before)


def test_the_lifted_function_keeps_its_name_doc_and_reference():
    assert F.swish.name == F.swish.__name__ == "swish" and "sigmoid" in F.swish.__doc__
    assert repr(F.swish) == "<operation swish(x)>"
    assert F.silu is F.swish is operations["swish"]
    y, backward = F.swish.reference(np.zeros(2))
    assert type(y) is np.ndarray and backward.__name__ == "swish_backward"


def test_every_derivative_is_named_after_its_operation():
    """So that a traceback and a profiler name it. max and min share theirs."""
    for name, op in operations.items():
        source = inspect.getsource(op.reference)
        if "_backward" in source:
            assert f"def {name}_backward(" in source or "_extremum_backward" in source, name


def test_arrays_and_numbers_are_as_good_as_tensors():
    x = np.ones((2, 2), np.float32)
    for y in (F.add(x, x), F.add(x, 1.0), F.add(md.Tensor(x), x)):
        assert isinstance(y, md.Tensor) and not y.requires_grad
        np.testing.assert_array_equal(y.data, 2)


def test_keyword_arguments_are_recorded_like_positional_ones():
    x, weight = md.Tensor(np.ones((1, 2)), requires_grad=True), md.Tensor(np.ones((3, 2)), requires_grad=True)
    bias = md.Tensor(np.zeros(3), requires_grad=True)
    F.linear(x, bias=bias, weight=weight).backward(np.ones((1, 3)))
    np.testing.assert_array_equal(bias.grad, [1, 1, 1])
    np.testing.assert_array_equal(weight.grad, np.ones((3, 2)))


def test_an_unknown_keyword_is_answered_with_the_known_ones():
    with pytest.raises(TypeError, match=r"softmax\(\) has no parameter 'dim'; it takes x, axis"):
        F.softmax(np.ones(2), dim=0)


def test_a_missing_argument_is_named():
    with pytest.raises(TypeError, match="multiply.. missing 1 required positional argument: 'y'"):
        F.multiply(np.ones(2))


@pytest.mark.parametrize("culprit", [np.ones(2), np.sqrt(2.0), np.float64(2)], ids=["array", "square root", "scalar"])
def test_float32_never_becomes_float64(culprit):
    x = md.Tensor([1.0, 2.0])
    with pytest.raises(TypeError, match=r"multiply \(.*test_operation.py:\d+\): float32 would become float64.*\.astype\(np.float32\)"):
        x * culprit


def test_python_numbers_leave_float32_alone():
    x = md.Tensor([1.0, 2.0])
    assert (2 * x + 1.5 - x / 3 + x**2).dtype == np.float32


def test_arrays_of_two_libraries(strict):
    with pytest.raises(
        TypeError, match=r"arrays of two libraries in one call: numpy \(device 'cpu'\) and strict \(device 'strict'\). Move one"
    ):
        F.linear(np.ones((1, 2)), strict.asarray(np.ones((3, 2))))


def test_the_derivative_is_told_what_is_wanted(own):
    asked = []

    @own
    def scale(x, factor, shift):
        def scale_backward(dy, wanted):
            asked.append(wanted)
            return dy * factor, dy * x, dy

        return x * factor + shift, scale_backward

    x, factor = md.Tensor(np.ones(2), requires_grad=True), md.Tensor(np.ones(2), requires_grad=True)
    scale(x, factor, 0.0).backward(np.ones(2))
    md.gradients(scale(x, factor, 0.0), [factor], np.ones(2))
    scale(np.ones(2), 2.0, shift=factor).backward(np.ones(2))
    assert asked == [(True, True, False), (False, True, False), (False, False, True)]


def test_no_derivative_for_an_argument_is_said_when_it_is_needed(own):
    @own
    def half(x, y):
        return x + y, lambda dz: dz

    x, y = md.Tensor(np.ones(2), requires_grad=True), md.Tensor(np.ones(2), requires_grad=True)
    half(x, y.detach()).backward(np.ones(2))
    with pytest.raises(RuntimeError, match=r"backward: half \(.*test_operation.py:\d+\) has no derivative for its argument 'y'"):
        half(x, y).backward(np.ones(2))


def test_a_gradient_of_another_dtype_is_refused(own):
    @own
    def careless(x):
        return 2 * x, lambda dy: dy * np.float64(2)

    x = md.Tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"backward of careless .*: the gradient of a float32 input came out as float64"):
        careless(x).backward(np.ones(1, np.float32))


def test_without_gradients_the_derivative_is_dropped(own):
    @own
    def same(x):
        return x + 0, lambda dy: dy

    assert same(np.ones(2)).node is None
    with md.no_grad():
        assert same(md.Tensor(np.ones(2), requires_grad=True)).node is None
