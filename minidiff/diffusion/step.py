"""`Step`: every named term of one step of an algorithm, to watch or to draw."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


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
        terms = self.__dict__.get("terms", {})
        if name in terms:
            return terms[name]
        owner = f"this {self.__dict__.get('algorithm')} step"
        raise AttributeError(f"{owner} has no term {name!r}; it has {', '.join(terms)}")

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


def describe(value: Any) -> str:
    """One line about a term: a number in full, an array by dtype, shape and range."""
    if value is None or isinstance(value, (str, bool)):
        return str(value)
    if isinstance(value, (int, float)):
        return f"{value:.6g}"
    if getattr(value, "size", 0) == 1:
        return f"{float(value.reshape(-1)[0]):.6g}    {value.dtype} {tuple(value.shape)}"
    if hasattr(value, "min") and hasattr(value, "dtype"):
        low, mean, high = (float(x) for x in (value.min(), value.mean(), value.max()))
        spread = f"min {low:.4g}, mean {mean:.4g}, max {high:.4g}"
        return f"{value.dtype} {tuple(value.shape)}, {spread}"
    return repr(value)
