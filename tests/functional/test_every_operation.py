"""What holds for every operation of the table: it stays on its device and in its dtype, and edits nothing that it was given."""

import numpy as np
import pytest
from support.operation_cases import CASES, WITHOUT_DERIVATIVE, draw
from support.strict_arrays import StrictArray

import minidiff as md
from minidiff.engine.operation import operations

numbered = [pytest.param(case, id=f"{case.operation}-{i}") for i, case in enumerate(CASES)]
READS_INDICES = {"cross_entropy", "embedding", "getitem", "setitem"}  # where indices are checked for their range, which waits for the GPU


def forward_and_gradients(case, convert=lambda x: x, device="cpu"):
    arguments = draw(case, convert=convert, device=device)
    tensors = [md.Tensor(x, requires_grad=True) for x in arguments.leaves]
    y = arguments.call(operations[case.operation], tensors)
    dy = convert(md.RNG(9).normal(y.shape, dtype=np.float64).astype(y.dtype.name))
    return y.data, md.gradients(y, tensors, dy)


@pytest.mark.parametrize("case", numbered)
def test_it_stays_in_the_library_of_its_arrays(case, strict):
    """The same numbers from an array library that refuses to mix with NumPy and counts what the host reads."""
    expected = forward_and_gradients(case)
    StrictArray.host_reads = 0
    y, gradients = forward_and_gradients(case, strict.asarray, "strict")
    assert StrictArray.host_reads == 0 or case.operation in READS_INDICES
    for theirs, ours in zip([y, *gradients], [expected[0], *expected[1]], strict=True):
        assert type(theirs) is StrictArray
        np.testing.assert_allclose(strict.asnumpy(theirs), ours, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("case", numbered)
def test_it_gives_the_same_on_a_gpu(case, gpu):
    """By its formula and by its kernel, where it has one."""
    if case.operation == "astype":
        pytest.skip("its purpose is to change the dtype")
    expected = forward_and_gradients(case)
    for kernels in ("reference", "auto"):
        with md.use_kernels(kernels):
            y, gradients = forward_and_gradients(
                case, lambda x: gpu.asarray(x.astype(np.float32) if x.dtype == np.float64 else x), "cuda"
            )
        for theirs, ours in zip([y, *gradients], [expected[0], *expected[1]], strict=True):
            assert type(theirs) is gpu.ndarray
            np.testing.assert_allclose(gpu.asnumpy(theirs), ours, rtol=1e-4, atol=1e-4, err_msg=kernels)


@pytest.mark.parametrize("name", sorted(WITHOUT_DERIVATIVE))
def test_a_comparison_stays_in_the_library_of_its_arrays(name, strict):
    x, y = strict.asarray([1.0, 2.0, 3.0]), strict.asarray([3.0, 2.0, 1.0])
    result = operations[name](x) if name == "argmax" else operations[name](x, y)
    assert type(result.data) is StrictArray


@pytest.mark.parametrize("case", numbered)
def test_float32_stays_float32(case):
    def convert(array):
        return array.astype(np.float32) if array.dtype == np.float64 else array

    if case.operation == "astype":
        pytest.skip("its purpose is to change the dtype")
    y, gradients = forward_and_gradients(case, convert)
    expected_y, expected_gradients = forward_and_gradients(case)
    for ours, expected in zip([y, *gradients], [expected_y, *expected_gradients], strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", numbered)
def test_it_writes_into_nothing_that_it_was_given(case):
    """Neither into its arguments nor into the gradient that comes in, which other operations may share."""

    def read_only(array):
        array.flags.writeable = False
        return array

    y, gradients = forward_and_gradients(case, read_only)
    expected_y, expected_gradients = forward_and_gradients(case)
    for ours, expected in zip([y, *gradients], [expected_y, *expected_gradients], strict=True):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("case", numbered)
def test_an_edit_between_forward_and_backward_is_refused_or_harmless(case):
    """Each array that went in, the result, and a view of a larger array: never a silently wrong gradient."""
    for as_view in (False, True):
        arguments = draw(case, convert=lambda x, as_view=as_view: np.stack([x, x])[1] if as_view else x)
        tensors = [md.Tensor(x, requires_grad=True) for x in arguments.leaves]
        y = arguments.call(operations[case.operation], tensors)
        dy = md.RNG(9).normal(y.shape, dtype=np.float64)
        expected = md.gradients(y, tensors, dy, retain_graph=True)
        arrays = [x.data for x in tensors] + [y.data]
        refused = 0
        for array in arrays + [x.base for x in arrays if x.base is not None]:
            try:
                array += 0.25
            except ValueError as error:
                assert "read-only" in str(error)
                refused += 1
        for ours, right in zip(md.gradients(y, tensors, dy), expected, strict=True):
            np.testing.assert_array_equal(ours, right)
        if case.operation in ("multiply", "matmul") and len(tensors) > 1:
            assert refused


@pytest.mark.parametrize("case", numbered)
def test_arrays_can_be_edited_again_after_the_backward_pass(case):
    arguments = draw(case)
    tensors = [md.Tensor(x, requires_grad=True) for x in arguments.leaves]
    y = arguments.call(operations[case.operation], tensors)
    y.backward(np.ones(y.shape))
    for x in tensors:
        assert x.data.flags.writeable
        x.data += 1
    assert y.data.flags.writeable or case.operation == "broadcast_to"  # NumPy gives out repeated memory read-only


def test_every_case_has_something_to_differentiate():
    assert [case for case in CASES if not draw(case).leaves] == []
