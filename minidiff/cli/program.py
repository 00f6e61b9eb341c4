"""The frame of a program: errors in one line, and an output that may be closed, full or narrow."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from minidiff.cli.runs import check_places
from minidiff.training.checkpoint import make_folder
from minidiff.training.screen import Screen

MISTAKES = (ValueError, OSError, RuntimeError, MemoryError, OverflowError)


@contextmanager
def program() -> Iterator[None]:
    """Run a program in the block, from the reading of its options to its end.

    A user's mistake ends it with one line and exit status 2, Ctrl-C with 130. If the output can't
    be written (`| head -1`, a full disk), the work goes on, and the exit status is 1.
    """
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = screens = [Screen.of(stream) for stream in streams]
    try:
        with one_line_error():
            yield
        finish(screens)
    except SystemExit as end:
        if not end.code:  # of --help
            finish(screens)
        raise
    finally:
        for screen in screens:
            screen.flush()
            if screen.broken:
                screen.give_up()
        sys.stdout, sys.stderr = streams


def finish(screens: list[Screen]) -> None:
    """Say on stderr that the output did not arrive, if so, and end with status 1."""
    screens[0].flush()
    if screens[0].broken:
        print(f"error: the output cannot be written ({screens[0].broken})", file=screens[1])
        raise SystemExit(1)


@contextmanager
def one_line_error(*kinds: type[Exception]) -> Iterator[None]:
    """End the program at a user's mistake with its message and exit status 2, without a traceback.

    kinds: by default those that a wrong option, file or device causes, or too little memory.
    """
    caught = kinds or MISTAKES
    try:
        yield
    except caught as error:
        text = str(error) or type(error).__name__
        short = "not enough memory: " if isinstance(error, MemoryError) else ""
        print(f"error: {short}{text}", file=sys.stderr)
        raise SystemExit(2) from error
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None


def make_out(folder: str | os.PathLike[str]) -> None:
    """Make the folder --out of a program that draws samples.

    Raises: OSError if nothing can be written there; ValueError if folders are where its files will
    be.
    """
    make_folder(folder)
    check_places(os.fspath(folder))
