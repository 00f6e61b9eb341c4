"""What a caller has set with a `with` block or a switch, for a task in another process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from minidiff.engine import anomaly, checks, registry, tape
from minidiff.engine.setting import Setting
from minidiff.kernels import allow_tf32, tf32_is_allowed

SETTINGS: dict[str, Setting[bool]] = {
    "detect_anomaly": anomaly._enabled,
    "recording": tape._recording,
    "index_checks_wait": checks._waits,
}


def current_context() -> dict[str, Any]:
    """All of it, as values that can be pickled."""
    chosen = registry._choice.get()
    return {
        "use_kernels": (chosen.mode, dict(chosen.versions)),
        "allow_tf32": tf32_is_allowed(),
        "errstate": np.geterr(),
        **{name: setting.get() for name, setting in SETTINGS.items()},
    }


@contextmanager
def in_context(values: dict[str, Any]) -> Iterator[None]:
    """Inside, everything is as it was where `current_context` was called."""
    mode, versions = values["use_kernels"]
    tf32 = tf32_is_allowed()
    allow_tf32(values["allow_tf32"])
    with ExitStack() as stack:
        for name, setting in SETTINGS.items():
            stack.enter_context(setting.block(values[name]))
        stack.enter_context(registry.use_kernels(mode, **versions))
        stack.enter_context(np.errstate(**values["errstate"]))
        try:
            yield
        finally:
            allow_tf32(tf32)
