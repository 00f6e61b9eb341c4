"""Slide 20: which part of the noise one reverse step removes."""

from __future__ import annotations

from minidiff.diffusion.equation import equation


@equation("reverse.removed_fraction", "DDPM eq. 11", errata=25)
def removed_fraction(t, schedule):
    """fraction = beta_t / (1 - alpha_bar_t)

    The part of the noise sqrt(1 - alpha_bar_t) eps_theta that one step takes out of x_t.
    t: int or (B,) in 1..T  ->  in (0, 1]"""
    now = schedule.at(t)
    fraction = now.beta / now.one_minus_alpha_bar
    return fraction
