"""The options of `python -m minidiff lab`."""

from __future__ import annotations

import argparse
from typing import Any


def add_lab(commands: Any) -> None:
    """Add the command to those of `python -m minidiff`."""
    command = commands.add_parser(
        "lab", help="the bug lab: see what a bug does, and name it; without a round: the list"
    )
    command.add_argument("round", nargs="?", help="r1, r2, ... or k1, ... or m1, ...")
    command.add_argument("--list", action="store_true", help="every round, one line each")
    command.add_argument(
        "--answer", metavar="ANSWER",
        help='a letter for r1, r2, ...; a line and a term for the others: "4 sqrt(now.alpha)"',
    )  # fmt: skip
    command.add_argument(
        "--hint", nargs="?", type=int, const=1, metavar="N", help="the N-th hint (default: first)"
    )
    command.add_argument("--reveal", action="store_true", help="the bug, and what catches it")
    command.add_argument("--picture", metavar="FILE", help="write the pictures as a PNG")
    command.add_argument(
        "--check", action="store_true", help="of a kernel: run it with the race check"
    )
    command.add_argument(
        "--gdb", metavar="DIR", help="of a kernel: build it into a folder, for gdb"
    )


def lab(options: argparse.Namespace) -> int:
    """Run the command.   -> the exit status: 1 for a wrong answer"""
    from minidiff.classroom.lab import command, kernels
    from minidiff.classroom.lab.diagnosis import diagnose
    from minidiff.classroom.lab.show import hint, reveal, show_round

    asked = [name for name in ("answer", "hint", "reveal", "picture", "check", "gdb")
             if getattr(options, name) not in (None, False)]  # fmt: skip
    if options.round is None:
        if asked:
            raise ValueError(f"lab: --{asked[0]} needs a round, such as r1")
        print(command.listing_text(options.list))
        return 0
    if len(asked) > 1:
        raise ValueError(f"lab: give one of --{asked[0]} and --{asked[1]}, not both")
    if options.round.strip().lower() in kernels.KERNELS:
        return kernels.run_round(options)
    round = command.round_called(options.round)
    if options.check or options.gdb:
        raise ValueError(f"lab: --{asked[0]} is for the rounds of kernels, k1 and so on")
    if options.answer is not None:
        grade = diagnose(round, options.answer)
        print(command.graded(grade))
        return 0 if grade.right else 1
    if options.hint is not None:
        print(hint(round, options.hint))
    elif options.reveal:
        print(reveal(round))
    elif options.picture:
        print(command.save_pictures(round, options.picture))
    elif command.at_a_terminal():
        return command.play(round)
    else:
        print(show_round(round))
    return 0
