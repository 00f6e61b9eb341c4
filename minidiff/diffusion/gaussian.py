"""What the equations need to know about Gaussians: log-density, KL divergence, and the probability of a pixel's bin."""

from __future__ import annotations

import math

import numpy as np

from minidiff.diffusion.elementwise import erfc, log, sqrt
from minidiff.diffusion.equation import equation
from minidiff.engine.backend import array_module

FAR = 1e6
"""In place of infinity, whose product with a derivative of 0 would be NaN. No sigma comes near it."""


@equation(
    "gaussian.log_density",
    slide="Forward Diffusion Process",
    paper="DDPM eq. 2",
    latex=r"\log\mathcal{N}(x;\mu,\sigma^2) = -\tfrac12\Big(\log 2\pi\sigma^2 + \frac{(x-\mu)^2}{\sigma^2}\Big)",
)
def log_density(x, mean, variance):
    """Log-density of N(mean, variance) at x, element by element, in nats.   x, mean: (B, ...); variance > 0, broadcast -> (B, ...)."""
    normaliser = log(2 * math.pi * variance)
    distance = (x - mean) ** 2 / variance
    return -0.5 * (normaliser + distance)


@equation(
    "gaussian.kl",
    slide="Loss Function",
    paper="DDPM eq. 5; Kingma & Welling app. B",
    latex=r"D_{KL}\big(\mathcal{N}(\mu_1,\sigma_1^2)\|\mathcal{N}(\mu_2,\sigma_2^2)\big) = "
    r"\tfrac12\Big(\log\frac{\sigma_2^2}{\sigma_1^2} + \frac{\sigma_1^2}{\sigma_2^2} - 1 + \frac{(\mu_1-\mu_2)^2}{\sigma_2^2}\Big)",
)
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """KL divergence of N(mean_1, variance_1) from N(mean_2, variance_2), element by element, in nats.   all broadcast, variances > 0."""
    ratio = variance_1 / variance_2
    spread = ratio - 1 - log(ratio)
    shift = (mean_1 - mean_2) ** 2 / variance_2
    return 0.5 * (spread + shift)


@equation(
    "gaussian.discretised",
    slide="Loss Function",
    paper="DDPM eq. 13",
    latex=r"p_\theta(x_0|\mathbf{x}_1) = \int_{\delta_-(x_0)}^{\delta_+(x_0)}\mathcal{N}(x;\mu,\sigma^2)\,dx, \quad"
    r" \delta_\pm = x_0 \pm \tfrac{1}{255}, \text{ open at } \pm 1",
    errata=(11,),
)
def discretised_log_probability(x_0, mean, variance, levels=256):
    """Log-probability of the bin that holds each pixel.   x_0: (B, ...), `levels` even values in [-1, 1]; variance > 0 -> (B, ...), nats.

    The outermost bins reach to infinity. A bin beyond the smallest float counts as the smallest float,
    so the result is finite. The variance may be a Tensor: its gradient trains a learned variance.
    """
    xp = array_module(x_0)
    half_bin = 1 / (levels - 1)
    lower = xp.where(x_0 < -1 + half_bin, -FAR, x_0 - half_bin - mean)
    upper = xp.where(x_0 > 1 - half_bin, FAR, x_0 + half_bin - mean)
    # Look at bins below the mean from the other side: differences of small tails keep their digits.
    mirrored = lower + upper < 0
    near, far = xp.where(mirrored, -upper, lower), xp.where(mirrored, -lower, upper)
    scale = sqrt(2 * variance)
    probability = 0.5 * (erfc(near / scale) - erfc(far / scale))
    log_probability = log(probability + float(np.finfo(x_0.dtype).tiny))
    return log_probability


@equation(
    "gaussian.bits_per_dim",
    slide="Loss Function",
    paper="DDPM sec. 4.3, Tab. 1",
    latex=r"\text{bits/dim} = \frac{\text{nats}}{D \log 2}",
    errata=(17,),
)
def bits_per_dim(nats, D):
    """Nats per image as bits per dimension.   nats: float or (B,); D: number of pixels times channels."""
    return nats / (D * math.log(2))
