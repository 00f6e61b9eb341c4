"""An exercise: a function of the package whose body the student writes."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minidiff.classroom.coverage import slides_of
from minidiff.classroom.index import all_equations, get_equation
from minidiff.engine.operation import operations
from minidiff.engine.printing import source_of

Arguments = dict[str, Any]
Call = Callable[[Callable[..., Any], Arguments], dict[str, Any]]


@dataclass(frozen=True)
class Exercise:
    """A function of the package, and how a student's version of it is tried.

    name: what the student types; about: the id of an equation, or the name of an operation;
    cases: makes the arguments of each call anew; call: calls a version, and gives each result
    its name (None: by the names that the function returns);
    hole: what is taken out: "" the whole body, "forward" all but the derivative, or the name of
    the inner function that is the derivative; task: what the docstring does not say;
    tolerance: relative, of the largest number.
    """

    name: str
    about: str
    cases: Callable[[], list[Arguments]]
    call: Call | None = None
    hole: str = ""
    task: str = ""
    tolerance: float = 1e-9

    @property
    def function(self) -> Callable[..., Any]:
        """The package's own version: the teacher's key."""
        if self.about in operations:
            return operations[self.about].reference
        return get_equation(self.about).function

    @property
    def source(self) -> str:
        """The lines of the package's own version."""
        return source_of(self.function)

    @property
    def summary(self) -> str:
        """The formula in the names of the code."""
        if self.hole not in ("", "forward"):
            return f"the derivative of {self.about}"
        text = " ".join((inspect.getdoc(self.function) or "").split("\n\n")[0].split())
        return text or f"minidiff's {self.function.__qualname__}"

    @property
    def is_a_part(self) -> bool:
        """Whether the student may leave a part of the package's function out."""
        return self.hole == "forward" or bool(self.task and not self.hole)

    @property
    def slides(self) -> list[int]:
        """The numbers of the slides that show it."""
        ids = [id for id, known in all_equations().items() if known.function is self.function]
        return sorted({int(slide.number) for id in ids for slide in slides_of(id)})

    @property
    def returned(self) -> list[str]:
        """The names of what the function returns; "result" where it has none."""
        return returned_names(self.source)


def returned_names(source: str) -> list[str]:
    """The names in the last `return` of a function itself, not of functions inside it."""
    definition: Any = ast.parse(textwrap.dedent(source)).body[0]
    last = definition.body[-1]
    value = last.value if isinstance(last, ast.Return) else None
    items = value.elts if isinstance(value, ast.Tuple) else [value]
    return [item.id if isinstance(item, ast.Name) else "result" for item in items]
