"""Which times t a training meets how often.

Algorithm 1 draws t uniformly. But near t = 1 there is hardly any noise to predict, and near t = T
hardly any image to learn from; what the samples look like is decided between. A logit-normal t
(Esser et al. 2024, section 3.1) comes mostly from there. That is the same loss with a weight for
each t: the mean over t ~ p(t) of L_t is the uniform mean of T p(t) L_t.
"""

from __future__ import annotations

from typing import Any

from minidiff.diffusion.schedule import Schedule
from minidiff.engine.backend import array_module
from minidiff.engine.random import RNG


def uniform(schedule: Schedule, count: int, rng: RNG) -> Any:
    """t ~ Uniform({1, ..., T})    -> int64 (count,)"""
    return rng.integers(1, schedule.T + 1, (count,))


def logit_normal(schedule: Schedule, count: int, rng: RNG) -> Any:
    """t = ceil(T sigmoid(z)), z ~ N(0, 1)    -> int64 (count,) in 1..T"""
    z = rng.normal((count,))
    xp = array_module(z)
    t = xp.ceil(schedule.T / (1 + xp.exp(-z)))
    return xp.clip(t, 1, schedule.T).astype(xp.int64)


DISTRIBUTIONS = {"uniform": uniform, "logit-normal": logit_normal}
