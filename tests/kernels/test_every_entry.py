"""The one table by which every kernel of every operation is compared with the definition, forward and backward.

A kernel that is registered later is found here by itself. What it does not take (Unsupported) is skipped, but each must take something.
The definition is computed in float64.
"""

import itertools

import numpy as np
import pytest
from support.operation_cases import CASES, Case, bools, draw, normal

from minidiff import kernels
from minidiff.engine.operation import operations
from minidiff.engine.registry import Unsupported, _kernels
from minidiff.kernels.cuda.library import load

TOLERANCE = {"float32": 5e-5, "float64": 1e-11}
TF32 = 3e-3


def conv(operation, x, weight, *bias, **options):
    return Case(operation, (normal(*x), normal(*weight), *(normal(*shape) for shape in bias)), options)


def attend(*shapes, mask=None, **options):
    return Case("attention", (*(normal(*shape) for shape in shapes), *([] if mask is None else [mask])), options)


def norm(operation, shape, groups, weight=True, bias=True, **options):
    parameters = {name: normal(shape[1]) for name, wanted in (("weight", weight), ("bias", bias)) if wanted}
    return Case(operation, (normal(*shape), groups), {**parameters, **options})


TABLE = [
    *(
        conv("conv2d", x, weight, *bias, **options)
        for x, weight, bias, options in (
            ((1, 1, 1, 1), (1, 1, 1, 1), [(1,)], {}),
            ((2, 3, 7, 5), (5, 3, 3, 3), [(5,)], {"padding": 1}),
            ((3, 5, 11, 13), (7, 5, 3, 3), [], {"padding": 1}),
            ((2, 7, 5, 3), (11, 7, 1, 1), [(11,)], {}),
            ((1, 4, 8, 9), (6, 2, 3, 3), [(6,)], {"padding": (1, 0), "stride": 2, "groups": 2}),
            ((2, 6, 5, 5), (6, 1, 3, 3), [(6,)], {"padding": 1, "groups": 6}),
            ((2, 3, 9, 8), (4, 3, 2, 4), [(4,)], {"stride": (2, 3), "padding": (1, 2)}),
            ((1, 2, 11, 7), (3, 2, 3, 3), [(3,)], {"dilation": (2, 1), "padding": 2}),
            ((2, 4, 13, 5), (4, 2, 3, 2), [(4,)], {"dilation": 3, "stride": 2, "padding": (0, 3), "groups": 2}),
            ((2, 3, 6, 6), (4, 3, 5, 5), [(4,)], {"padding": 4}),
            ((2, 16, 8, 8), (32, 16, 3, 3), [(32,)], {"padding": 1}),
            ((3, 17, 7, 5), (19, 17, 3, 3), [], {"padding": 1}),
            ((1, 16, 1, 1), (16, 16, 3, 3), [(16,)], {"padding": 1}),
            ((2, 16, 3, 5), (16, 16, 3, 3), [(16,)], {"padding": (2, 0)}),
            ((1, 16, 5, 4), (16, 16, 3, 3), [(16,)], {"padding": 3}),
            ((37, 16, 7, 7), (16, 16, 3, 3), [(16,)], {"padding": 1}),
            ((29, 3, 28, 28), (16, 3, 3, 3), [(16,)], {"padding": 1}),
        )
    ),
    *(
        conv("conv_transpose2d", x, weight, *bias, **options)
        for x, weight, bias, options in (
            ((1, 1, 1, 1), (1, 1, 1, 1), [(1,)], {}),
            ((2, 4, 5, 3), (4, 3, 4, 4), [(3,)], {"stride": 2, "padding": 1}),
            ((3, 5, 7, 11), (5, 7, 3, 3), [], {"padding": 1}),
            ((1, 4, 3, 4), (4, 3, 3, 2), [(6,)], {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2), "groups": 2}),
            ((1, 2, 5, 4), (2, 3, 3, 3), [(3,)], {"dilation": 2, "padding": 1}),
            ((2, 3, 4, 3), (3, 2, 2, 2), [(2,)], {"stride": 3}),
            ((1, 2, 4, 3), (2, 2, 3, 3), [], {"dilation": 3, "output_padding": 2, "padding": 1}),
            ((17, 16, 14, 14), (16, 8, 4, 4), [(8,)], {"stride": 2, "padding": 1}),
        )
    ),
    *(
        norm(operation, shape, groups, **options)
        for operation in ("group_norm", "group_norm_swish")
        for shape, groups, options in (
            ((1, 1, 5, 1), 1, {}),
            ((4, 8, 7, 9), 2, {}),
            ((3, 6, 5, 5), 6, {"bias": False}),
            ((5, 12), 3, {"weight": False}),
            ((2, 6, 11), 1, {"weight": False, "bias": False}),
            ((2, 4, 3, 5, 6), 2, {"eps": 0.1}),
            ((2, 15, 13, 11), 5, {}),
            ((67, 16, 14, 14), 8, {}),
        )
    ),
    *(
        attend(query, key, value, **options)
        for query, key, value, options in (
            ((1, 1), (1, 1), (1, 1), {}),
            ((2, 2, 5, 4), (2, 2, 5, 4), (2, 2, 5, 4), {}),
            ((3, 7, 5), (3, 13, 5), (3, 13, 11), {}),
            ((2, 1, 8), (2, 17, 8), (2, 17, 8), {"scale": 0.3}),
            ((2, 11, 3), (2, 1, 3), (2, 1, 2), {}),
            ((2, 7, 4), (2, 7, 4), (2, 7, 4), {"is_causal": True}),
            ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6), {"mask": bools(5, 7)}),
            ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6), {"mask": bools(2, 1, 1, 7), "is_causal": True}),
            ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6), {"mask": normal(3, 5, 7)}),
            ((2, 4, 65, 16), (2, 4, 77, 16), (2, 4, 77, 16), {}),
        )
    ),
    *(
        Case("linear", (normal(*x), normal(out, x[-1]), *([normal(out)] if bias else [])), {})
        for x, out, bias in (((1,), 1, True), ((7, 5), 4, True), ((2, 9, 8), 33, False), ((2, 3, 5, 4), 1, True), ((65, 33), 67, True))
    ),
    *(case for case in CASES if case.operation in _kernels),
]


def label(case):
    shapes = [str(np.shape(a)).replace(" ", "") for a in draw(case).leaves]
    options = [f"{name}={value}".replace(" ", "") for name, value in case.options.items() if not hasattr(value, "function")]
    return "-".join([*shapes, *options])


def work(case):
    """About how many numbers go in: emulated kernels are slow, and get the small cases only."""
    return sum(np.size(a) for a in draw(case).leaves)


def calls_on_the_cpu():
    """(operation, version, case, dtype); emulated kernels compute in float32."""
    for case, dtype in itertools.product(TABLE, ("float32", "float64")):
        for version, kernel in _kernels[case.operation].items():
            by_name = "cpu" in kernel.by_name and dtype == "float32"
            if by_name and (version == "native_naive" or work(case) <= 400) or "cpu" in kernel.devices:
                yield pytest.param(case.operation, version, case, dtype, id=f"{case.operation}-{version}-{dtype}-{label(case)}")


def calls_on_a_gpu():
    """(operation, version, case)"""
    for case in TABLE:
        for version, kernel in _kernels[case.operation].items():
            if "cuda" in kernel.devices + kernel.by_name:
                yield pytest.param(case.operation, version, case, id=f"{case.operation}-{version}-{label(case)}")


def function_of(operation, version):
    kernel = _kernels[operation][version]
    if "cpu" in kernel.by_name and version != "native_naive" and load("cpu")[0] is None:
        pytest.skip(load("cpu")[1])
    return kernel.function


def results(function, case, convert):
    """y, and the gradients of the leading parameters, for a random gradient of y."""
    arguments = draw(case, convert=convert)
    y, backward = arguments.call(function, arguments.leaves)
    dy = convert(np.random.default_rng(1).standard_normal(y.shape))
    takes_wanted = backward.__code__.co_argcount == 2
    names = operations[case.operation].parameters
    gradients = backward(dy, (True,) * len(names)) if takes_wanted else backward(dy)
    return {"y": y, **{f"gradient of {name}": g for name, g in zip(names, gradients, strict=False)}}


def as_float64(array):
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def check(function, case, convert, dtype, tolerance):
    """Compare a kernel with the definition; the gradient of a mask comes in the shape of the scores."""
    expected = results(operations[case.operation].reference, case, as_float64)
    found = results(function, case, convert)
    floor = 0.1 * np.abs(expected["y"]).max()  # a gradient that is 0 in exact arithmetic is rounding noise
    names, arguments = operations[case.operation].parameters, draw(case)
    given = arguments.call(lambda *args, **options: {**dict(zip(names, args, strict=False)), **options}, arguments.leaves)
    for name, want in expected.items():
        ours = found.get(name)
        argument = given.get(name.removeprefix("gradient of "))
        if name != "y" and (not hasattr(argument, "dtype") or argument.dtype.kind != "f"):
            continue
        assert ours is not None, f"{name} is missing"
        ours = ours if isinstance(ours, np.ndarray) else ours.get()
        assert ours.dtype == dtype and ours.shape == want.shape, name
        worst = np.abs(ours - want).max() if want.size else 0
        assert worst <= tolerance * max(np.abs(want).max(initial=0), floor), f"{name} is wrong by {worst}"


def test_every_operation_with_kernels_has_shapes_of_its_own():
    assert {case.operation for case in TABLE} == set(_kernels)


@pytest.mark.parametrize("operation, version, case, dtype", list(calls_on_the_cpu()))
def test_a_kernel_on_the_cpu_is_the_definition(operation, version, case, dtype):
    def convert(array):
        return array.astype(dtype) if array.dtype.kind == "f" else array

    function = function_of(operation, version)
    kernels.allow_tf32(version == "tf32")
    try:
        check(function, case, convert, dtype, TF32 if version == "tf32" else TOLERANCE[dtype])
    except Unsupported as reason:
        pytest.skip(str(reason))
    finally:
        kernels.allow_tf32(False)


@pytest.mark.parametrize("operation, version, case", list(calls_on_a_gpu()))
def test_a_kernel_on_a_gpu_is_the_definition(operation, version, case, gpu):
    def convert(array):
        return gpu.asarray(array.astype(np.float32) if array.dtype.kind == "f" else array)

    kernels.allow_tf32(version == "tf32")
    try:
        check(_kernels[operation][version].function, case, convert, "float32", TF32 if version == "tf32" else TOLERANCE["float32"])
    except Unsupported as reason:
        pytest.skip(str(reason))
    finally:
        kernels.allow_tf32(False)


LAYOUTS = {
    "every other number": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "last axis first": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, -1, 0)), 0, -1),
    "channels last": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) if a.ndim > 1 else a,
    "backwards": lambda a: a[..., ::-1].copy()[..., ::-1],
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("operation, version", [(name, version) for name in _kernels for version in _kernels[name]])
def test_a_kernel_takes_arrays_in_any_memory_order(operation, version, layout):
    if "cpu" not in (*_kernels[operation][version].devices, *_kernels[operation][version].by_name):
        pytest.skip("not on the CPU")
    function = function_of(operation, version)

    def convert(array):
        return LAYOUTS[layout](array.astype(np.float32)) if array.dtype.kind == "f" and array.ndim else array

    taken = 0
    kernels.allow_tf32(version == "tf32")
    try:
        for case in sorted((c for c in TABLE if c.operation == operation and work(c) >= 100), key=work):
            try:
                check(function, case, convert, "float32", TF32 if version == "tf32" else TOLERANCE["float32"])
                taken += 1
            except Unsupported:
                continue
            if taken == 4:
                break
    finally:
        kernels.allow_tf32(False)
    assert taken >= 3, "the table has too few shapes for this kernel"


@pytest.mark.parametrize("operation, version", [(name, v) for name in _kernels for v, k in _kernels[name].items() if "cpu" in k.devices])
def test_a_kernel_gives_the_gradients_that_are_wanted_whatever_the_others(operation, version):
    """If its backward function asks what is wanted."""
    count, taken = len(operations[operation].parameters), 0
    for case, dtype in itertools.product((c for c in TABLE if c.operation == operation and work(c) >= 100), ("float64", "float32")):
        arguments = draw(case, convert=lambda array, dtype=dtype: array.astype(dtype) if array.dtype.kind == "f" else array)
        try:
            y, backward = arguments.call(_kernels[operation][version].function, arguments.leaves)
        except Unsupported:
            continue
        taken += 1
        if backward.__code__.co_argcount < 2 or taken > 6:
            continue
        tolerance = 1e-9 if dtype == "float64" else 1e-4
        everything = backward(y, (True,) * count)
        for wanted in itertools.product([True, False], repeat=len(everything)):
            some = backward(y, (*wanted, *[False] * (count - len(wanted))))
            for want, gradient, expected in zip(wanted, some, everything, strict=True):
                if want and expected is not None:
                    np.testing.assert_allclose(gradient, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())
    assert taken >= 3, "the table has too few shapes for this kernel"


def test_a_kernel_that_is_wrong_in_one_number_is_found():
    def wrong(*args, **options):
        y, backward = operations["linear"].reference(*args, **options)
        y = y.copy()
        y.flat[-1] += 1e-3 * np.abs(y).max()
        return y, backward

    case = next(case for case in TABLE if case.operation == "linear")
    with pytest.raises(AssertionError, match="y is wrong by"):
        check(wrong, case, as_float64, "float64", 5e-5)
