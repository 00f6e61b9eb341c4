"""The registry of equations: which function is which formula, and its place in the paper.

    @equation("forward.q_sample", "DDPM eq. 4", errata=5)
    def q_sample(x_0, t, eps, schedule): ...

The decorator returns the function itself, unwrapped: a breakpoint is in the formula, and
a traceback has no extra frame. `python -m minidiff explain ID`, the coverage report and
the docs read the registry. LaTeX and slides stand in `minidiff/classroom/tables/`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Equation:
    """One formula: its function, its place in a paper, its numbers in docs/errata.md."""

    id: str
    function: Callable[..., Any]
    paper: str
    errata: tuple[int, ...] = ()
    registered_in: str = ""
    order: int = 0


_registry: dict[str, Equation] = {}


def equation(id: str, paper: str, errata: int | tuple[int, ...] = ()) -> Callable[[F], F]:
    """Register the function below as the formula `id` and return it unchanged.

    Raises: ValueError if the id is taken."""
    numbers = (errata,) if isinstance(errata, int) else errata
    module = sys._getframe(1).f_globals.get("__name__", "")

    def register(function: F) -> F:
        known = _registry.get(id)
        if known is not None and known.function.__qualname__ != function.__qualname__:
            owner = f"{known.function.__module__}.{known.function.__name__}"
            raise ValueError(f"equation: the id {id!r} is taken by {owner}")
        _registry[id] = Equation(id, function, paper, numbers, module, len(_registry))
        return function

    return register


def registered() -> dict[str, Equation]:
    """The equations of all modules imported so far, by id."""
    return dict(_registry)
