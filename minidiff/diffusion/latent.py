"""The formulas of latent diffusion: quantisation, its losses, the scale of the latents.

They work on arrays and on Tensors alike; `minidiff.models` is built on them."""

from __future__ import annotations

import math

from minidiff.diffusion.equation import equation
from minidiff.engine.backend import array_module
from minidiff.engine.elementwise import detach, exp, plain, sum_per_image


@equation("vq.nearest", "VQ-VAE eq. 1", errata=44)
def nearest_code(z_e, codebook):
    """k = argmin over j of |z_e - e_j|

    z_e: (N, D);  codebook: (K, D)  ->  int64 (N,)
    |z - e|^2 = |z|^2 - 2 z e + |e|^2, and |z|^2 is the same for every code.
    Raises: ValueError if the last sizes differ."""
    z_e, codebook = plain(z_e), plain(codebook)
    if z_e.shape[-1] != codebook.shape[-1]:
        got = f"got {z_e.shape} and {codebook.shape}"
        wanted = "z_e and codebook must agree in their last size D"
        raise ValueError(f"nearest_code: {wanted}, {got}")
    distance = (codebook**2).sum(axis=1) - 2 * z_e @ codebook.T
    k = distance.argmin(axis=1)
    return k


@equation("vq.straight_through", "VQ-VAE sec. 3.2", errata=45)
def straight_through(z_e, e):
    """z_q = z_e + sg[e - z_e]

    Forward it is the code. Backward the gradient goes to the encoder as if nothing had
    happened.   z_e, e: (N, D)  ->  (N, D)"""
    step_to_code = detach(e - z_e)
    z_q = z_e + step_to_code
    return z_q


@equation("vq.codebook_loss", "VQ-VAE eq. 3, second term", errata=45)
def codebook_loss(z_e, e):
    """loss = mean of (sg[z_e] - e)^2

    It moves the codes to the encoder's outputs; the encoder does not feel it.
    z_e, e: (N, D)  ->  scalar"""
    difference = detach(z_e) - e
    loss = (difference**2).mean()
    return loss


@equation("vq.commitment_loss", "VQ-VAE eq. 3, third term", errata=45)
def commitment_loss(z_e, e, beta=0.25):
    """loss = beta times the mean of (z_e - sg[e])^2

    It holds the encoder to the codes it chose; the codes do not feel it.
    z_e, e: (N, D)  ->  scalar"""
    difference = z_e - detach(e)
    loss = beta * (difference**2).mean()
    return loss


@equation("vq.loss", "VQ-VAE eq. 3", errata=45)
def vq_loss(reconstruction, codebook, commitment):
    """loss = reconstruction + codebook + commitment

    reconstruction: mean of (x - x_hat)^2, a Gaussian decoder's -log p(x | z_q);
    codebook: `codebook_loss`, 0 if the codes are running means; commitment: as above."""
    loss = reconstruction + codebook + commitment
    return loss


@equation("vq.ema", "VQ-VAE app. A.1", errata=45)
def ema_codebook(N, m, z_e, k, gamma=0.99):
    """N = gamma N + (1 - gamma) n,  m = gamma m + (1 - gamma) sums,  e = m / N

    Codes as running means of the vectors that chose them, instead of the codebook loss.
    N: (K,) > 0 running counts;  m: (K, D) running sums;  z_e: (n, D);  k: (n,) codes
    ->  N: (K,), m: (K, D), codebook: (K, D)"""
    xp = array_module(N, m, z_e, k)
    chosen = (k[:, None] == xp.arange(len(N))[None, :]).astype(m.dtype)
    N = gamma * N + (1 - gamma) * chosen.sum(axis=0)
    m = gamma * m + (1 - gamma) * chosen.T @ z_e
    codebook = m / N[:, None]
    return N, m, codebook


@equation("vq.perplexity", "VQ-VAE sec. 4 (watch for codebook collapse)", errata=46)
def perplexity(k, K):
    """effective = exp(-sum over codes of p log p), how many codes are in use

    1 (collapsed) .. K (all equally).
    k: (N,) ints in 0..K-1  ->  scalar of k's library"""
    xp = array_module(k)
    ends = xp.searchsorted(xp.sort(k), xp.arange(K + 1))  # bincount would wait for a GPU
    p = (ends[1:] - ends[:-1]) / len(k)
    log_p = xp.log(xp.where(p > 0, p, 1))  # 0 log 0 = 0
    entropy = -(p * log_p).sum()
    effective = xp.exp(entropy)
    return effective


@equation("vae.kl", "Kingma & Welling app. B; LDM sec. 3.1 (KL-reg.)", errata=43)
def kl_to_standard_normal(mu, log_variance):
    """kl = 1/2 sum of (mu^2 + variance - 1 - log variance)

    The regulariser of a KL autoencoder, summed over the latent.
    mu, log_variance: (B, ...)  ->  (B,), nats"""
    per_element = 0.5 * (mu**2 + exp(log_variance) - 1 - log_variance)
    kl = sum_per_image(per_element)
    return kl


@equation("ldm.scale", "LDM sec. D.1 (G)", errata=(43, 51))
def latent_scale(z):
    """scale = 1 / sqrt(variance of z)

    Latents times this have unit variance, as eps has (Stable Diffusion: 0.18215).
    z: (B, ...)  ->  float"""
    mean = z.mean()
    variance = ((z - mean) ** 2).mean()
    scale = 1 / math.sqrt(float(variance))
    return scale


@equation("ldm.sample", "LDM sec. 3", errata=51)
def decode_latent(z_0, scale, decoder):
    """x = D(z_0 / scale)

    The last line of latent sampling: undo the scale, then decode.
    z_0: (B, ...), from a sampler on latents; scale: `latent_scale` of the training;
    decoder: a callable  ->  images"""
    z = z_0 / scale
    x = decoder(z)
    return x
