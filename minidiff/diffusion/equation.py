"""The registry of equations: which function is which formula, and its place in the paper.

    @equation("forward.q_sample", "DDPM eq. 4", errata=5)
    def q_sample(x_0, t, eps, schedule): ...

The decorator returns the function itself, unwrapped: a breakpoint is in the formula, and
a traceback has no extra frame. `python -m minidiff explain ID`, the coverage report and
the docs read the registry. LaTeX and slides stand in `minidiff/classroom/tables/`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any, TypeVar

from minidiff.engine.notebook import formula_html
from minidiff.engine.printing import location_of, source_of

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, repr=False)
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
        """First paragraph of the docstring on one line: the formula in code names."""
        return " ".join((inspect.getdoc(self.function) or "").split("\n\n")[0].split())

    @property
    def location(self) -> str:
        """`minidiff/...py:line` of the first line that runs, for a breakpoint."""
        return location_of(self.function)

    def __repr__(self) -> str:
        formula = f": {self.summary}" if self.summary else ""
        return f"<equation {self.id}, {self.paper}, {self.location}{formula}>"

    @property
    def source(self) -> str:
        """The lines of the function without its decorator."""
        return source_of(self.function)

    @property
    def latex(self) -> str:
        """The formula of the slide; "" unless `minidiff.classroom.index` was imported."""
        return latex_by_id.get(self.id, "")

    def _repr_latex_(self) -> str | None:
        return f"$\\displaystyle {self.latex}$" if self.latex else None

    def _repr_html_(self) -> str:
        formula = self._repr_latex_() or f"<code>{escape(self.summary)}</code>"
        caption = f"{self.id}, {self.paper}, {self.location}"
        return formula_html(formula, self.source, caption)


latex_by_id: dict[str, str] = {}  # filled by classroom/index.py, on a floor above
_registry: dict[str, Equation] = {}


def equation(
    id: str, paper: str, errata: int | tuple[int, ...] = ()
) -> Callable[[F], F]:
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
