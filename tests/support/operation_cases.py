"""The one table of calls by which every operation is checked: its gradient, its independence of NumPy, its guard against in-place edits.

An argument is written as what is to be drawn for it: `normal(2, 3)` is an array whose gradient is checked, `ints(5, 4)` one that has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minidiff.engine.backend import to_device
from minidiff.engine.random import RNG


class Draw(NamedTuple):
    """An argument that is drawn anew for each test."""

    function: Callable[[RNG], Any]
    differentiable: bool = True


class Case(NamedTuple):
    operation: str
    args: tuple
    options: dict[str, Any]

    def __repr__(self) -> str:
        return self.operation


def normal(*shape):
    return Draw(lambda rng: rng.normal(shape, dtype=np.float64))


def positive(*shape):
    return Draw(lambda rng: 0.5 + rng.uniform(shape, dtype=np.float64))


def apart(*shape):
    """Numbers that differ from each other and from 0, 1/2 and 1 by more than a finite difference: away from every kink."""
    return Draw(lambda rng: (np.asarray(rng.permutation(int(np.prod(shape)))).reshape(shape) - 2.3) * 0.4)


def ints(high, *shape):
    return Draw(lambda rng: rng.integers(0, high, shape), differentiable=False)


def bools(*shape):
    """True and False by turns."""
    return Draw(lambda rng: (np.arange(np.prod(shape)) % 2 == 0).reshape(shape), differentiable=False)


class Sent(RNG):
    """The numbers that a CPU draws, on any device: results can be compared."""

    def __init__(self, seed, device):
        super().__init__(seed)
        self.device = device

    def uniform(self, shape=(), dtype=np.float32):
        return to_device(super().uniform(shape, dtype), self.device)


def generator(seed):
    """An RNG that starts anew at each call, so that each evaluation of dropout drops the same elements."""
    return Draw(lambda rng: Sent(seed, rng.device), differentiable=False)


def _cases(operation, *calls):
    result = []
    for call in calls:
        call = call if type(call) is tuple else (call,)
        options = call[-1] if call and isinstance(call[-1], dict) else {}
        result.append(Case(operation, call[:-1] if options else call, options))
    return result


def _elementwise(operation, draw=normal):
    """Functions of one array: several axes, one element, no axis, no element."""
    return _cases(operation, draw(2, 3), draw(1), draw())


def _broadcasting(operation, draw=normal):
    """Functions of two arrays: equal shapes, either one repeated, both repeated, no axis at all, a number on either side."""
    pairs = [((2, 3), (2, 3)), ((2, 3), (3,)), ((1, 3), (4, 2, 1)), ((), (2, 2)), ((), ()), ((2, 1), (2, 3))]
    return _cases(operation, *((draw(*a), draw(*b)) for a, b in pairs), (draw(2, 3), 1.5), (1.5, draw(2, 3)))


_reductions = [(), (0,), (-1,), ((0, 2),), (None, True), (1, True), ((0, -1), True)]  # axis, keepdims
_convolutions = [
    {},
    {"padding": 1},
    {"stride": 2, "padding": 1},
    {"stride": (1, 2), "padding": (2, 0)},
    {"dilation": 2, "padding": 2},
    {"dilation": (1, 2), "stride": 3},
]

_all = [
    *_broadcasting("add"), *_broadcasting("subtract"), *_broadcasting("multiply"), *_broadcasting("divide", positive),
    *_broadcasting("maximum", apart)[2:3], *_broadcasting("minimum", apart)[2:3],
    *_cases("maximum", (apart(2, 4), 0.5), (0.5, apart(6))), *_cases("minimum", (apart(2, 4), 0.5), (0.5, apart(6))),
    *_cases("power", (normal(2, 3), 2), (normal(3), 3.0), (positive(4), -1.5), (positive(2), 0.5), (normal(2), 1)),
    *_cases("power", (positive(2, 3), normal(3)), (2.0, normal(3)), (3, normal()), (positive(4), normal(4))),
    *_elementwise("negative"), *_elementwise("absolute", apart), *_elementwise("exp"), *_elementwise("erfc"), *_elementwise("log", positive),
    *_elementwise("sqrt", positive), *_elementwise("sin"), *_elementwise("cos"), *_elementwise("sigmoid"), *_elementwise("swish"),
    *_cases("relu", apart(2, 3), positive(1), positive()), *_elementwise("tanh"), *_elementwise("gelu"), *_cases("gelu", (normal(2, 3), "tanh")),
    *_cases("clip", (apart(3, 4), -0.5, 0.6), (apart(5), None, 0.6), (apart(5), -0.5), {"max": 0.5, "x": apart(6)},
            (normal(2, 40), normal(40), 0.6), (normal(20), -0.1, normal(2, 20)), (normal(20), normal(20), normal(20))),
    *_cases("where", (bools(2, 3), normal(2, 3), normal(3)), (bools(3), normal(2, 3), 0.0), (bools(2, 1), 1.0, normal(3))),
    *_cases("softmax", normal(3, 4), (normal(2, 3, 2), 1), (normal(2, 3), (0, 1))),
    *_cases("log_softmax", normal(3, 4), (normal(2, 3, 2), 1), (normal(2, 3), (0, 1))),
    *(case for name in ("sum", "mean", "var") for case in _cases(name, *((normal(2, 3, 4), *how) for how in _reductions))),
    *(case for name in ("max", "min") for case in _cases(name, *((apart(2, 3, 4), *how) for how in _reductions))),
    *_cases("prod", *((positive(2, 3, 4), *how) for how in _reductions), normal(1), normal()), *_cases("cumsum", (normal(3), 0), (normal(2, 3, 4), 1), (normal(2, 3), -1)),
    *_cases("reshape", (normal(2, 6), (3, -1)), (normal(4), -1), (normal(2, 2), [4])),
    *_cases("transpose", normal(2, 3, 4), (normal(2, 3, 4), (1, -1, 0))),
    *_cases("swapaxes", (normal(2, 3, 4), 0, -1)),
    *_cases("squeeze", normal(1, 3, 1), (normal(1, 3, 1), -1), (normal(1, 3, 1), (0, 2))),
    *_cases("expand_dims", (normal(2, 3), 1), (normal(2), -1)),
    *_cases("broadcast_to", (normal(3), (2, 3)), (normal(2, 1, 3), (4, 2, 5, 3))),
    *_cases("astype", (normal(3), np.float64)),
    *_cases(
        "getitem", (normal(4, 5), 1), (normal(4, 5), (slice(1, None, 2), slice(None, None, -1))), (normal(4, 5), (Ellipsis, None, -2)),
        (normal(4, 5), ints(4, 9)), (normal(4, 5), (ints(4, 3, 2), slice(1, 3))), (normal(4, 5), (slice(None), ints(5, 7))),
        (normal(4, 5), (ints(4, 6), ints(5, 6))), (normal(4, 5), bools(4, 5)), (normal(4, 3), [0, 2, 2, -1]),
    ),
    *_cases(
        "setitem", (normal(4, 5), 1, normal(5)), (normal(4, 5), (slice(1, None, 2), slice(None, None, -1)), normal(2, 1)),
        (normal(4, 5), ints(2, 5), normal(5, 5)), (normal(4, 5), bools(4, 5), normal()), (normal(4, 5), (Ellipsis, -1), 2.5), (normal(2, 3), 0, normal(1, 3)),
    ),
    *_cases("concatenate", ([normal(2, 3), normal(1, 3)],), ([normal(2, 1), normal(2, 3), normal(2, 2)], -1), {"tensors": [normal(2)]}),
    *_cases("stack", ([normal(2, 3), normal(2, 3)],), ([normal(2), normal(2), normal(2)], 1), ([normal(2), normal(2)], -1)),
    *_cases("pad", (normal(2, 3), (1, 2)), (normal(2, 3), (0, 1, 2, 0), "constant", 5.0), (normal(2), (0, 0)),
            *((normal(2, 3, 4), (1, 2, 0, 1), mode) for mode in ("reflect", "replicate", "circular"))),
    *_cases(
        "matmul", (normal(2, 3), normal(3, 4)), (normal(3), normal(3)), (normal(3), normal(3, 2)), (normal(2, 3), normal(3)),
        (normal(5, 2, 3), normal(3, 4)), (normal(2, 1, 2, 3), normal(4, 3, 2)), (normal(3), normal(2, 3, 4)), (normal(2, 2, 3), normal(3)),
    ),
    *_cases(
        "linear", (normal(2, 3), normal(4, 3)), (normal(2, 3), normal(4, 3), normal(4)), (normal(3), normal(4, 3), normal(4)),
        (normal(2, 5, 3), normal(4, 3), {"bias": normal(4)}),
    ),
    *_cases("mse_loss", *((normal(2, 3), normal(2, 3), reduction) for reduction in ("mean", "sum", "none")), (normal(), normal())),
    *_cases("cross_entropy", *((normal(4, 5), ints(5, 4), reduction) for reduction in ("mean", "sum", "none"))),
    *_cases("cross_entropy", (normal(2, 5, 3), ints(5, 2, 3), "mean"), (normal(6, 4), ints(4, 6), "mean", 1), (normal(6, 4), ints(4, 6), "sum", 1, 0.3),
            (normal(2, 3, 2, 2), ints(3, 2, 2, 2), "none", {"label_smoothing": 0.1})),
    *_cases("contract", ([normal(2, 3), normal(3, 4)], "ij,jk->ik"), ([normal(2, 3)], "ij->ji"), ([normal(2, 3)], "ij->i"), ([normal(3), normal(2)], "i,j->"),
            ([normal(2, 3, 4), normal(4, 2), normal(2)], "bij,jb,b->bi"), ([normal(2, 3), normal(2, 3)], "ij,ij->")),
    *_cases("embedding", (ints(4, 9), normal(4, 3)), (ints(4, 2, 3), normal(4, 2))),
    *_cases("dropout", (normal(3, 4), 0.4, generator(1)), (normal(5), 0, generator(2))),
    *_cases("avg_pool2d", (normal(2, 3, 4, 6), 2), (normal(1, 2, 5, 7), 3), (normal(1, 1, 3, 3), 1)),
    *_cases("interpolate", (normal(2, 3, 2, 3), 2), (normal(1, 2, 3, 1), 3)),
    *_cases(
        "attention", (normal(2, 2, 3, 4), normal(2, 2, 3, 4), normal(2, 2, 3, 4)), (normal(2, 3, 4), normal(2, 5, 4), normal(2, 5, 6)),
        (normal(2, 3, 4), normal(2, 5, 4), normal(2, 5, 4), bools(3, 5)), (normal(2, 3, 4), normal(2, 3, 4), normal(2, 3, 4), None, True),
        (normal(2, 3, 4), normal(2, 5, 4), normal(2, 5, 4), normal(3, 5)), (normal(1, 2), normal(3, 2), normal(3, 2), {"scale": 0.3}),
    ),
    *_cases("self_attention", (normal(2, 4, 3, 2, 3),), (normal(1, 1, 3, 1, 2),)),
    *_cases("conv2d", *((normal(2, 2, 7, 6), normal(3, 2, 3, 2), normal(3), how) for how in _convolutions if how)),
    *_cases("conv2d", (normal(2, 2, 5, 4), normal(4, 2, 3, 3)),
            (normal(1, 4, 4, 4), normal(6, 2, 3, 3), normal(6), {"groups": 2, "padding": 1})),
    *_cases("conv2d", (normal(2, 3, 4, 4), normal(5, 3, 1, 1), normal(5)), (normal(1, 16, 6, 6), normal(16, 16, 3, 3), normal(16), 1, 1)),
    *_cases("conv_transpose2d", *((normal(2, 2, 4, 3), normal(2, 3, 3, 2), normal(3), how) for how in _convolutions if how)),
    *_cases(
        "conv_transpose2d", (normal(2, 2, 3, 4), normal(2, 3, 4, 4), normal(3), 2, 1), (normal(1, 2, 3, 3), normal(2, 1, 2, 3)),
        (normal(1, 4, 3, 3), normal(4, 3, 3, 3), normal(6), {"groups": 2, "stride": 2, "padding": 1, "output_padding": 1}),
    ),
    *(
        case for name in ("group_norm", "group_norm_swish") for case in _cases(
            name, (normal(2, 4, 3, 2), 2), (normal(2, 6, 3), 3, normal(6), normal(6)), (normal(3, 4), 1, normal(4)),
            (normal(2, 4, 3, 3), 2, {"bias": normal(4), "eps": 0.1}),
        )
    ),
    *_cases("layer_norm", (normal(3, 4), 4), (normal(2, 3, 4), (3, 4), normal(3, 4), normal(3, 4)), (normal(2, 5), (5,), None, normal(5))),
]  # fmt: skip

CASES = [case for case in _all if case.options or case.args]
WITHOUT_DERIVATIVE = {"argmax", "equal", "greater", "greater_equal", "less", "less_equal", "not_equal"}


class Arguments(NamedTuple):
    """The drawn arguments of a case.    leaves: the arrays whose gradients are checked; call(function, leaves): the call with these."""

    leaves: list[Any]
    call: Callable[[Callable, list[Any]], Any]


def draw(case: Case, seed: int = 0, convert: Callable[[Any], Any] = lambda array: array, device: str = "cpu") -> Arguments:
    """convert: applied to each array that is drawn."""
    rng = RNG(seed)
    leaves: list[Any] = []

    def prepare(value):
        if isinstance(value, Draw) and value.differentiable:
            leaves.append(convert(np.asarray(value.function(rng))))
            place = len(leaves) - 1
            return lambda given: given[place]
        if isinstance(value, Draw):
            drawn = value.function(rng)
            if isinstance(drawn, RNG):
                return lambda given: value.function(RNG(0, device))
            drawn = convert(drawn)
            return lambda given: drawn
        if type(value) in (list, tuple) and any(isinstance(item, Draw) for item in value):
            items = [prepare(item) for item in value]
            return lambda given: type(value)(item(given) for item in items)
        return lambda given: value

    args = [prepare(value) for value in case.args]
    options = {key: prepare(value) for key, value in case.options.items()}
    return Arguments(leaves, lambda function, given: function(*(a(given) for a in args), **{k: o(given) for k, o in options.items()}))
