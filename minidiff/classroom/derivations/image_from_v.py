"""Slide 17: the image that a v-prediction stands for. Samplers go through eps."""

from __future__ import annotations

from minidiff.diffusion.equation import equation
from minidiff.engine.elementwise import sqrt


@equation("targets.x_0_from_v", "Salimans & Ho app. D")
def x_0_from_v(x_t, t, v_hat, schedule):
    """x_0_hat = sqrt(alpha_bar_t) x_t - sqrt(1 - alpha_bar_t) v_hat

    x_t, v_hat: (B, ...);  t: int or (B,) in 1..T  ->  x_0_hat: (B, ...)"""
    now = schedule.at(t, like=x_t)
    from_x_t = sqrt(now.alpha_bar) * x_t
    from_v = sqrt(now.one_minus_alpha_bar) * v_hat
    x_0_hat = from_x_t - from_v
    return x_0_hat
