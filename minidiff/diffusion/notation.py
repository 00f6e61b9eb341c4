"""The papers' own letters. DDIM writes alpha for what DDPM and the slides call alpha_bar.

The slides mix the two (errata 28).
"""

from __future__ import annotations

from typing import Any

from minidiff.diffusion.schedule import Schedule

NOTATIONS = ("ddpm", "ddim")


class DDIMNotation:
    """A schedule with DDIM's letters: `alpha` is DDPM's alpha_bar, `alpha_step` its alpha."""

    def __init__(self, schedule: Schedule):
        self.schedule = schedule
        self.T = schedule.T

    def alpha(self, t: Any, like: Any = None) -> Any:
        """DDIM's alpha_t: the product of the steps so far.   t: int or (B,) ints in 0..T."""
        return self.schedule.alpha_bar(t, like=like, first=0)

    def alpha_step(self, t: Any, like: Any = None) -> Any:
        """DDIM's alpha_t / alpha_{t-1}, which DDPM calls alpha_t.   t: int or (B,) in 1..T."""
        return self.schedule.alpha(t, like=like)


def notation(paper: str, schedule: Schedule) -> Schedule | DDIMNotation:
    """`schedule` with the letters of "ddpm" (as it is) or "ddim".

    Raises: ValueError for another paper.
    """
    if paper not in NOTATIONS:
        known = ", ".join(NOTATIONS)
        raise ValueError(f"notation: paper must be one of {known}, got {paper!r}")
    return schedule if paper == "ddpm" else DDIMNotation(schedule)
