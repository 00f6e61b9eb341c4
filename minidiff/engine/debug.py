"""A debugger for formulas: pdb that skips the engine. Its public name is `minidiff.debug`.

    minidiff.debug.set_trace()    # or breakpoint(), with PYTHONBREAKPOINT=minidiff.debug.set_trace

`s` goes from a line of your program to the first line of the formula that it calls, and on
`loss.backward()` into each derivative in turn. `r` runs to the end of the formula and comes back.
While the debugger watches, operations run by their definitions and not by the faster kernels.
"""

from __future__ import annotations

import linecache
import os
import pdb
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import IO, Any

from minidiff.engine import registry
from minidiff.engine.debug_skip import is_skipped
from minidiff.engine.printing import PACKAGE, place, show


class Debugger(pdb.Pdb):
    """pdb that stops in your program and in formulas only.   stdin, stdout: default the terminal"""
    watching: Debugger | None = None  # the one that set_trace() started, until `c` or `q`

    def __init__(self, stdin: IO[str] | None = None, stdout: IO[str] | None = None):
        super().__init__(stdin=stdin, stdout=stdout, nosigint=True)
        self.prompt = "(minidiff) "
        self._last: Any = None  # where it stopped last
        self._raising: FrameType | None = None
        self._kernels_before: Any = None

    def stop_here(self, frame: FrameType) -> bool:
        return not is_skipped(frame) and super().stop_here(frame)

    def user_call(self, frame: FrameType, argument_list: Any) -> None:
        """No stop: the first line of the formula is the next one."""

    def user_line(self, frame: FrameType) -> None:
        """Stop, but once in a comprehension: since Python 3.12 each of its turns is a line."""
        here = frame, frame.f_lineno
        if here != self._last or not self.stop_here(frame):
            self._last, self._raising = here, None
            super().user_line(frame)

    def user_return(self, frame: FrameType, return_value: Any) -> None:
        """No stop, but say what the formula returns."""
        if frame is not self._raising:
            self.message(f"{frame.f_code.co_name} -> {show(return_value)}")
        self._trace_callers(frame)

    def user_exception(self, frame: FrameType, exc_info: Any) -> None:
        if not issubclass(exc_info[0], (StopIteration, GeneratorExit)):  # the end of a loop
            self._raising = frame
            super().user_exception(frame, exc_info)

    def do_return(self, arg: str) -> bool | None:
        """r(eturn): run to the end of this function, and stop in the function that called it."""
        caller = self._trace_callers(self.curframe)
        if caller is None:
            return super().do_return(arg)
        self._set_stopinfo(caller, self.curframe)  # type: ignore[attr-defined]
        return True

    def _trace_callers(self, frame: FrameType | None) -> FrameType | None:
        """Let the visible frames above stop again.    -> the nearest of them."""
        above = [entry[0] for entry in self.get_stack(frame, None)[0] if entry[0] is not frame]
        for caller in above:
            caller.f_trace = self.trace_dispatch
        return above[-1] if above else None

    def get_stack(self, f: FrameType | None, t: Any) -> tuple[list[tuple[FrameType, int]], int]:
        """The frames that `w`, `up` and `down` know: where we are, and what is not hidden."""
        stack, index = super().get_stack(f, t)
        here = stack[index]
        stack = [entry for entry in stack if entry is here or not is_skipped(entry[0])]
        return stack, stack.index(here)

    def format_stack_entry(self, frame_lineno: tuple[FrameType, int], lprefix: str = ": ") -> str:
        (frame, number), file = frame_lineno, frame_lineno[0].f_code.co_filename
        line = linecache.getline(file, number, frame.f_globals).strip()
        return f"{place(file)}:{number} {frame.f_code.co_name}(){lprefix}{line}"

    def displayhook(self, obj: Any) -> None:
        if obj is not None:
            self.message(show(obj))

    def do_p(self, arg: str) -> None:
        """p EXPRESSION: its value on one line."""
        with suppress(Exception):  # _getval has told of it
            self.message(show(self._getval(arg)))

    def lookupmodule(self, filename: str) -> str | None:
        """The file of `b minidiff/diffusion/forward.py:40`, wherever the package is installed."""
        for folder in (PACKAGE.parent, Path.cwd()):
            if filename.endswith(".py") and (folder / filename).is_file():
                return str(folder / filename)
        return super().lookupmodule(filename)

    def set_trace(self, frame: FrameType | None = None) -> None:  # type: ignore[override]
        """Stop at the next line of `frame` (default: of the caller)."""
        Debugger.watching = self
        if registry._choice.get().mode != "reference":
            self._kernels_before = registry._choice.get()
            registry._choice.set(registry._Choice("reference", {}))
            self.message("until c or q, operations run by their definitions (kernels: reference)")
        super().set_trace(frame or sys._getframe(1))

    def set_stepinstr(self) -> None:
        """By lines: Python 3.13 starts by instructions, so in the line of set_trace() itself."""
        self.set_step()

    def set_continue(self) -> None:
        super().set_continue()
        if not self.breaks:  # else it watches on: only definitions reach a breakpoint in one
            self._restore()

    def set_quit(self) -> None:
        self._restore()
        super().set_quit()

    def do_quit(self, arg: str) -> bool:
        """q(uit): end the program."""
        self.set_quit()
        raise SystemExit(0)

    do_r, do_q, do_exit, do_EOF = do_return, do_quit, do_quit, do_quit

    def _restore(self) -> None:
        """The kernels as they were, unless the program has chosen others meanwhile."""
        Debugger.watching = None
        if self._kernels_before is not None and registry._choice.get().mode == "reference":
            registry._choice.set(self._kernels_before)
        self._kernels_before = self._last = None


def attached() -> bool:
    """True under a debugger, of any kind: then a program should stay in one process."""
    tools = getattr(sys, "monitoring", None)  # from Python 3.12 on
    watched = sys.gettrace() or tools and tools.get_tool(tools.DEBUGGER_ID)
    return bool(watched) or "minidiff.debug" in os.environ.get("PYTHONBREAKPOINT", "")


def set_trace() -> None:
    """Stop at the next line of the program."""
    (Debugger.watching or Debugger()).set_trace(sys._getframe(1))
