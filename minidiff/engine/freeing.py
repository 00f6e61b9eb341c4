"""Freeing long chains, such as a graph of 50,000 nodes, without recursion.

Python frees what an object refers to while it frees the object. In a chain that is one call inside
another for each link, and the stack ends.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

_waiting: deque[Any] = deque()
_thread = threading.local()


def free_later(holder: Any, attribute: str) -> None:
    """Let go of holder.attribute when nothing else is being freed: to be called in `__del__`."""
    _waiting.append(getattr(holder, attribute))
    setattr(holder, attribute, None)
    if getattr(_thread, "frees", False):
        return
    _thread.frees = True
    try:
        while _waiting:
            _waiting.pop()
    finally:
        _thread.frees = False
