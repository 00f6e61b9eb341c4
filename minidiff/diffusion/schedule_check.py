"""The report of `schedule.check()`: is x_T close enough to N(0, I) to start there?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from minidiff.diffusion.equation import equation

if TYPE_CHECKING:
    from minidiff.diffusion.schedule import Schedule

ENOUGH = 1e-3
"""Bits/dim of L_T up to which x_T counts as noise. The paper's schedule has 2.9e-5, the
cosine with the slide's clip 2.3e-3."""


@equation("schedule.L_T_of_unit_pixel", "DDPM eq. 5", errata=(4, 12))
def unit_pixel_L_T(alpha_bar_T):
    """bits = -1/2 log2(1 - alpha_bar_T)

    L_T of a black or a white pixel, the largest there is.   alpha_bar_T: in [0, 1)"""
    nats = -0.5 * math.log1p(-alpha_bar_T)
    bits = nats / math.log(2)
    return bits


class TerminalCheck:
    """The end of a schedule in numbers; printed, a report; `sentence` is its verdict.

    amplification: sqrt(1 / alpha_bar_T - 1), by which an error of eps_theta grows on its
    way into x_0_hat: 157 for the paper's linear schedule, 20 291 for the cosine one.
    clipped_high, clipped_low: how many betas were clipped on the way."""

    def __init__(self, schedule: Schedule):
        beta, limits = schedule.tables["beta"][1:], schedule.config
        self.alpha_bar_T = schedule.at(schedule.T).alpha_bar
        left = self.alpha_bar_T
        self.amplification = math.sqrt(1 / left - 1) if left else math.inf
        self.snr_T = schedule.snr(schedule.T)
        self.L_T_bits = unit_pixel_L_T(self.alpha_bar_T)
        self.close_enough = self.L_T_bits <= ENOUGH
        clipped = np.flatnonzero(beta >= limits.get("beta_max", 0.999)) + 1
        self.clipped_high = len(clipped)
        self.first_clipped_high = int(clipped[0]) if len(clipped) else None
        self.clipped_low = int(np.count_nonzero(beta <= limits.get("beta_min", 0.0)))

    @property
    def sentence(self) -> str:
        """Whether x_T is close enough to N(0, I) to start sampling from it."""
        signal = f"{100 * math.sqrt(self.alpha_bar_T):.2g} % of the image is left"
        left = f"{signal}, L_T = {self.L_T_bits:.2g} bits/dim"
        if self.close_enough:
            return f"x_T is close enough to N(0, I) to start from: {left}."
        return (
            f"x_T is NOT close enough to N(0, I): {left} is over {ENOUGH:g}. Samples "
            "that start from pure noise start where the network was never trained."
        )

    def __repr__(self) -> str:
        start = f" (from t = {self.first_clipped_high})" if self.clipped_high else ""
        return (
            f"alpha_bar_T = {self.alpha_bar_T:.5g}, SNR_T = {self.snr_T:.5g}, "
            f"L_T = {self.L_T_bits:.3g} bits/dim at |x_0| = 1\n"
            f"an error of eps_theta at T counts {self.amplification:.4g} times "
            "in x_0_hat\n"
            f"clipped betas: {self.clipped_high} high{start}, {self.clipped_low} low\n"
            f"{self.sentence}"
        )
