"""The memory that a training step frees is kept for the next step.

A step makes some thousand arrays and drops them all at its end. glibc's malloc then returns the
memory to the system, and the next step gets it back page by page. Each first touch of 4 KB is a
page fault, which the kernel of the system answers with a page of zeros. A step of 32 images of
train_mnist_ddpm.py had 4,000 of them, now 5. On a virtual machine that was 6 % of its time, and a
quarter when other programs were busy.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
NEVER = -1
# bytes, the most that glibc allows; a larger array is mapped from the system and returned by itself
LARGEST = 2**25


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for its own next arrays.

    -> False where the C library isn't glibc
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # macOS, musl, Windows
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))
