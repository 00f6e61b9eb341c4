"""Two autoencoders with one interface: quantised (VQ-VAE) as on the deck, and KL-regularised, as Stable Diffusion has (errata 43).

`encode` gives the latents that diffusion works on, `decode` makes images of them, `terms` has everything of a training step by name:

    VQ:  z_e = E(x), e = nearest code, x_hat = D(z_e + sg[e - z_e]);  |x - x_hat|^2 + |sg[z_e] - e|^2 + beta |z_e - sg[e]|^2
    KL:  mu, log sigma^2 = E(x), z = mu + sigma eps, x_hat = D(z);    |x - x_hat|^2 + kl_weight KL(N(mu, sigma^2) || N(0, I))

Diffusion works on the continuous z_e before quantisation, and the VQ layer belongs to the decoder (LDM sec. 3.1, errata 47).
"""

from __future__ import annotations

from typing import Any

from minidiff import functional as F
from minidiff.diffusion.latent import (
    codebook_loss,
    commitment_loss,
    kl_to_standard_normal,
    vq_loss,
)
from minidiff.diffusion.step import Step
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models.autoencoder_blocks import FACTOR, Decoder, Encoder
from minidiff.models.quantizer import VectorQuantizer
from minidiff.nn import Module


class Autoencoder(Module):
    """What both have in common.    x: (B, image_channels, H, W) in [-1, 1], H and W multiples of 4 <-> z: (B, z_channels, H / 4, W / 4)."""

    regularizer: str  # "vq" or "kl"
    encoder: Encoder
    decoder: Decoder

    def encode(self, x: Tensor) -> Tensor:
        """The latents of images, as diffusion takes them, but for the scale."""
        raise TypeError(f"{type(self).__name__} has no encode()")

    def decode(self, z: Tensor) -> Tensor:
        """Images of latents: in [-1, 1] but for the network's errors."""
        raise TypeError(f"{type(self).__name__} has no decode()")

    def terms(self, x: Tensor, eps: Any) -> Step:
        """A training step's terms; `loss` is what to call backward() on.    eps: (B, z_channels, H / 4, W / 4) standard normal."""
        raise TypeError(f"{type(self).__name__} has no terms()")

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of x."""
        return self.decode(self.encode(x))

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(z_channels, h, w) of an image of height x width.    Raises ValueError for sizes that can't be halved twice."""
        if height % FACTOR or width % FACTOR:
            raise ValueError(
                f"{type(self).__name__}: height and width must be multiples of {FACTOR}, got {height}x{width}"
            )
        return self.config["z_channels"], height // FACTOR, width // FACTOR

    def _checked(self, x: Any) -> Any:
        channels = self.config["image_channels"]
        if x.ndim != 4 or x.shape[1] != channels:
            raise ValueError(
                f"{type(self).__name__}: x must be (B, {channels}, H, W), got shape {x.shape}"
            )
        self.latent_shape(*x.shape[2:])
        return x


class VQAutoencoder(Autoencoder):
    """VQ-VAE (van den Oord et al. 2017).    n_codes: K; z_channels: D; beta: of the commitment loss; ema: as in `VectorQuantizer`."""

    regularizer = "vq"

    def __init__(
        self, image_channels: int = 1, n_channels: int = 32, z_channels: int = 4, n_codes: int = 128, *, beta: float = 0.25,
        ema: bool = False, rng: RNG | None = None,
    ):  # fmt: skip
        _check_channels(n_channels, image_channels, z_channels)
        rng = rng or RNG(0)
        self.config = {
            "image_channels": image_channels, "n_channels": n_channels, "z_channels": z_channels, "n_codes": n_codes, "beta": beta,
            "ema": ema,
        }  # fmt: skip
        self.beta = beta
        self.encoder = Encoder(image_channels, n_channels, z_channels, rng)
        self.quantizer = VectorQuantizer(n_codes, z_channels, ema=ema, rng=rng)
        self.decoder = Decoder(image_channels, n_channels, z_channels, rng)

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(self._checked(x))

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(self.quantizer(z).z_q)

    def terms(self, x: Tensor, eps: Any = None) -> Step:
        z_q, z_e, e, k = self.quantizer(self.encode(x))
        x_hat = self.decoder(z_q)
        reconstruction = F.mse_loss(x_hat, x)
        commitment = commitment_loss(z_e, e, self.beta)
        losses = {"reconstruction": reconstruction, "commitment": commitment}
        if self.quantizer.codebook.requires_grad:  # else the codes are running means
            losses["codebook"] = codebook_loss(z_e, e)
        loss = vq_loss(reconstruction, losses.get("codebook", 0.0), commitment)
        return Step("vq", None, x=x, z_e=z_e, k=k, e=e, x_hat=x_hat, **losses, loss=loss)


class KLAutoencoder(Autoencoder):
    """A variational autoencoder (Kingma & Welling 2013).    kl_weight: of the KL divergence in nats per pixel, small as in LDM sec. 3.1."""

    regularizer = "kl"

    def __init__(
        self,
        image_channels: int = 1,
        n_channels: int = 32,
        z_channels: int = 4,
        *,
        kl_weight: float = 0.002,
        rng: RNG | None = None,
    ):
        _check_channels(n_channels, image_channels, z_channels)
        rng = rng or RNG(0)
        self.config = {
            "image_channels": image_channels,
            "n_channels": n_channels,
            "z_channels": z_channels,
            "kl_weight": kl_weight,
        }
        self.kl_weight = kl_weight
        self.encoder = Encoder(image_channels, n_channels, 2 * z_channels, rng)
        self.decoder = Decoder(image_channels, n_channels, z_channels, rng)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mu and log sigma^2 of q(z | x), each (B, z_channels, H / 4, W / 4)."""
        z_channels = self.config["z_channels"]
        both = self.encoder(self._checked(x))
        mu, log_variance = both[:, :z_channels], both[:, z_channels:]
        return mu, log_variance.clip(-30, 20)  # a wild step of the optimiser must not overflow exp

    def encode(self, x: Tensor) -> Tensor:
        return self.moments(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)

    def terms(self, x: Tensor, eps: Any) -> Step:
        mu, log_variance = self.moments(x)
        sigma = (0.5 * log_variance).exp()
        z = mu + sigma * eps
        x_hat = self.decoder(z)
        reconstruction = F.mse_loss(x_hat, x)
        kl = kl_to_standard_normal(mu, log_variance).mean()
        loss = reconstruction + self.kl_weight / (x.size // x.shape[0]) * kl
        return Step(
            "kl",
            None,
            x=x,
            mu=mu,
            log_variance=log_variance,
            z=z,
            x_hat=x_hat,
            reconstruction=reconstruction,
            kl=kl,
            loss=loss,
        )


AUTOENCODERS: dict[str, type[Autoencoder]] = {
    model.regularizer: model for model in (VQAutoencoder, KLAutoencoder)
}


def _check_channels(n_channels: int, image_channels: int, z_channels: int) -> None:
    if not isinstance(n_channels, int) or n_channels < 8 or n_channels % 4:
        raise ValueError(
            f"Autoencoder: n_channels must be a multiple of 4 and at least 8, got {n_channels!r}"
        )
    for name, value in (("image_channels", image_channels), ("z_channels", z_channels)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"Autoencoder: {name} must be an int >= 1, got {value!r}")
