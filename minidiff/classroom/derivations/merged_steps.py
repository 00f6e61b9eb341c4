"""Slide 5: why the noise of two steps is one noise, and x_t one jump from x_0."""

from __future__ import annotations

from minidiff.diffusion.equation import equation
from minidiff.engine.elementwise import sqrt


@equation("forward.merge_gaussians", "DDPM eq. 4")
def merge_gaussians(alpha_t, alpha_prev):
    """merged_std = sqrt(alpha_t (1 - alpha_{t-1}) + (1 - alpha_t))

    Variances of independent noises add. The older noise has passed through step t, which
    scales it by sqrt(alpha_t).   alpha_t, alpha_prev: in (0, 1)  ->  float or array"""
    older_variance = alpha_t * (1 - alpha_prev)
    newer_variance = 1 - alpha_t
    merged_std = sqrt(older_variance + newer_variance)
    return merged_std


@equation("forward.q_two_steps", "DDPM eq. 4", errata=5)
def q_two_steps(x_prev_prev, t, eps_merged, schedule):
    """x_t = sqrt(alpha_t alpha_{t-1}) x_{t-2} + sqrt(1 - alpha_t alpha_{t-1}) eps_merged

    x_prev_prev, eps_merged: (B, ...);  t: int or (B,) in 2..T  ->  x_t: (B, ...)"""
    now, prev = schedule.at(t, like=x_prev_prev), schedule.at(t - 1, like=x_prev_prev)
    signal = sqrt(now.alpha * prev.alpha) * x_prev_prev
    noise = merge_gaussians(now.alpha, prev.alpha) * eps_merged
    x_t = signal + noise
    return x_t
