"""Learning-rate schedules.

Each is a factor in 0..1 for the learning rate, and depends on how far the training is.
"""

from __future__ import annotations

import math


def warmup(step: int, warmup_steps: int) -> float:
    """Rises linearly to 1 over the first `warmup_steps` steps (step counts from 0), then stays."""
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps > 0 else 1.0


def cosine_decay(progress: float, final: float = 0.0) -> float:
    """Falls from 1 to `final` along half a cosine (Loshchilov & Hutter 2017).

    progress: 0 at the start, 1 at the end.
    """
    progress = min(max(progress, 0.0), 1.0)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))
