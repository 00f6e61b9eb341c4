"""Slide 11: the likelihood that the model is trained for, an integral over all chains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidiff.diffusion.equation import equation
from minidiff.engine.backend import array_module


@equation("vlb.log_likelihood", "DDPM sec. 2; Burda et al. (weights)", errata=19)
def negative_log_likelihood(chain_bounds):
    """L = -log of the mean over chains of exp(-bound)

    -log p_theta(x_0), the integral over chains, estimated by K of them.
    chain_bounds: K values of `vlb_of_chain`, each (B,), for the same x_0  ->  (B,), nats
    The mean of the values themselves is the bound. By Jensen it is never less than this.
    """
    nll = -log_mean_exp([-bound for bound in chain_bounds])
    return nll


def log_mean_exp(values: Sequence[Any]) -> Any:
    """log of the mean of exp(value), without overflow.   values: K of (B,) -> (B,)."""
    xp = array_module(values[0])
    stacked = xp.stack(list(values))
    largest = stacked.max(axis=0)
    return largest + xp.log(xp.exp(stacked - largest).mean(axis=0))
