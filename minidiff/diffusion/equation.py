"""The registry of equations: which function is which formula, where it stands on the deck and in the paper.

    @equation("ddpm.q_sample", slide="Forward Diffusion Process", paper="DDPM eq. 4", latex=r"...")
    def q_sample(x_0, t, eps, schedule): ...

The decorator returns the function itself, unwrapped: a call is a call, a breakpoint is in the formula, and a traceback has
no extra frame. `python -m minidiff explain ID`, the coverage report and the docs read the registry.
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

@dataclass(frozen=True)
class Equation:
    """One formula: its function and where it comes from.    slide: a title of the deck, or None; errata: numbers in docs/errata.md."""

    id: str
    function: Callable[..., Any]
    slide: str | None
    paper: str
    latex: str
    errata: tuple[int, ...] = ()
    registered_in: str = ""
    order: int = 0

    @property
    def summary(self) -> str:
        """First paragraph of the docstring, on one line."""
        return " ".join((inspect.getdoc(self.function) or "").split("\n\n")[0].split())

    @property
    def location(self) -> str:
        """`path/to/file.py:line` of the function, as an editor or a terminal can open it."""
        path = Path(inspect.getsourcefile(self.function) or "?")
        try:
            path = path.relative_to(Path.cwd())
        except ValueError:
            pass
        return f"{path}:{inspect.getsourcelines(self.function)[1]}"


_registry: dict[str, Equation] = {}


def equation(
    id: str, paper: str, *, errata: int | tuple[int, ...] = (), slide: str | None = None, latex: str = ""
) -> Callable[[F], F]:
    """Register the function below as the formula `id` and return it unchanged.    Raises ValueError if the id is taken."""
    errata = (errata,) if isinstance(errata, int) else errata
    module = sys._getframe(1).f_globals.get("__name__", "")

    def register(function: F) -> F:
        known = _registry.get(id)
        if known is not None and known.function.__qualname__ != function.__qualname__:
            raise ValueError(f"equation: the id {id!r} is taken by {known.function.__module__}.{known.function.__name__}")
        _registry[id] = Equation(id, function, slide, paper, latex, errata, module, len(_registry))
        return function

    return register


def registered() -> dict[str, Equation]:
    """The equations of all modules imported so far, by id."""
    return dict(_registry)


def trace(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
    """Run `function` and catch its local variables.    -> (what it returned, {name: value} in the order of the source)."""
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
