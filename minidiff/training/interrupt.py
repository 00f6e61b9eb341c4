"""A clean end on Ctrl-C: the present step is finished first."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Interruption:
    """Becomes true at the first Ctrl-C. The second one stops the program at once."""

    def __init__(self) -> None:
        self.requested = False

    def __bool__(self) -> bool:
        return self.requested


@contextmanager
def delayed_interrupt() -> Iterator[Interruption]:
    """Inside, the first Ctrl-C (or SIGTERM) only sets a flag, so that a step is never cut in half.

    It has no effect outside of the main thread.
    """
    interruption = Interruption()

    def on_signal(number: int, frame: object) -> None:
        if interruption.requested:
            raise KeyboardInterrupt
        interruption.requested = True

    before = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, on_signal)
    except ValueError:  # not the main thread
        pass
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
