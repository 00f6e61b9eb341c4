"""Switch for TF32, the 19-bit numbers that tensor cores multiply.

Off by default. On, convolutions are right to 1e-3 instead of 1e-6. The version "tf32x3" does not
ask this switch: it multiplies both halves of each number and is as exact as float32.
"""

from __future__ import annotations

_allowed = False


def allow_tf32(allowed: bool = True) -> None:
    """Let convolutions on a GPU use tensor cores, several times faster. Off at the start.

    Their results are then right to about 1e-3 instead of 1e-6.
    """
    global _allowed
    _allowed = bool(allowed)


def tf32_is_allowed() -> bool:
    return _allowed
