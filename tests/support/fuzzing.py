"""Attacks with damaged input: seeded, so that they repeat, and bounded in number, time and memory.

MINIDIFF_FUZZ=20 makes every attack 20 times as long.
"""

import contextlib
import os
import resource
import signal
import tracemalloc

import numpy as np

LONGER = max(1, int(os.environ.get("MINIDIFF_FUZZ", "1")))
HANG = 10.0  # seconds
NUMBERS = (0, 1, 2, 7, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)


def cases(n, seed):
    """(number, generator) for n * MINIDIFF_FUZZ cases; each case has its own generator, to be repeated alone."""
    for i in range(n * LONGER):
        yield i, np.random.default_rng([seed, i])


def damaged(data, random):
    """`data` with one to four faults: flipped, lost, doubled or foreign bytes, and numbers that are too large."""
    data = bytearray(data)
    for _ in range(random.integers(1, 5)):
        if not data:
            break
        at = int(random.integers(len(data)))
        if random.random() < 0.5:  # headers are short and decide most
            at = min(at, int(random.integers(64)))
        kind = random.integers(7)
        if kind == 0:
            data[at] ^= 1 << int(random.integers(8))
        elif kind == 1:
            data[at] = int(random.integers(256))
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at : at + int(random.integers(1, 20))]
        elif kind == 4:
            data[at:at] = data[at : at + int(random.integers(1, 200))]
        elif kind == 5:
            data[at:at] = random.bytes(int(random.integers(1, 20)))
        else:
            size = int(random.choice([1, 2, 4, 8]))
            number = NUMBERS[random.integers(len(NUMBERS))] % (1 << (8 * size))
            data[at : at + size] = number.to_bytes(size, str(random.choice(["little", "big"])))
    return bytes(data)


@contextlib.contextmanager
def no_hang(seconds=HANG):
    """AssertionError after so many seconds, in whatever the main thread does."""

    def too_long(number, frame):
        raise AssertionError(f"still not done after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def bounded_memory(megabytes):
    """AssertionError if Python and NumPy, or the whole process, take more than so much in addition."""
    tracemalloc.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10  # in KB on Linux
    assert peak < megabytes, f"{peak:.0f} MB of Python's objects and arrays"
    assert grown < 2 * megabytes, f"{grown:.0f} MB in all"
