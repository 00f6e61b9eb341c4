"""The experiment for one equation alone: what it returns for small arguments."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from minidiff.classroom.explain import run
from minidiff.classroom.index import get_equation
from minidiff.classroom.lab.symptom import Experiment, Picture, Symptom
from minidiff.classroom.tables.toy_arguments import small_inputs
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.schedule import make_schedule
from minidiff.diffusion.step import Step
from minidiff.engine.printing import plain_array

MOST = 6  # numbers that are shown


@cache
def numbers_of(id: str) -> Experiment:
    """The experiment that calls one equation."""
    equation = get_equation(id)

    def run_it() -> Symptom:
        return _symptom(id)

    about = f"What {id} returns for small numbers: {equation.summary}"
    return Experiment(f"numbers {id}", f"The numbers of {id}", about, run_it, (id,))


def _symptom(id: str) -> Symptom:
    equation = get_equation(id)
    found: list[tuple[str, float]] = []
    for more in ARGUMENTS.get(id, ({},)):
        arguments = small_inputs(equation) | more
        result, _ = run(equation, arguments)
        told = {key: value for key, value in more.items() if isinstance(value, (int, float))}
        label = ", ".join(f"{key} = {value}" for key, value in told.items())
        found += [(f"{label}: {name}" if label else name, value) for name, value in flat(result)]
    values = np.array([value for _, value in found])
    picture = Picture("curves", "the numbers in their order",
                      {"returned": (np.arange(len(values)), values)})  # fmt: skip
    return Symptom(dict(_spread(found)), (picture,) if len(values) > 2 else ())


ARGUMENTS: dict[str, tuple[dict[str, Any], ...]] = {
    "schedule.linear": ({"rescale": True},),
    "reverse.beta_tilde_clipped": ({"t": 1},),
    "ddim.tau": ({"T": 100, "S": 5},),
    "tilted.interval": ({"t": 2}, {"t": 5}),
    "ddim.inversion_step": ({"t": 2, "t_next": 9},),
    "posterior.mu_tilde": ({"t": 10},),
    "zero_snr.rescale": ({"alpha_bar": make_schedule("linear", 100, rescale=False)
                          .tables["alpha_bar"]},),
    "gaussian.discretised": ({"levels": 4},),
    "learned.bits": ({
        **{name: np.array([[0.5, -1.0], [0.1, 0.4]]) for name in ("x_0", "x_t", "eps_hat")},
        "v": np.array([[1.0, 1.0], [1.0, 1.0]]), "t": np.array([2, 3])},),
    "learned.L_hybrid": ({"bits": 5.0, "T": 1000},),
    "flow_map.quantile": ({"left": np.array([1.0]), "right": np.array([1e-12])},),
    "solver.data_2m": ({"t_before": 9, "t": 8, "t_prev": 2},),
    "flow.oracle_velocity": ({"mixture": GaussianMixture([0.5, 0.5], [[-0.8, 0.0], [0.8, 0.0]],
                                                         0.6), "s": 0.5},),
}  # fmt: skip
"""Other arguments than the small ones, where these do not show what an equation is for."""


def flat(value: Any, name: str = "result") -> Iterator[tuple[str, float]]:
    """Every number of a result with a name: of steps the last terms, of arrays the elements."""
    value = plain_array(value)
    if hasattr(value, "__next__"):
        value = list(value)
    if isinstance(value, Step):
        for term, inner in value:
            yield from flat(inner, f"t = {value.t}: {term}")
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from flat(inner, f"{name} {number}")
    elif value is not None:
        array = np.asarray(value)
        if array.dtype.kind in "biuf":
            for at in np.ndindex(array.shape):
                yield (f"{name}{list(at)}" if at else name), float(array[at])


def _spread(found: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """At most MOST of the numbers, from the first to the last."""
    places = np.unique(np.linspace(0, len(found) - 1, MOST).round().astype(int))
    return [found[i] for i in places]
