"""Bugs put into the running package, and taken out again."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from minidiff.classroom.mutants import patched
from minidiff.engine.operation import operations


class Patch(NamedTuple):
    """In the function `target`, `old` becomes `new`.

    target: "package.module:name" below minidiff, where name may be Class.method; of an operation
    its definition is meant, of a property its getter
    """

    target: str
    old: str
    new: str


def function_at(target: str) -> Callable[..., Any]:
    """The plain function that a target names.

    Raises: AttributeError or ImportError if there is none.
    """
    module, _, path = target.partition(":")
    value: Any = importlib.import_module(f"minidiff.{module}")
    for name in path.split("."):
        value = inspect.getattr_static(value, name)
    if isinstance(value, property):
        value = value.fget
    known = operations.get(getattr(value, "name", ""))
    if known is value:
        value = known.reference
    return inspect.unwrap(value)


@contextlib.contextmanager
def applied(patches: tuple[Patch, ...]) -> Iterator[None]:
    """Inside, the package runs with all of these changes; afterwards it is as it was.

    Two changes of one function are made together.
    """
    with contextlib.ExitStack() as stack:
        for target in dict.fromkeys(patch.target for patch in patches):
            mine = [patch for patch in patches if patch.target == target]
            stack.enter_context(patched(function_at(target), *_joined(target, mine)))
        yield


def _joined(target: str, patches: list[Patch]) -> tuple[str, str]:
    """One replacement that makes those of one function at once."""
    if len(patches) == 1:
        return patches[0].old, patches[0].new
    from minidiff.engine.printing import source_of

    source = source_of(function_at(target))
    starts = [source.index(p.old) for p in patches]
    ends = [start + len(p.old) for start, p in zip(starts, patches, strict=True)]
    old = new = source[min(starts) : max(ends)]
    for patch in patches:
        new = new.replace(patch.old, patch.new, 1)
    return old, new
