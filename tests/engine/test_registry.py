import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F
from minidiff.engine import registry
from minidiff.engine.registry import Unsupported

calls = []


def kernel(version, error=0.0, gradient_error=0.0):
    """A kernel for `swish` that notes its calls; wrong by `error` at index (1, 2)."""

    def swish(x):
        calls.append(version)
        y, backward = F.swish.reference(x)
        y[1, 2] += error

        def swish_kernel_backward(dy):
            dx = backward(dy)
            dx[0, 1] += gradient_error
            return dx

        return y, swish_kernel_backward

    return swish


def never(x):
    raise Unsupported("x has odd sizes")


@pytest.fixture(autouse=True)
def table(monkeypatch):
    calls.clear()
    monkeypatch.setattr(registry, "_kernels", {})
    md.register_kernel("swish", "naive", kernel("naive"), devices=("cpu",))
    md.register_kernel("swish", "fast", kernel("fast"), devices=("cpu", "cuda"))


@pytest.fixture
def x():
    return md.Tensor(np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3), requires_grad=True)


def test_versions_are_listed_in_the_order_of_their_registration():
    assert md.kernel_versions("swish") == ["naive", "fast"]
    assert md.kernel_versions("exp") == []


def test_the_versions_of_a_device_are_those_that_auto_tries_there():
    md.register_kernel("swish", "emulated", never, devices=("cuda",), by_name=("cpu",))
    assert md.kernel_versions("swish") == ["naive", "fast", "emulated"]
    assert md.kernel_versions("swish", "cpu") == ["naive", "fast"]
    assert md.kernel_versions("swish", "cuda") == ["fast", "emulated"]
    assert registry.operations_with_kernels() == ["swish"]


def test_reference_is_the_definition_and_auto_the_kernel_registered_last(x):
    with md.use_kernels("reference"):
        F.swish(x)
    assert calls == []
    F.swish(x)
    with md.use_kernels("auto"):
        F.swish(x)
    assert calls == ["fast", "fast"]


def test_auto_goes_on_to_the_next_kernel_when_one_does_not_take_the_arguments(x):
    md.register_kernel("swish", "picky", never)
    md.register_kernel("swish", "also picky", never)
    for mode in ("auto", "strict", "check"):
        with md.use_kernels(mode):
            F.swish(x)
    assert calls == ["fast"] * 3


def test_a_kernel_that_runs_by_name_only_is_never_taken_by_auto(x):
    md.register_kernel("swish", "emulated", kernel("emulated"), devices=("cuda",), by_name=("cpu",))
    for mode in ("auto", "strict", "check"):
        with md.use_kernels(mode):
            F.swish(x)
    assert calls == ["fast"] * 3
    with md.use_kernels(swish="emulated"):
        F.swish(x)
    assert calls[3:] == ["emulated"]


@pytest.mark.parametrize("mode", ["auto", "strict", "check"])
def test_an_operation_without_kernels_for_a_device_is_computed_by_its_definition(mode, strict):
    x = strict.asarray(np.ones(2))
    with md.use_kernels(mode):
        F.swish(x)
    assert calls == []


def test_arguments_are_checked_before_any_kernel_runs():
    """A kernel that would take anything gets nothing that the definition refuses."""
    for operation in ("conv2d", "matmul"):
        md.register_kernel(operation, "careless", lambda *args, **options: (np.zeros(1), None))
    x, weight = np.zeros((1, 2, 3, 3), np.float32), np.zeros((4, 3, 3, 3), np.float32)
    for mode in ("reference", "auto", "strict", "check"):
        with md.use_kernels(mode), pytest.raises(ValueError, match=r"^conv2d: x has C = 2 but weight wants C = 3"):
            F.conv2d(x, weight)
        with md.use_kernels(mode), pytest.raises(ValueError, match=r"^matmul: the last size of x must equal"):
            F.matmul(x[..., :2], weight)


def test_a_version_asked_for_by_name_runs_on_numpy_arrays(x):
    with md.use_kernels(swish="naive"):
        F.swish(x)
        with md.use_kernels("reference"):
            F.swish(x)
        F.exp(x)
    F.swish(x)
    assert calls == ["naive", "fast"]


@pytest.mark.parametrize("mode", ["strict", "check"])
def test_strict_and_check_run_the_last_version(mode, x):
    with md.use_kernels(mode):
        y = F.swish(x)
    assert calls == ["fast"]
    y.backward(np.ones((2, 3), np.float32))
    with md.use_kernels("reference"):
        expected = md.gradients(F.swish(x), [x], np.ones((2, 3), np.float32))[0]
    np.testing.assert_allclose(x.grad, expected)


def test_the_choice_ends_with_its_block_even_after_an_error(x):
    with pytest.raises(ZeroDivisionError), md.use_kernels(swish="naive"):
        raise ZeroDivisionError
    F.swish(x)
    assert calls == ["fast"]


def test_check_names_index_and_values_where_the_results_differ_most(x):
    md.register_kernel("swish", "wrong", kernel("wrong", error=0.5))
    with md.use_kernels("check"), pytest.raises(md.KernelMismatch) as error:
        F.swish(x)
    message = str(error.value)
    assert message.startswith("swish forward: at index (1, 2) the kernel has 2.26159") and "the reference 1.76159" in message
    assert "difference 0.5" in message


def test_check_compares_the_gradients_too(x):
    md.register_kernel("swish", "wrong", kernel("wrong", gradient_error=0.25))
    with md.use_kernels("check"):
        y = F.swish(x)
    with pytest.raises(md.KernelMismatch, match=r"swish backward, gradient of x: at index \(0, 1\) the kernel has .*difference 0.25"):
        y.backward(np.ones((2, 3), np.float32))


def test_check_finds_a_nan(x):
    md.register_kernel("swish", "wrong", kernel("wrong", error=np.nan))
    with md.use_kernels("check"), pytest.raises(md.KernelMismatch, match=r"at index \(1, 2\) the kernel has nan"):
        F.swish(x)


def test_check_finds_another_shape_or_dtype(x):
    md.register_kernel("swish", "wrong", lambda x: (x.ravel(), None))
    with (
        md.use_kernels("check"),
        pytest.raises(md.KernelMismatch, match=r"the kernel returned float32 \(6,\), the reference float32 \(2, 3\)"),
    ):
        F.swish(x)


def test_check_tolerates_rounding(x):
    md.register_kernel("swish", "rounded", kernel("rounded", error=1e-6))
    with md.use_kernels("check"):
        F.swish(x)
    assert calls == ["rounded"]


def test_what_no_kernel_takes_is_computed_by_the_reference_or_is_an_error(x, monkeypatch):
    monkeypatch.setattr(registry, "_kernels", {})
    md.register_kernel("swish", "picky", never)
    with md.use_kernels("check"):
        assert F.swish(x).requires_grad
    for choice in ({"mode": "strict"}, {"swish": "picky"}):
        with (
            md.use_kernels(**choice),
            pytest.raises(
                RuntimeError,
                match=r"swish: kernel 'picky' does not take these arguments \(x has odd sizes\), and a fallback is not allowed",
            ),
        ):
            F.swish(x)
    md.register_kernel("swish", "also picky", never)
    both = r"^swish: kernel 'also picky' does not take .*odd sizes\), kernel 'picky' does not take .*, and a fallback is not"
    with md.use_kernels("strict"), pytest.raises(RuntimeError, match=both):
        F.swish(x)


def test_a_kernel_of_another_device(x, strict):
    md.register_kernel("swish", "gpu", kernel("gpu"), devices=("cuda",))
    with md.use_kernels(swish="gpu"), pytest.raises(RuntimeError, match="version 'gpu' does not run on 'cpu'"):
        F.swish(x)
    F.swish(strict.asarray(x.data))  # "auto" on a device for which there is no kernel
    assert calls == []


def test_the_device_is_that_of_keyword_arguments_and_lists_too(strict):
    def concatenate(tensors, axis=0):
        calls.append("concatenate")
        return F.concatenate.reference(tensors, axis)

    md.register_kernel("concatenate", "only", concatenate, devices=("strict",))
    x = strict.asarray(np.ones(2))
    F.concatenate([x, x])
    F.concatenate(tensors=[x, x])
    F.concatenate([np.ones(2), np.ones(2)])
    assert calls == ["concatenate"] * 2


def test_unknown_mode_operation_and_version():
    with (
        pytest.raises(ValueError, match="use_kernels: mode must be one of reference, auto, check, strict, got 'fast'"),
        md.use_kernels("fast"),
    ):
        pass
    with (
        pytest.raises(ValueError, match=r"use_kernels: swish has no version 'fastest' \(known: naive, fast\)"),
        md.use_kernels(swish="fastest"),
    ):
        pass
    with (
        pytest.raises(ValueError, match="exp has no version 'naive' .known: no kernels are registered for it"),
        md.use_kernels(exp="naive"),
    ):
        pass
