"""A network that learns its variance: the answer to slide 9's "What about this?"

It returns `Prediction(eps, v)`, and `reverse.learned_variance` makes the variance of v.
L_simple says nothing about v. So the loss has a second term, the bound, for v alone."""

from __future__ import annotations

import numpy as np

from minidiff.diffusion.equation import equation
from minidiff.diffusion.gaussian import bits_per_dim
from minidiff.diffusion.reverse import learned_variance
from minidiff.diffusion.vlb import L_0, L_t_minus_1
from minidiff.engine.backend import device_of, to_device
from minidiff.engine.elementwise import plain


@equation("learned.bits", "improved DDPM sec. 3.1", errata=13)
def bits_of_random_times(x_0, x_t, t, eps_hat, v, schedule):
    """mean over the images of L_{t-1}, or of L_0 where t = 1, in bits per dimension

    x_0, x_t, eps_hat, v: (B, ...), v may be a Tensor; t: (B,) in 1..T -> scalar"""
    eps_hat = plain(eps_hat)  # sg[eps_theta]: the bound trains v alone
    variance = learned_variance(v, t, schedule)
    t = schedule.index(t)
    rows = (np.flatnonzero(t > 1), np.flatnonzero(t == 1))
    later, last = (to_device(of, device_of(x_0)) for of in rows)
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
    """L_hybrid = L_simple + lam L_vlb,  L_vlb = T times the mean of the terms

    L_simple, bits: scalars, see `bits_of_random_times`; lam: the paper's -> scalar"""
    L_vlb = T * bits
    loss = L_simple + lam * L_vlb
    return loss
