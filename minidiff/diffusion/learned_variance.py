"""Slide 9 asks of Sigma_theta "What about this?": the answer of improved DDPM, a network that learns it.

The network returns `Prediction(eps, v)`, and `reverse.learned_variance` makes the variance from v.
L_simple says nothing about v, so the loss has a second term, the bound itself, that trains v alone.
"""

from __future__ import annotations

import numpy as np

from minidiff.diffusion.elementwise import plain
from minidiff.diffusion.equation import equation
from minidiff.diffusion.gaussian import bits_per_dim
from minidiff.diffusion.reverse import learned_variance
from minidiff.diffusion.vlb import L_0, L_t_minus_1
from minidiff.engine.backend import device_of, to_device


@equation("learned.bits", "improved DDPM sec. 3.1", errata=13)
def bits_of_random_times(x_0, x_t, t, eps_hat, v, schedule):
    """mean over the images of L_{t-1}, or of L_0 where t = 1, in bits per dimension

    x_0, x_t, eps_hat, v: (B, ...), v may be a Tensor; t: (B,) in 1..T -> scalar
    """
    eps_hat = plain(eps_hat)  # sg[eps_theta]: the bound trains v alone
    variance = learned_variance(v, t, schedule)
    t = schedule.index(t)
    later, last = (to_device(np.flatnonzero(of), device_of(x_0)) for of in (t > 1, t == 1))
    nats = 0.0
    if len(later):
        at = x_0[later], x_t[later], t[t > 1], eps_hat[later]
        L = L_t_minus_1(*at, schedule, variance[later])
        nats = nats + L.sum()
    if len(last):
        L = L_0(x_0[last], x_t[last], eps_hat[last], schedule, variance[last])
        nats = nats + L.sum()
    bits = bits_per_dim(nats / len(t), x_0[0].size)
    return bits


@equation("learned.L_hybrid", "improved DDPM eq. 16", errata=16)
def L_hybrid(L_simple, bits, T, lam=0.001):
    """L_hybrid = L_simple + lam L_vlb, with L_vlb estimated as T times the mean of the terms

    L_simple, bits: scalars, see `bits_of_random_times`; lam: 0.001 as in the paper -> scalar
    """
    L_vlb = T * bits
    loss = L_simple + lam * L_vlb
    return loss
