"""Gaussians: log-density, KL divergence, and the probability of a pixel's bin."""

from __future__ import annotations

import math

import numpy as np

from minidiff.diffusion.equation import equation
from minidiff.engine.backend import array_module
from minidiff.engine.elementwise import erfc, log, sqrt

FAR = 1e6
"""In place of infinity, whose product with a derivative of 0 would be NaN."""


@equation("gaussian.log_density", "DDPM eq. 2")
def log_density(x, mean, variance):
    """log N(x; mean, variance) = -1/2 (log(2 pi variance) + (x - mean)^2 / variance)

    For each element.   x, mean: (B, ...);  variance > 0, broadcast  ->  (B, ...), nats"""
    normaliser = log(2 * math.pi * variance)
    distance = (x - mean) ** 2 / variance
    log_q = -0.5 * (normaliser + distance)
    return log_q


@equation("gaussian.kl", "DDPM eq. 5; Kingma & Welling app. B")
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """KL = 1/2 (ratio - 1 - log ratio + (mean_1 - mean_2)^2 / variance_2)

    The divergence of N(mean_1, variance_1) from N(mean_2, variance_2), element by
    element; ratio = variance_1 / variance_2.   all broadcast, variances > 0  ->  nats"""
    ratio = variance_1 / variance_2
    spread = ratio - 1 - log(ratio)
    shift = (mean_1 - mean_2) ** 2 / variance_2
    kl = 0.5 * (spread + shift)
    return kl


@equation("gaussian.discretised", "DDPM eq. 13", errata=11)
def discretised_log_probability(x_0, mean, variance, levels=256):
    """log p = log of the integral of N(x; mean, variance) over the bin around x_0

    x_0: (B, ...), `levels` even values in [-1, 1];  variance > 0  ->  (B, ...), nats
    The outermost bins reach to infinity. A bin with less probability than the smallest
    float counts as the smallest float, so the result is finite. The variance may be a
    Tensor: its gradient trains a learned variance."""
    xp = array_module(x_0)
    half_bin = 1 / (levels - 1)
    lower = xp.where(x_0 < -1 + half_bin, -FAR, x_0 - half_bin - mean)
    upper = xp.where(x_0 > 1 - half_bin, FAR, x_0 + half_bin - mean)
    mirrored = lower + upper < 0  # bins below the mean, seen from the other side: small
    near = xp.where(mirrored, -upper, lower)  # tails then keep their digits
    far = xp.where(mirrored, -lower, upper)
    scale = sqrt(2 * variance)
    probability = 0.5 * (erfc(near / scale) - erfc(far / scale))
    log_p = log(probability + float(np.finfo(x_0.dtype).tiny))
    return log_p


@equation("gaussian.bits_per_dim", "DDPM sec. 4.3, Tab. 1", errata=17)
def bits_per_dim(nats, D):
    """bits/dim = nats / (D log 2)

    nats: of an image, float or (B,);  D: number of pixels times channels"""
    bits = nats / (D * math.log(2))
    return bits
