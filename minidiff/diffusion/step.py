"""`Step`: every named term of one step of an algorithm, to watch or to draw."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minidiff.engine.notebook import terms_html
from minidiff.engine.printing import describe


class Step:
    """The terms of one step, by name: `step.x_0_hat`, `step["x_0_hat"]`, `step.names`.

    algorithm: "ddpm", "ddim", "train", ...; t: the step's time, an int, or (B,) ints
    where each image has its own."""

    def __init__(self, algorithm: str, t: Any, **terms: Any):
        self.algorithm = algorithm
        self.t = t
        self.terms = terms

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the terms, in the order in which the algorithm computes them."""
        return tuple(self.terms)

    def __getattr__(self, name: str) -> Any:
        if name in ("algorithm", "terms"):  # not there yet, while it is copied
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __getitem__(self, name: str) -> Any:
        if name not in self.terms:
            owner, known = f"this {self.algorithm} step", ", ".join(self.terms)
            raise KeyError(f"{owner} has no term {name!r}; it has {known}")
        return self.terms[name]

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self.terms.items())

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.terms]

    def __repr__(self) -> str:
        lines = [f"Step {self.algorithm}, t = {self.t}"]
        lines += [f"  {name:12} {describe(value)}" for name, value in self.terms.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return terms_html(f"Step {self.algorithm}, t = {self.t}", self.terms)
