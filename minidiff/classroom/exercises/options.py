"""The options of `python -m minidiff exercise`."""

from __future__ import annotations

import argparse
from typing import Any


def add_exercise(commands: Any) -> None:
    """Add the command to those of `python -m minidiff`."""
    command = commands.add_parser(
        "exercise", help="write a formula yourself: the package's functions without their bodies"
    )
    command.add_argument(
        "name", nargs="?", help="which one to grade, or all; without a name: the list"
    )
    command.add_argument("folder", nargs="?", default=".", help="where your file is (here)")
    command.add_argument("--new", metavar="DIR", help="write the folder to work in")
    command.add_argument(
        "--hint", nargs="?", type=int, const=1, metavar="N", help="the N-th hint (default: first)"
    )
    command.add_argument(
        "--seconds", type=float, default=30.0, help="that your code may take (default: 30)"
    )
    command.add_argument(
        "--debug", action="store_true", help="without a time limit, so that breakpoint() works"
    )
    command.add_argument(
        "--checks", action="store_true", help="run the package's tests on your function, too"
    )


def exercise(options: argparse.Namespace) -> int:
    """Run the command.   -> the exit status: 1 for a wrong answer"""
    from minidiff.classroom.exercises import command

    if options.new:
        print(command.new_folder(options.new))
    elif options.name is None:
        if options.hint is not None:
            raise ValueError("exercise: --hint needs the name of an exercise")
        print(command.listing())
    elif options.hint is not None:
        print(command.hint(options.name, options.hint))
    else:
        if not options.seconds > 0:
            raise ValueError(f"exercise: --seconds must be > 0, got {options.seconds:g}")
        given = options.name, options.folder, options.seconds
        right, text = command.grade_files(*given, debug=options.debug, checks=options.checks)
        print(text)
        return 0 if right else 1
    return 0
