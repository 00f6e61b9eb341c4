"""A parser that knows which options were given, and which are defaults."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any, NoReturn

from minidiff.cli.limits import Place
from minidiff.training.checkpoint import one_line

Options = argparse.Namespace


class Parser(argparse.ArgumentParser):
    """Its options have `given`, the names of those that stood on the command line."""

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        options = super().parse_args(args, namespace)
        names = [action.dest for action in self.settable()]
        again = super().parse_args(args, argparse.Namespace(**dict.fromkeys(names, _UNSET)))
        options.given = frozenset(name for name in names if getattr(again, name) is not _UNSET)
        return options

    def error(self, message: str) -> NoReturn:
        super().error(one_line(message))

    def settable(self) -> list[argparse.Action]:
        """The options that hold one value."""
        single = (argparse._StoreAction, argparse._StoreConstAction)
        return [action for action in self._actions if isinstance(action, single)]

    def value(self, action: argparse.Action, stored: Any) -> Any:
        """A value of a checkpoint, checked as if it stood on the command line.

        Raises: ValueError if it could not stand there.
        """
        name = action.option_strings[-1]
        if stored is None and action.default is None:
            return None
        if isinstance(action, argparse._StoreConstAction):
            if stored not in (action.const, action.default):
                raise ValueError(f"its {name} is {stored!r}")
            return stored
        if isinstance(stored, bool) or not isinstance(stored, (str, int, float)):
            raise ValueError(f"its {name} is {stored!r}")
        try:
            value = self._get_value(action, str(stored))
            self._check_value(action, value)
        except argparse.ArgumentError as error:
            raise ValueError(f"its {name} is {stored!r}: {error.message}") from error
        return value


_UNSET = object()


def make_parser(description: str | None) -> Parser:
    """A parser that prints the description with its own line breaks."""
    keep = argparse.RawDescriptionHelpFormatter
    return Parser(description=description, formatter_class=keep)


def stored_options(options: Options, **facts: Any) -> dict[str, Any]:
    """The options as a checkpoint keeps them, and further facts.

    Paths are absolute: whoever resumes may be in another folder.
    """
    kept = {name: value for name, value in vars(options).items() if name != "given"}
    for name, value in kept.items():
        if isinstance(value, Place):
            kept[name] = os.path.abspath(value)
    return {**kept, **facts}
