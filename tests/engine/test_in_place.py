"""Edits in place are recorded, or done, or refused: never silently neither."""

import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F


def tensor(values, requires_grad=True):
    return md.Tensor(np.array(values, np.float32), requires_grad=requires_grad)


def test_an_assignment_into_a_result_is_recorded():
    x, b = tensor([1, 2, 3]), tensor(5)
    y = x * 2
    y[1] = b
    y.sum().backward()
    np.testing.assert_array_equal(y.data, [2, 5, 6])
    np.testing.assert_array_equal(x.grad, [2, 0, 2])
    np.testing.assert_array_equal(b.grad, 1)


def test_a_number_that_is_assigned_into_a_result_cuts_the_gradient_there():
    x = tensor([1, 2, 3])
    y = x * 2
    y[[0, 2]] = 0.5
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 2, 0])


def test_an_element_that_is_scaled_in_place():
    x = tensor([1, 1, 1])
    z = x * 1
    z[0] *= 5
    z.sum().backward()
    np.testing.assert_array_equal(z.data, [5, 1, 1])
    np.testing.assert_array_equal(x.grad, [5, 1, 1])


@pytest.mark.parametrize("named", [False, True])
def test_a_slice_that_is_edited_in_place_edits_what_it_was_taken_from(named):
    x = tensor([1, 1, 1])
    z = x * 3
    if named:
        view = z[0:2]
        view *= 5
        np.testing.assert_array_equal(view.data, [15, 15])
    else:
        z[0:2] *= 5
    z.sum().backward()
    np.testing.assert_array_equal(z.data, [15, 15, 3])
    np.testing.assert_array_equal(x.grad, [15, 15, 3])


def test_a_view_that_is_assigned_to_edits_what_it_was_taken_from():
    x, b = tensor([[1, 2], [3, 4]]), tensor(7)
    z = x * 2
    row = z[1]
    row[0] = b
    (z * z.data).sum().backward()
    np.testing.assert_array_equal(z.data, [[2, 4], [7, 8]])
    np.testing.assert_array_equal(x.grad, [[4, 8], [0, 16]])
    assert b.grad == 7


def test_an_assignment_into_a_constant_is_recorded():
    c, b = tensor([0, 0, 0], False), tensor(5)
    c[0] = b
    c.sum().backward()
    np.testing.assert_array_equal(c.data, [5, 0, 0])
    assert b.grad == 1


def test_what_was_computed_before_keeps_the_old_values():
    x = tensor([1, 2])
    y = x + 0
    square = F.sum(y * 1)
    y = y.reshape(2) * 1
    y += x
    (square + y.sum()).backward()
    np.testing.assert_array_equal(x.grad, [3, 3])


@pytest.mark.parametrize("edit", [
    lambda x, b: x.__setitem__(0, b),
    lambda x, b: x[0:2].__setitem__(0, b),
    lambda x, b: x[0:2].__imul__(3),
    lambda x, b: x.__iadd__(b),
], ids=["assignment", "into a view", "view scaled", "sum"])  # fmt: skip
def test_a_leaf_is_not_edited_where_a_gradient_would_be_lost(edit):
    x, b = tensor([1, 2, 3]), tensor(5)
    with pytest.raises(RuntimeError, match=r"leaf that requires a gradient.*y = x \* 1.*no_grad\(\)"):
        edit(x, b)
    np.testing.assert_array_equal(x.data, [1, 2, 3])


@pytest.mark.parametrize("share", [
    lambda z: z.reshape(3, 1), lambda z: z.detach(), lambda z: z.data, lambda z: z.data[1:], md.Tensor,
], ids=["reshape", "detach", "data", "data[1:]", "Tensor"])  # fmt: skip
def test_memory_that_others_see_is_not_edited_behind_their_back(share):
    z = tensor([1, 2, 3]) * 1
    other = share(z)
    with pytest.raises(RuntimeError, match=r"others? .*have its memory.*y = x \* 1"):
        z[0] = 5.0
    del other
    z[0] = 5.0
    np.testing.assert_array_equal(z.data, [5, 2, 3])


def test_a_view_by_reshape_is_refused():
    z = tensor([1, 2, 3]) * 1
    with pytest.raises(RuntimeError, match="it is a view"):
        z.reshape(3, 1)[0] = 5.0


@pytest.mark.parametrize("recording", [True, False])
def test_gradient_descent_by_hand(recording):
    p = q = tensor([1, 2])
    for _ in range(3):
        (p * p).sum().backward()
        with md.enable_grad() if recording else md.no_grad():
            p -= 0.25 * p.grad
        p.grad = None
    assert p is q and p.node is None and p.requires_grad
    np.testing.assert_array_equal(q.data, [0.125, 0.25])


def test_every_operator_in_place_edits_the_array_itself():
    memory = np.array([1, 2], np.float32)
    x = y = md.Tensor(memory)
    y += 1
    y -= 3
    y *= 4
    y /= 2
    y **= 2
    assert y is x and y.data is memory
    np.testing.assert_array_equal(memory, [4, 0])


def test_an_operator_in_place_is_refused_while_a_graph_needs_the_values():
    p = tensor([1, 2])
    y = p * p
    with pytest.raises(RuntimeError, match="can't be edited in place: the gradient of multiply"):
        p -= 1
    y.sum().backward()
    p -= 1
    np.testing.assert_array_equal(p.data, [0, 1])


@pytest.mark.parametrize("value", [np.ones((2, 2), np.float32), np.ones(2)])
def test_a_result_that_does_not_fit_is_refused(value):
    x = md.Tensor(np.ones(2, np.float32) if value.ndim == 2 else np.ones(2, np.int64))
    with pytest.raises(ValueError, match="add in place: the result is float"):
        x += value


def test_a_fraction_does_not_fit_into_integers():
    with pytest.raises(TypeError, match="setitem: x is int64 and can't hold float32"):
        md.Tensor(np.arange(3))[0] = tensor(0.5)


def test_the_last_of_repeated_indices_has_the_gradient():
    x, b = tensor([1, 2, 3]), tensor([10, 20, 30])
    y = x * 1
    y[np.array([0, 0, 2])] = b
    y.sum().backward()
    np.testing.assert_array_equal(b.grad, [0, 1, 1])
    np.testing.assert_array_equal(x.grad, [0, 1, 0])


def test_a_kept_gradient_is_that_of_the_edited_result():
    x = tensor([1, 2])
    y = (x * 2).retain_grad()
    y[0] = 5.0
    (y * 3).sum().backward()
    np.testing.assert_array_equal(y.grad, [3, 3])
    np.testing.assert_array_equal(x.grad, [0, 6])
