"""The papers' own letters. DDIM writes alpha for what DDPM and the slides call alpha_bar.

The slides mix the two (errata 28).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from minidiff.diffusion.schedule import Schedule
from minidiff.engine.checks import check_choice


@dataclass(frozen=True)
class DDIMCoefficients:
    """The coefficients at one time in DDIM's letters. `schedule.at(t)` has them in DDPM's."""

    alpha: Any  # the product of the steps so far, DDPM's alpha_bar_t
    alpha_step: Any  # alpha_t / alpha_{t-1}, DDPM's alpha_t


class DDIMNotation:
    """A schedule in DDIM's letters: `notation("ddim", schedule).at(t).alpha`."""

    def __init__(self, schedule: Schedule):
        self.schedule = schedule
        self.T = schedule.T

    def at(self, t: Any, like: Any = None) -> DDIMCoefficients:
        """alpha and alpha_step of time t.   t: int or (B,) in 0..T; like: as in DDPM's."""
        now = self.schedule.at(t, like, first=0)
        return DDIMCoefficients(alpha=now.alpha_bar, alpha_step=now.alpha)


def notation(paper: str, schedule: Schedule) -> Schedule | DDIMNotation:
    """`schedule` with the letters of "ddpm" (as it is) or "ddim".

    Raises: ValueError for another paper.
    """
    check_choice("notation", "paper", paper, ("ddpm", "ddim"))
    return schedule if paper == "ddpm" else DDIMNotation(schedule)
