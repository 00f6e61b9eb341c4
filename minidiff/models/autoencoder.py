"""Two autoencoders with one interface: quantised as on the slides (VQ-VAE), and KL-regularised.

Stable Diffusion has the second kind (errata 43). `encode` gives the latents that diffusion works
on, `decode` makes images of them, `terms` has everything of a training step by name:

    VQ:  z_e = E(x),  e = nearest code,  x_hat = D(z_e + sg[e - z_e])
         loss = |x - x_hat|^2 + |sg[z_e] - e|^2 + beta |z_e - sg[e]|^2
    KL:  mu, log sigma^2 = E(x),  z = mu + sigma eps,  x_hat = D(z)
         loss = |x - x_hat|^2 + kl_weight KL(N(mu, sigma^2) || N(0, I))

Diffusion works on the continuous z_e before quantisation, and the VQ layer belongs to the decoder
(LDM sec. 3.1, errata 47).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from minidiff import functional as F
from minidiff.diffusion.latent import (
    codebook_loss,
    commitment_loss,
    kl_to_standard_normal,
    vq_loss,
)
from minidiff.diffusion.step import Step
from minidiff.engine.checks import is_int
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models.autoencoder_blocks import FACTOR, Decoder, Encoder
from minidiff.models.config import own_config, plain_settings
from minidiff.models.quantizer import VectorQuantizer
from minidiff.nn import Module


@dataclass(frozen=True)
class AutoencoderConfig:
    """Settings that both autoencoders have.

    Raises: ValueError if one is out of range.
    """

    image_channels: int = 1
    n_channels: int = 32  # at half the resolution; a multiple of 4, at least 8
    z_channels: int = 4  # D, the numbers per latent pixel

    def __post_init__(self) -> None:
        plain_settings(self)
        n_channels = self.n_channels
        if not is_int(n_channels) or n_channels < 8 or n_channels % 4:
            raise ValueError(
                f"Autoencoder: n_channels must be a multiple of 4 and at least 8, "
                f"got {n_channels!r}"
            )
        for name in ("image_channels", "z_channels"):
            value = getattr(self, name)
            if not is_int(value) or value < 1:
                raise ValueError(f"Autoencoder: {name} must be an int >= 1, got {value!r}")


@dataclass(frozen=True)
class VQConfig(AutoencoderConfig):
    """Settings of a `VQAutoencoder`."""

    n_codes: int = 128  # K, the size of the codebook
    beta: float = 0.25  # weight of the commitment loss
    ema: bool = False  # codes as running means, see `VectorQuantizer`


@dataclass(frozen=True)
class KLConfig(AutoencoderConfig):
    """Settings of a `KLAutoencoder`."""

    kl_weight: float = 0.002  # of the KL divergence in nats per pixel, small as in LDM sec. 3.1


class Autoencoder(Module):
    """The interface of both.

    x: (B, image_channels, H, W) in [-1, 1], H and W multiples of 4
    z: (B, z_channels, H / 4, W / 4)
    """

    Config: ClassVar[type[AutoencoderConfig]]
    regularizer: str  # "vq" or "kl"
    encoder: Encoder
    decoder: Decoder

    def encode(self, x: Tensor) -> Tensor:
        """The latents of images, as diffusion takes them, before they are scaled."""
        raise TypeError(f"{type(self).__name__} has no encode()")

    def decode(self, z: Tensor) -> Tensor:
        """Images of latents, in [-1, 1] except for the network's errors."""
        raise TypeError(f"{type(self).__name__} has no decode()")

    def terms(self, x: Tensor, eps: Any) -> Step:
        """The terms of a training step. Call backward() on its `loss`.

        eps: (B, z_channels, H / 4, W / 4) standard normal.
        """
        raise TypeError(f"{type(self).__name__} has no terms()")

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of x."""
        return self.decode(self.encode(x))

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(z_channels, h, w) of an image of height x width.

        Raises: ValueError if a size can't be halved twice.
        """
        if height % FACTOR or width % FACTOR:
            raise ValueError(
                f"{type(self).__name__}: height and width must be multiples of {FACTOR}, "
                f"got {height}x{width}"
            )
        return self.config.z_channels, height // FACTOR, width // FACTOR

    def _checked(self, x: Any) -> Any:
        channels = self.config.image_channels
        if x.ndim != 4 or x.shape[1] != channels:
            raise ValueError(
                f"{type(self).__name__}: x must be (B, {channels}, H, W), got shape {x.shape}"
            )
        self.latent_shape(*x.shape[2:])
        return x


class VQAutoencoder(Autoencoder):
    """VQ-VAE (van den Oord et al. 2017)."""

    regularizer = "vq"
    Config = VQConfig

    def __init__(self, config: VQConfig | None = None, rng: RNG | None = None):
        self.config = config = own_config("VQAutoencoder", config, VQConfig)
        rng = rng or RNG(0)
        channels = config.image_channels, config.n_channels, config.z_channels
        self.encoder = Encoder(*channels, rng)
        self.quantizer = VectorQuantizer(config.n_codes, config.z_channels, ema=config.ema, rng=rng)
        self.decoder = Decoder(*channels, rng)

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(self._checked(x))

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(self.quantizer(z).z_q)

    def terms(self, x: Tensor, eps: Any = None) -> Step:
        z_q, z_e, e, k = self.quantizer(self.encode(x))
        x_hat = self.decoder(z_q)
        reconstruction = F.mse_loss(x_hat, x)
        commitment = commitment_loss(z_e, e, self.config.beta)
        losses = {"reconstruction": reconstruction, "commitment": commitment}
        if self.quantizer.codebook.requires_grad:  # else the codes are running means
            losses["codebook"] = codebook_loss(z_e, e)
        loss = vq_loss(reconstruction, losses.get("codebook", 0.0), commitment)
        return Step("vq", None, x=x, z_e=z_e, k=k, e=e, x_hat=x_hat, **losses, loss=loss)


class KLAutoencoder(Autoencoder):
    """A variational autoencoder (Kingma & Welling 2013)."""

    regularizer = "kl"
    Config = KLConfig

    def __init__(self, config: KLConfig | None = None, rng: RNG | None = None):
        self.config = config = own_config("KLAutoencoder", config, KLConfig)
        rng = rng or RNG(0)
        image_channels, n, z_channels = config.image_channels, config.n_channels, config.z_channels
        self.encoder = Encoder(image_channels, n, 2 * z_channels, rng)
        self.decoder = Decoder(image_channels, n, z_channels, rng)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mu and log sigma^2 of q(z | x), each (B, z_channels, H / 4, W / 4)."""
        z_channels = self.config.z_channels
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
        loss = reconstruction + self.config.kl_weight / (x.size // x.shape[0]) * kl
        return Step(
            "kl", None, x=x, mu=mu, log_variance=log_variance, z=z, x_hat=x_hat,
            reconstruction=reconstruction, kl=kl, loss=loss,
        )  # fmt: skip


AUTOENCODERS: dict[str, type[Autoencoder]] = {
    model.regularizer: model for model in (VQAutoencoder, KLAutoencoder)
}
