"""The formulas of latent diffusion: quantisation, its losses, Q, K and V of cross-attention, and the loss in latent space.

They work on arrays and on Tensors alike; the models are built on them in `minidiff.models`.
Tokens are rows: a matrix W of the slides acts on a row token as `token @ W.T` (errata 49).
"""

from __future__ import annotations

import math

from minidiff.diffusion.elementwise import detach, exp, plain, sum_per_image
from minidiff.diffusion.equation import equation
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.losses import L_simple
from minidiff.engine.backend import array_module

TOKENS = "LDM Training (Phase 1)"
PHASE_2 = "LDM Training (Phase 2)"


@equation(
    "vq.nearest",
    slide=TOKENS,
    paper="VQ-VAE eq. 1",
    latex=r"k = \arg\min_j \|\mathbf{z}_e(\mathbf{x}) - \mathbf{e}_j\|_2",
    errata=(44,),
)
def nearest_code(z_e, codebook):
    """Index of the nearest code by Euclidean distance.   z_e: (N, D); codebook: (K, D) -> int64 (N,).

    |z - e|^2 = |z|^2 - 2 z e + |e|^2, and |z|^2 is the same for every code.
    """
    z_e, codebook = plain(z_e), plain(codebook)
    if z_e.shape[-1] != codebook.shape[-1]:
        raise ValueError(f"nearest_code: z_e and codebook must agree in their last size D, got {z_e.shape} and {codebook.shape}")
    distance = (codebook**2).sum(axis=1) - 2 * z_e @ codebook.T
    return distance.argmin(axis=1)


@equation(
    "vq.straight_through",
    slide=TOKENS,
    paper="VQ-VAE sec. 3.2",
    latex=r"\mathbf{z}_q = \mathbf{z}_e + \mathrm{sg}[\mathbf{e}_k - \mathbf{z}_e]",
    errata=(45,),
)
def straight_through(z_e, e):
    """Forward the code, backward the gradient to the encoder as if nothing had happened.   z_e, e: (N, D) -> (N, D)."""
    step_to_code = detach(e - z_e)
    return z_e + step_to_code


@equation(
    "vq.codebook_loss",
    slide=TOKENS,
    paper="VQ-VAE eq. 3, second term",
    latex=r"\|\mathrm{sg}[\mathbf{z}_e(\mathbf{x})] - \mathbf{e}\|_2^2",
    errata=(45,),
)
def codebook_loss(z_e, e):
    """Moves the codes to the encoder's outputs; the encoder does not feel it.   z_e, e: (N, D) -> mean over all elements."""
    return ((detach(z_e) - e) ** 2).mean()


@equation(
    "vq.commitment_loss",
    slide=TOKENS,
    paper="VQ-VAE eq. 3, third term",
    latex=r"\beta\,\|\mathbf{z}_e(\mathbf{x}) - \mathrm{sg}[\mathbf{e}]\|_2^2",
    errata=(45,),
)
def commitment_loss(z_e, e, beta=0.25):
    """Holds the encoder to the codes it chose; the codes do not feel it.   z_e, e: (N, D) -> beta times the mean over all elements."""
    return beta * ((z_e - detach(e)) ** 2).mean()


@equation(
    "vq.loss",
    slide=TOKENS,
    paper="VQ-VAE eq. 3",
    latex=r"L = -\log p(\mathbf{x}|\mathbf{z}_q) + \|\mathrm{sg}[\mathbf{z}_e] - \mathbf{e}\|_2^2"
    r" + \beta\,\|\mathbf{z}_e - \mathrm{sg}[\mathbf{e}]\|_2^2",
    errata=(45,),
)
def vq_loss(x, x_hat, z_e, e, beta=0.25):
    """Reconstruction (a Gaussian decoder: squared error), codebook and commitment.   x, x_hat: (B, ...); z_e, e: (N, D) -> scalar."""
    reconstruction = ((x - x_hat) ** 2).mean()
    codebook = codebook_loss(z_e, e)
    commitment = commitment_loss(z_e, e, beta)
    return reconstruction + codebook + commitment


@equation(
    "vq.ema",
    slide=TOKENS,
    paper="VQ-VAE app. A.1",
    latex=r"N_i \leftarrow \gamma N_i + (1-\gamma)n_i, \quad \mathbf{m}_i \leftarrow \gamma\mathbf{m}_i"
    r" + (1-\gamma)\sum_j \mathbf{z}_{i,j}, \quad \mathbf{e}_i = \mathbf{m}_i / N_i",
    errata=(45,),
)
def ema_codebook(N, m, z_e, k, gamma=0.99):
    """Codes as running means of the vectors that chose them, instead of the codebook loss.   -> N: (K,), m: (K, D), codebook: (K, D).

    N: (K,) > 0 running counts; m: (K, D) running sums; z_e: (n, D); k: (n,) chosen indices.
    """
    xp = array_module(N, m, z_e, k)
    chosen = (k[:, None] == xp.arange(len(N))[None, :]).astype(m.dtype)
    N = gamma * N + (1 - gamma) * chosen.sum(axis=0)
    m = gamma * m + (1 - gamma) * chosen.T @ z_e
    codebook = m / N[:, None]
    return N, m, codebook


@equation(
    "vq.perplexity",
    slide=TOKENS,
    paper="VQ-VAE sec. 4 (watch for codebook collapse)",
    latex=r"\exp\Big(-\sum_k p_k\log p_k\Big), \quad p_k = n_k / N",
    errata=(46,),
)
def perplexity(k, K):
    """How many codes are in use, effectively: 1 (collapsed) .. K (all equally).   k: (N,) ints in 0..K-1 -> float."""
    xp = array_module(k)
    p = xp.bincount(k, minlength=K) / len(k)
    used = p[p > 0]
    entropy = -(used * xp.log(used)).sum()
    return float(xp.exp(entropy))


@equation(
    "vae.kl",
    slide=TOKENS,
    paper="Kingma & Welling app. B; LDM sec. 3.1 (KL-reg.)",
    latex=r"D_{KL}\big(\mathcal{N}(\boldsymbol\mu,\boldsymbol\sigma^2)\|\mathcal{N}(\mathbf{0},\mathbf{I})\big)"
    r" = \tfrac12\sum\big(\mu^2 + \sigma^2 - 1 - \log\sigma^2\big)",
    errata=(43,),
)
def kl_to_standard_normal(mu, log_variance):
    """The regulariser of a KL autoencoder, summed over the latent.   mu, log_variance: (B, ...) -> (B,), nats."""
    per_element = 0.5 * (mu**2 + exp(log_variance) - 1 - log_variance)
    return sum_per_image(per_element)


@equation(
    "ldm.scale",
    slide=PHASE_2,
    paper="LDM sec. D.1 (G)",
    latex=r"\mathbf{z} \leftarrow \mathbf{z} / \hat\sigma, \quad \hat\sigma^2 = \mathrm{Var}[\mathcal{E}(\mathbf{x})]",
    errata=(43, 51),
)
def latent_scale(z):
    """What to multiply latents by so that they have unit variance, as eps has (Stable Diffusion: 0.18215).   z: (B, ...) -> float."""
    mean = z.mean()
    variance = ((z - mean) ** 2).mean()
    return 1 / math.sqrt(float(variance))


@equation(
    "ldm.projections",
    slide=PHASE_2,
    paper="LDM sec. 3.3",
    latex=r"Q = W_Q^{(i)}\cdot\varphi_i(z_t), \quad K = W_K^{(i)}\cdot\tau_\theta(y), \quad V = W_V^{(i)}\cdot\tau_\theta(y)",
    errata=(48, 49),
)
def projections(phi, tau, W_Q, W_K, W_V):
    """Queries from the image, keys and values from the text.   -> Q: (B, N, d), K: (B, M, d), V: (B, M, d).

    phi: (B, N, d_phi), a U-Net feature map with its N = H W pixels as rows; tau: (B, M, d_tau), the text tokens; W: (d, d_phi or d_tau).
    """
    Q = phi @ W_Q.T
    K = tau @ W_K.T
    V = tau @ W_V.T
    return Q, K, V


@equation(
    "ldm.loss",
    slide=PHASE_2,
    paper="LDM eq. 3",
    latex=r"L_{LDM} = E_{\mathcal{E}(x),y,\boldsymbol\epsilon,t}"
    r"\big[\|\boldsymbol\epsilon - \boldsymbol\epsilon_\theta(\mathbf{z}_t,t,\tau_\theta(y))\|_2^2\big]",
    errata=(17, 50),
)
def L_LDM(eps_theta, z_0, t, eps, condition, schedule):
    """L_simple in latent space, with a condition.   z_0, eps: (B, ...) scaled latents; t: (B,) in 1..T; condition: tau_theta(y) -> scalar.

    eps_theta is called as eps_theta(z_t, t, condition). The mean over all elements, as `L_simple`.
    """
    z_t = q_sample(z_0, t, eps, schedule)
    eps_hat = eps_theta(z_t, t, condition)
    return L_simple(eps, eps_hat)


@equation(
    "ldm.sample",
    slide="LDM Sampling",
    paper="LDM sec. 3",
    latex=r"\mathbf{z}_T \sim \mathcal{N}(\mathbf{0},\mathbf{I}) \to \dots \to \mathbf{z}_0, \quad"
    r" \mathbf{x} = \mathcal{D}(\mathbf{z}_0 / s)",
    errata=(51,),
)
def decode_latent(z_0, scale, decoder):
    """The last line of latent sampling: undo the scale, then decode.   z_0: (B, ...), from `ddim_sample` on latents -> images.

    scale: the `latent_scale` that the latents were multiplied by in training; decoder: a callable.
    """
    z = z_0 / scale
    return decoder(z)
