"""Toy arguments on which exercises are graded: each call makes them anew, always the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidiff.classroom.exercises.exercise import Arguments
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor, gradients

Cases = Callable[[], list[Arguments]]
T = 10
MIXTURE = GaussianMixture([0.3, 0.7], [[-0.8, 0.2], [0.6, -0.4]], 0.1)


def normal(seed: int, *shape: int) -> np.ndarray:
    """Numbers from N(0, 1), float64."""
    return np.random.default_rng(seed).normal(size=shape)


def images(*names: str, first: int = 2, **more: Any) -> Cases:
    """Two images with a t each, then images with one t; float64 arrays of these names."""

    def make() -> list[Arguments]:
        cases = []
        times = (np.array([3, 7]), 5, np.array([first, T]))
        shapes = ((2, 6), (3, 5), (2, 1, 3, 3))
        for number, (t, shape) in enumerate(zip(times, shapes, strict=True)):
            schedule = make_schedule(("linear", "cosine", "linear")[number], T)
            arrays = {n: normal(10 * number + i, *shape) for i, n in enumerate(names)}
            cases.append({**arrays, "t": t, "schedule": schedule, **more})
        return cases

    return make


def given(*cases: Arguments) -> Cases:
    """Cases that are plain numbers and words."""
    return lambda: [dict(case) for case in cases]


def arrays(*names: str, shape: tuple[int, ...] = (2, 6), **more: Any) -> Cases:
    """Two cases of float64 arrays of one shape."""

    def make() -> list[Arguments]:
        return [
            {name: normal(10 * n + i, *shape) for i, name in enumerate(names)} | more
            for n in range(2)
        ]

    return make


def beta_tables() -> list[Arguments]:
    """beta with its entry 0, of two schedules."""
    return [{"beta": make_schedule(name, T).tables["beta"]} for name in ("linear", "cosine")]


def two_tables() -> list[Arguments]:
    """beta and 1 - alpha_bar, of two schedules."""
    tables = [make_schedule(name, T).tables for name in ("linear", "cosine")]
    return [{k: table[k] for k in ("beta", "one_minus_alpha_bar")} for table in tables]


def samplers(**options: Any) -> Cases:
    """A sampler on the exact predictor of a mixture: the oracle stands for the network."""

    def make() -> list[Arguments]:
        schedule = make_schedule("linear", T)
        common = {"eps_theta": MIXTURE.eps_theta(schedule), "start": normal(1, 5, 2)}
        ways = {name: value for name, value in options.items() if isinstance(value, tuple)}
        name, values = next(iter(ways.items()))
        return [common | {"schedule": schedule, "rng": RNG(3), name: value} for value in values]

    return make


def training() -> list[Arguments]:
    """Algorithm 1 on two batches, with the oracle for the network."""
    schedule = make_schedule("linear", T)
    network = MIXTURE.eps_theta(schedule)
    return [
        {"network": network, "x_0": normal(n, 3, 2), "t": np.array([2, 5, 9]),
         "eps": normal(n + 5, 3, 2), "schedule": schedule}
        for n in range(2)
    ]  # fmt: skip


def jumps(**more: Any) -> Cases:
    """Jumps of DDIM from t to t_prev."""

    def make() -> list[Arguments]:
        schedule = make_schedule("linear", T)
        return [
            {"t": t, "t_prev": t_prev, "schedule": schedule, **more}
            for t, t_prev in ((7, 4), (5, 4), (9, 1))
        ]

    return make


def ddim_parts(*names: str) -> Cases:
    """Arrays, t_prev and sigma_t of DDIM's step."""

    def make() -> list[Arguments]:
        schedule = make_schedule("linear", T)
        return [
            {n: normal(10 * number + i, 2, 6) for i, n in enumerate(names)}
            | {"t_prev": t_prev, "sigma_t": 0.2, "schedule": schedule}
            for number, t_prev in enumerate((4, 6))
        ]

    return make


def codes() -> list[Arguments]:
    """Vectors and a codebook, with the chosen codes."""
    return [
        {"N": np.array([2.0, 3.0, 4.0]), "m": normal(n, 3, 2), "z_e": normal(n + 3, 5, 2),
         "k": np.array([0, 1, 1, 0, 1]), "gamma": 0.9}
        for n in range(2)
    ]  # fmt: skip


def forward_only() -> Callable[..., dict[str, Any]]:
    """A call of an operation for its value alone."""

    def call(function: Callable[..., Any], arguments: Arguments) -> dict[str, Any]:
        result = function(**arguments)
        is_pair = isinstance(result, tuple) and len(result) == 2 and callable(result[1])
        return {"y": result[0] if is_pair else result}

    return call


def with_gradients(*names: str) -> Callable[..., dict[str, Any]]:
    """A call of an operation: its value, then the gradients of these arguments, for one dy."""

    def call(function: Callable[..., Any], arguments: Arguments) -> dict[str, Any]:
        result = function(**arguments)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise TypeError("it must return the value and the derivative: y, backward")
        y, backward = result
        got = backward(normal(99, *np.shape(y)))
        listed = got if isinstance(got, tuple) else (got,)
        order = list(arguments)
        return {"y": y} | {
            f"d{name}": listed[order.index(name)] if order.index(name) < len(listed) else None
            for name in names
        }

    return call


def on_tensors(*names: str) -> Callable[..., dict[str, Any]]:
    """A call on Tensors: the value, and the gradient that each argument gets from its sum."""

    def call(function: Callable[..., Any], arguments: Arguments) -> dict[str, Any]:
        tensors = {name: Tensor(arguments[name], requires_grad=True) for name in names}
        value = function(**arguments | tensors)
        total = Tensor(normal(98, *value.shape)) * value
        zero = sum((0.0 * tensor).sum() for tensor in tensors.values())
        found = gradients(total.sum() + zero, list(tensors.values()))
        got = {f"d{n}": gradient for n, gradient in zip(names, found, strict=True)}
        return {"value": value.data} | got

    return call
