"""A clean end on Ctrl-C, on the end of a batch job and of a terminal: the present step first."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Ctrl-C; a batch system; a terminal that closes; the end of the allowed CPU time (ulimit -t)
ENDINGS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGXCPU")


class Interruption:
    """Becomes true at the first of these signals, whose number it keeps.

    A second Ctrl-C stops the program at once. The others often come twice, so they may.
    """

    def __init__(self) -> None:
        self.number = 0

    def __bool__(self) -> bool:
        return self.number != 0


@contextmanager
def delayed_interrupt(
    on_signal_too: Callable[[int], None] = lambda number: None,
) -> Iterator[Interruption]:
    """Inside, the first signal only sets a flag, so that a step is never cut in half.

    It has no effect outside of the main thread. on_signal_too: is called at each signal, with its
    number; it may raise an exception where a step can be cut.
    """
    interruption = Interruption()

    def on_signal(number: int, frame: object) -> None:
        if interruption and number == signal.SIGINT:
            raise KeyboardInterrupt
        interruption.number = interruption.number or number
        on_signal_too(number)

    before = {}
    try:
        for name in ENDINGS:
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                before[number] = signal.signal(number, on_signal)
    except ValueError:  # not the main thread
        pass
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
