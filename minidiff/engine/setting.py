"""Settings, such as `no_grad`, that hold inside of a block, a function or a generator.

    with no_grad(): ...

    @no_grad()
    def sample(model): ...

A decorated generator has the setting whenever its body runs, and its caller never has it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Setting(Generic[T]):
    """A value that is `default` outside of all blocks."""

    def __init__(self, name: str, default: T):
        self.default = default
        # of each block that is open, innermost last: its mark and its value
        self.open: ContextVar[tuple[tuple[Any, T], ...]] = ContextVar(name, default=())

    def get(self) -> T:
        blocks = self.open.get()
        return blocks[-1][1] if blocks else self.default

    def set(self, value: T) -> None:
        """Change the value up to the end of the innermost block."""
        blocks = self.open.get()
        mark = blocks[-1][0] if blocks else None
        self.open.set((*blocks[:-1], (mark, value)))

    def block(self, value: T) -> Block:
        """A block in which the setting is `value`."""
        return Block(self, lambda before: value)


class Block:
    """What stands behind `with`, or as a decorator over a function or a generator.

    change: the value before -> the value inside.
    Two generators may be inside of blocks and end in any order: each takes off its own.
    """

    def __init__(self, setting: Setting, change: Callable[[Any], Any]):
        self.setting, self.change = setting, change
        self.marks: list[object] = []

    def __enter__(self) -> None:
        self.marks.append(object())
        value = self.change(self.setting.get())
        self.setting.open.set((*self.setting.open.get(), (self.marks[-1], value)))

    def __exit__(self, *error: Any) -> None:
        mark, blocks = self.marks.pop(), self.setting.open.get()
        self.setting.open.set(tuple(block for block in blocks if block[0] is not mark))

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` with its body inside of the block.

        Raises: TypeError for a class and for an async function.
        """
        waits = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        if waits or inspect.isclass(function) or not callable(function):
            raise TypeError(
                f"{self.setting.open.name}: only functions and generators can be decorated, "
                f"got {function!r}; use `with` inside of it"
            )

        @functools.wraps(function)
        def generator_inside(*args: Any, **kwargs: Any) -> Any:
            return (yield from self._resumed_inside(function(*args, **kwargs)))

        @functools.wraps(function)
        def function_inside(*args: Any, **kwargs: Any) -> Any:
            with Block(self.setting, self.change):
                return function(*args, **kwargs)

        return generator_inside if inspect.isgeneratorfunction(function) else function_inside

    def _resumed_inside(self, generator: Generator) -> Generator:
        """The same values, each computed inside of the block and handed out outside of it."""
        resume, given = generator.send, None
        while True:
            with Block(self.setting, self.change):
                try:
                    value = resume(given)  # type: ignore[arg-type]
                except StopIteration as end:
                    return end.value
            try:
                given = yield value
                resume = generator.send
            except GeneratorExit:
                with Block(self.setting, self.change):
                    generator.close()
                raise
            except BaseException as error:
                resume, given = generator.throw, error  # type: ignore[assignment]
