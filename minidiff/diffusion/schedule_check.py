"""The report of `schedule.check()`: is x_T close enough to N(0, I) to start there?"""

from __future__ import annotations

import math
from dataclasses import dataclass
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

    L_T of one black or white pixel, the largest there is.   alpha_bar_T: float in [0, 1)
    """
    nats = -0.5 * math.log1p(-alpha_bar_T)
    bits = nats / math.log(2)
    return bits


@dataclass(frozen=True)
class TerminalCheck:
    """The end of a schedule in numbers; `str()` is the report, `sentence` its verdict.

    amplification: sqrt(1 / alpha_bar_T - 1), by which an error of eps_theta grows on its
    way into x_0_hat: 157 for the paper's linear schedule, 20 291 for the cosine one."""

    alpha_bar_T: float
    amplification: float
    snr_T: float
    L_T_bits: float
    clipped_low: int
    clipped_high: int
    first_clipped_high: int | None
    close_enough: bool

    @property
    def sentence(self) -> str:
        """Whether x_T is close enough to N(0, I) to start sampling from it."""
        signal = 100 * math.sqrt(self.alpha_bar_T)
        if self.close_enough:
            return (
                f"x_T is close enough to N(0, I) to start from: {signal:.2g} % of the "
                f"image is left, L_T = {self.L_T_bits:.2g} bits/dim."
            )
        return (
            f"x_T is NOT close enough to N(0, I): {signal:.2g} % of the image is left, "
            f"L_T = {self.L_T_bits:.2g} bits/dim is over {ENOUGH:g}. "
            "Samples that start from pure noise start where the network was never "
            "trained."
        )

    def __str__(self) -> str:
        first = self.first_clipped_high
        start = f" (from t = {first})" if first else ""
        return (
            f"alpha_bar_T = {self.alpha_bar_T:.5g}, SNR_T = {self.snr_T:.5g}, "
            f"L_T = {self.L_T_bits:.3g} bits/dim at |x_0| = 1\n"
            f"an error of eps_theta at T counts {self.amplification:.4g} times "
            "in x_0_hat\n"
            f"clipped betas: {self.clipped_high} high{start}, {self.clipped_low} low\n"
            f"{self.sentence}"
        )


def check_schedule(schedule: Schedule) -> TerminalCheck:
    """The numbers at t = T and the count of betas that were clipped on the way."""
    beta = schedule.tables["beta"][1:]
    low = schedule.config.get("beta_min", 0.0)
    high = schedule.config.get("beta_max", 0.999)
    clipped_high = np.flatnonzero(beta >= high) + 1
    alpha_bar_T = schedule.alpha_bar(schedule.T)
    bits = unit_pixel_L_T(alpha_bar_T)
    return TerminalCheck(
        alpha_bar_T=alpha_bar_T,
        amplification=math.sqrt(1 / alpha_bar_T - 1) if alpha_bar_T else math.inf,
        snr_T=schedule.snr(schedule.T),
        L_T_bits=bits,
        clipped_low=int(np.count_nonzero(beta <= low)),
        clipped_high=len(clipped_high),
        first_clipped_high=int(clipped_high[0]) if len(clipped_high) else None,
        close_enough=bits <= ENOUGH,
    )
