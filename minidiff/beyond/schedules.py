"""Schedules that end in pure noise: alpha_bar_T = 0.

The deck's end with a little of the image left, and sampling starts from N(0, I), which
has none: the network is asked about an x_T that it never saw. With beta_T = 1 the two are
the same. An eps-prediction is worth nothing there, so the network predicts v."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidiff.diffusion.equation import equation
from minidiff.diffusion.schedule import Schedule, make_schedule


@equation("zero_snr.rescale", "Lin et al. 2305.08891 Algorithm 1")
def zero_terminal_alpha_bar(alpha_bar):
    """root'_t = (root_t - root_T) root_1 / (root_1 - root_T),  root = sqrt(alpha_bar)

    Shifted so that the last is 0, scaled so that the first stays.
    alpha_bar: float64 (T + 1,), entry 0 the data, T >= 2  ->  float64 (T + 1,)"""
    root = np.sqrt(alpha_bar)
    shifted = root - root[-1]
    scaled = shifted * root[1] / (root[1] - root[-1])
    scaled[0] = 1.0  # the data, which no step has touched
    rescaled = scaled**2
    return rescaled


@equation("flow.straight_schedule", "Liu et al. 2209.03003 eq. 1, at variance 1")
def straight_alpha_bar(T):
    """alpha_bar_t = (1 - s)^2 / ((1 - s)^2 + s^2),  s = t / T

    The path z_s = (1 - s) x_0 + s eps, divided by its length: on this schedule the times
    of flow matching are uniform.   T >= 1  ->  float64 (T + 1,), from 1 to 0"""
    s = np.arange(T + 1) / T
    signal, noise = (1 - s) ** 2, s**2
    alpha_bar = signal / (signal + noise)
    return alpha_bar


def zero_terminal(schedule: Schedule) -> Schedule:
    """The schedule with alpha_bar_T = 0; its config is that of the old one and a mark.

    Raises: ValueError if T = 1, where there is nothing to shift."""
    if schedule.T < 2:
        raise ValueError(f"zero_terminal: T must be >= 2, got {schedule.T}")
    alpha_bar = zero_terminal_alpha_bar(schedule.tables["alpha_bar"])
    config = {**schedule.config, "zero_terminal": True}
    return Schedule(_betas(alpha_bar), config)


def straight_schedule(T: int = 1000) -> Schedule:
    """The schedule of flow matching, with alpha_bar_T = 0.

    Raises: ValueError unless T is an int >= 1."""
    if not isinstance(T, (int, np.integer)) or T < 1:
        raise ValueError(f"straight_schedule: T must be an int >= 1, got {T!r}")
    return Schedule(_betas(straight_alpha_bar(T)), {"name": "straight", "T": int(T)})


def any_schedule(
    name: str = "linear", T: int = 1000, zero_terminal: bool = False, **options: Any
) -> Schedule:
    """`make_schedule`, with "straight", too.

    `any_schedule(**schedule.config)` rebuilds every schedule. zero_terminal: rescale it
    to alpha_bar_T = 0; "straight" ends there anyway.
    Raises: as `make_schedule`; TypeError for an option that "straight" does not have, or
    if zero_terminal is not a bool."""
    if not isinstance(zero_terminal, bool):
        wanted = "zero_terminal must be True or False"
        raise TypeError(f"any_schedule: {wanted}, got {zero_terminal!r}")
    if name != "straight":
        schedule = make_schedule(name, T, **options)
        return _zero_terminal(schedule) if zero_terminal else schedule
    if options:
        got = ", ".join(options)
        raise TypeError(f"any_schedule: the straight schedule has no such option: {got}")
    return straight_schedule(T)


_zero_terminal = zero_terminal  # which is also the name of an option


def _betas(alpha_bar: np.ndarray) -> np.ndarray:
    return 1 - alpha_bar[1:] / alpha_bar[:-1]
