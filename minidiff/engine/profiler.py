"""Profiler: the time of each operation and its derivative. Public name: `minidiff.profile`.

    with minidiff.profile(trace="step.json") as profile:
        loss = F.mse_loss(model(x_t, t), eps)
        loss.backward()

It prints a table at the end of the block. chrome://tracing and ui.perfetto.dev draw the trace.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from minidiff.engine.backend import device_of, is_array

MOST_ROWS = 30  # of the table


class Event(NamedTuple):
    """One run of an operation, of its derivative, or of a section that the user named."""

    name: str
    phase: str  # "forward", "backward" or "section"
    by: str  # the file of what ran: functional/conv2d.py is the definition
    shapes: tuple[tuple[int, ...], ...]  # of the arrays that went in
    start: float  # seconds since the block began
    seconds: float
    core_seconds: float  # of this thread alone, without waiting


class Row(NamedTuple):
    """All events of one operation with the same shapes and phase, added up."""

    name: str
    phase: str
    by: str
    shapes: tuple[tuple[int, ...], ...]
    calls: int
    seconds: float
    core_seconds: float


class Profile:
    """What `minidiff.profile()` has seen: `events` in their order, `rows` added up."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.seconds = 0.0  # of the whole block
        self._began = time.perf_counter()

    @property
    def rows(self) -> list[Row]:
        """The events added up by operation, phase and shapes; what takes longest comes first."""
        rows: dict[tuple, Row] = {}
        for event in self.events:
            key = (event.name, event.phase, event.by, event.shapes)
            _, _, _, _, calls, seconds, core = rows.get(key, Row(*key, 0, 0.0, 0.0))
            rows[key] = Row(*key, calls + 1, seconds + event.seconds, core + event.core_seconds)
        return sorted(rows.values(), key=lambda row: -row.seconds)

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Time a part of the block that is not an operation, the optimiser's step say."""
        start = time.perf_counter(), time.thread_time()
        yield
        self._add(name, "section", "", [], start)

    def forward(self, name: str, arguments: list[Any], call: Callable[[], Any]) -> Any:
        """The (y, backward) that call() returns, and an event for it."""
        result, start = self._timed(arguments, call)
        self._add(name, "forward", file_of(result[1]), arguments, start)
        return result

    def backward(self, name: str, dy: Any, backward: Callable, *arguments: Any) -> Any:
        """The gradients that backward(dy, ...) returns, and an event for it."""
        gradients, start = self._timed([dy], lambda: backward(dy, *arguments))
        self._add(name, "backward", file_of(backward), [dy], start)
        return gradients

    def _timed(self, arrays: list[Any], call: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
        """On a GPU it waits until what was there before, and then the result, is computed."""
        gpu = next((a for a in arrays if is_array(a) and device_of(a) != "cpu"), None)
        _wait(gpu)
        start = time.perf_counter(), time.thread_time()
        result = call()
        _wait(gpu)
        return result, start

    def _add(
        self, name: str, phase: str, by: str, arguments: list[Any], start: tuple[float, float]
    ) -> None:
        seconds, core = time.perf_counter() - start[0], time.thread_time() - start[1]
        lists = (a if isinstance(a, (list, tuple)) else (a,) for a in arguments)
        shapes = tuple(tuple(a.shape) for items in lists for a in items if is_array(a))
        self.events.append(Event(name, phase, by, shapes, start[0] - self._began, seconds, core))

    def __str__(self) -> str:
        """The table: milliseconds, their share of the block, calls, operation, file, shapes."""
        lines = [f"{'ms':>9} {'share':>6} {'calls':>6}  {'operation':25} {'file':32} shapes"]
        total = max(self.seconds, 1e-9)
        for row in self.rows[:MOST_ROWS]:
            what = f"{row.name} {row.phase}"
            shapes = " ".join("x".join(map(str, shape)) or "()" for shape in row.shapes)
            counts = f"{row.seconds / total:6.1%} {row.calls:6}"
            line = f"{1e3 * row.seconds:9.2f} {counts}  {what:25} {row.by:32} {shapes}"
            lines.append(line.rstrip())
        left = self.rows[MOST_ROWS:]
        if left:
            seconds = sum(row.seconds for row in left)
            lines.append(f"{1e3 * seconds:9.2f} {seconds / total:6.1%}  in {len(left)} more rows")
        inside = sum(event.seconds for event in self.events if event.phase != "section")
        lines.append(f"{1e3 * total:9.2f} ms in all, {inside / total:.1%} of it in operations")
        return "\n".join(lines)

    def save_trace(self, path: str | os.PathLike) -> None:
        """Write the events as JSON in Chrome's trace format. The file is whole, or not there."""
        events = [
            {
                "name": event.name, "cat": event.phase, "ph": "X", "pid": os.getpid(), "tid": 1,
                "ts": 1e6 * event.start, "dur": 1e6 * event.seconds,
                "args": {"by": event.by, "shapes": [list(shape) for shape in event.shapes]},
            }
            for event in self.events
        ]  # fmt: skip
        target = Path(path)
        unfinished = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            unfinished.write_text(json.dumps({"traceEvents": events}), encoding="utf-8")
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)


active: Profile | None = None  # the one whose block is running


@contextmanager
def profile(show: bool = True, trace: str | os.PathLike | None = None) -> Iterator[Profile]:
    """Time each operation inside the block, forward and backward, in this process.

    show: print the table at the end; trace: a file for Chrome's tracing page, or None.
    On a GPU each operation is waited for, so the block as a whole takes longer than without.
    Raises: RuntimeError inside another profile; FileNotFoundError if the trace has no folder.
    """
    global active
    if active is not None:
        raise RuntimeError("profile: another minidiff.profile() is running, end it first")
    if trace is not None and not Path(trace).absolute().parent.is_dir():
        raise FileNotFoundError(f"profile: the folder of trace = {os.fspath(trace)!r} is missing")
    active = mine = Profile()
    try:
        yield mine
    finally:
        active = None
    mine.seconds = time.perf_counter() - mine._began
    if trace is not None:
        mine.save_trace(trace)
    if show:
        print(mine)


def file_of(backward: Callable | None) -> str:
    """functional/conv2d.py for the derivative of the definition, "" for an operation without."""
    module = getattr(backward, "__module__", "")
    return module.replace(".", "/").removeprefix("minidiff/") + ".py" if module else ""


def _wait(array: Any) -> None:
    """Wait for the GPU of the array; nothing to do for None."""
    if array is not None:
        array.device.synchronize()
