"""The registry of equations: which function is which formula, and its place in the paper.

    @equation("forward.q_sample", "DDPM eq. 4", errata=5)
    def q_sample(x_0, t, eps, schedule): ...

The decorator returns the function itself, unwrapped: a breakpoint is in the formula, and a
traceback has no extra frame. `python -m minidiff explain ID`, the coverage report and the
docs read the registry. LaTeX and slides stand in `minidiff/classroom/tables/`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
PACKAGE = Path(__file__).resolve().parents[1]

@dataclass(frozen=True)
class Equation:
    """One formula: its function, its place in a paper, its numbers in docs/errata.md."""

    id: str
    function: Callable[..., Any]
    paper: str
    errata: tuple[int, ...] = ()
    registered_in: str = ""
    order: int = 0

    @property
    def summary(self) -> str:
        """First paragraph of the docstring, on one line: the formula in names of the code."""
        return " ".join((inspect.getdoc(self.function) or "").split("\n\n")[0].split())

    @property
    def location(self) -> str:
        """`minidiff/diffusion/forward.py:32`, wherever the package is installed."""
        path = Path(inspect.getsourcefile(self.function) or "?").resolve()
        if path.is_relative_to(PACKAGE):
            path = path.relative_to(PACKAGE.parent)
        return f"{path.as_posix()}:{inspect.getsourcelines(self.function)[1]}"


_registry: dict[str, Equation] = {}


def equation(
    id: str, paper: str, errata: int | tuple[int, ...] = ()
) -> Callable[[F], F]:
    """Register the function below as the formula `id` and return it unchanged.

    Raises: ValueError if the id is taken.
    """
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


def trace(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
    """Run `function` and catch its local variables.

    -> (what it returned, {name: value} in the order of the source)
    """
    terms: dict[str, Any] = {}

    def on_call(frame: FrameType, event: str, arg: Any) -> Any:
        return on_line if frame.f_code is function.__code__ else None  # type: ignore[attr-defined]

    def on_line(frame: FrameType, event: str, arg: Any) -> Any:
        if event == "return":
            terms.clear()
            terms.update(frame.f_locals)
        return on_line

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        result = function(*args, **kwargs)
    finally:
        sys.settrace(before)
    return result, terms
