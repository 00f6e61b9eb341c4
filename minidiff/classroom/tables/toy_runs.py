"""A small run for each piece of program that a slide names: which function, and its arguments.

Equations have theirs in `toy_arguments`. What is not here - a training loop, say - has no run that
fits a slide; its code is shown without values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidiff import functional, models, nn
from minidiff.classroom.tables.toy_arguments import by_name, half
from minidiff.diffusion import ddim, ddpm, forward, inversion, losses, schedule, schedule_check
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.targets import as_eps_theta
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models import unet_blocks
from minidiff.models.autoencoder import KLAutoencoder, KLConfig, VQAutoencoder, VQConfig
from minidiff.models.quantizer import VectorQuantizer
from minidiff.nn.attention import MultiHeadAttention

Run = tuple[Callable[..., Any], dict[str, Any]]
_BLOCK = unet_blocks.BlockSettings(32, 2, 0.0, None, None)


def _images(channels: int = 1, size: int = 28) -> Tensor:
    return Tensor(RNG(1).normal((1, channels, size, size)))


def _t(value: int = 500) -> np.ndarray:
    return np.array([value])


def _forward(module: Any, **arguments: Any) -> Run:
    return type(module).forward, {"self": module.eval(), **arguments}


def _block(module: Any, channels: int, size: int) -> Run:
    time = Tensor(RNG(2).normal((1, 32)))
    return _forward(module, x=_images(channels, size), swish_t=time)


def _unet() -> Run:
    return _forward(models.UNet(models.UNetConfig(n_channels=8), RNG(0)), x=_images(), t=_t())


def _text_unet() -> Run:
    unet = models.UNetConfig(
        n_channels=8, image_channels=4, ch_mults=(1, 2), is_attn=(True, True), context_channels=16
    )
    words = models.TextEncoderConfig(20, max_length=4, d=16, n_layers=1, n_heads=2)
    network = models.TextUNet(models.TextUNetConfig(unet=unet, text=words), RNG(0))
    return _forward(network, z_t=_images(4, 8), t=_t(), tokens=np.array([[1, 2, 3, 0]]))


def _text_encoder() -> Run:
    network = models.TextEncoder(
        models.TextEncoderConfig(20, max_length=4, d=16, n_layers=1, n_heads=2), RNG(0)
    )
    return _forward(network, tokens=np.array([[1, 2, 3, 0]]))


def _multi_head() -> Run:
    tokens = [Tensor(RNG(i).normal((1, n, 8))) for i, n in ((0, 5), (1, 3))]
    attention = MultiHeadAttention(8, 2, rng=RNG(0))
    return _forward(attention, query=tokens[0], key=tokens[1], value=tokens[1])


def _cross() -> Run:
    block = unet_blocks.CrossAttentionBlock(
        8, unet_blocks.BlockSettings(32, 2, 0.0, None, 6), RNG(0)
    )
    context = unet_blocks.Context(Tensor(RNG(3).normal((1, 3, 6))), None)
    return _forward(block, x=_images(8, 4), context=context)


def _samples(sampler: Any, **settings: Any) -> Run:
    toy = by_name()
    return sampler, {
        "eps_theta": half,
        "start": toy["start"],
        "schedule": toy["schedule"],
        "rng": RNG(0),
        **settings,
    }


def _small_vq() -> VQAutoencoder:
    return VQAutoencoder(VQConfig(n_channels=8, n_codes=16), RNG(0))


TOY_RUNS: dict[str, Callable[[], Run]] = {
    "minidiff.diffusion.gaussian.kl_gaussians": lambda: (
        _gaussian(),
        {"mean_1": 0.3, "variance_1": 0.2, "mean_2": 0.0, "variance_2": 1.0},
    ),
    "minidiff.functional.conv2d.conv2d": lambda: (
        functional.conv2d,
        {"x": np.arange(9.0).reshape(1, 1, 3, 3), "weight": np.ones((1, 1, 2, 2))},
    ),
    "minidiff.diffusion.oracle.GaussianMixture": lambda: (
        GaussianMixture.log_prob,
        {"self": by_name()["mixture"], "x_0": np.array([[0.7, 0.1]])},
    ),
    "minidiff.diffusion.forward.forward_steps": lambda: (
        forward.forward_steps,
        {"x_0": np.array([[0.5, -1.0]]), "schedule": by_name()["schedule"], "rng": RNG(0)},
    ),
    "minidiff.diffusion.schedule.make_schedule": lambda: (
        schedule.make_schedule,
        {"name": "cosine", "T": 10},
    ),
    "minidiff.diffusion.schedule_check.TerminalCheck": lambda: (
        schedule_check.TerminalCheck.__init__,
        {"self": object.__new__(schedule_check.TerminalCheck), "schedule": by_name()["schedule"]},
    ),
    "minidiff.diffusion.targets.as_eps_theta": lambda: (
        as_eps_theta,
        {"network": half, "prediction": "v", "schedule": by_name()["schedule"]},
    ),
    "minidiff.diffusion.losses.training_terms": lambda: (
        losses.training_terms,
        {
            "network": half,
            "x_0": np.array([[0.5, -1.0]]),
            "t": _t(5),
            "eps": np.array([[1.0, -0.5]]),
            "schedule": by_name()["schedule"],
        },
    ),
    "minidiff.diffusion.ddpm.ddpm_sample": lambda: _samples(ddpm.ddpm_sample),
    "minidiff.diffusion.ddpm.ddpm_steps": lambda: _samples(ddpm.ddpm_steps),
    "minidiff.diffusion.ddim.ddim_sample": lambda: _samples(ddim.ddim_sample, steps=4),
    "minidiff.diffusion.schedule.respace": lambda: (
        schedule.respace,
        {"schedule": by_name()["schedule"], "tau": [1, 4, 7, 10]},
    ),
    "minidiff.diffusion.inversion.ddim_invert": lambda: (
        inversion.ddim_invert,
        {
            "eps_theta": half,
            "x_0": np.array([[0.5, -1.0]]),
            "schedule": by_name()["schedule"],
            "steps": 4,
        },
    ),
    "minidiff.models.unet.UNet": _unet,
    "minidiff.models.unet.UNet.forward": _unet,
    "minidiff.nn.Swish": lambda: (functional.swish, {"x": np.array([0.0, 1.0, -2.0])}),
    "minidiff.nn.GroupNorm": lambda: _forward(nn.GroupNorm(2, 4), x=_images(4, 2)),
    "minidiff.models.unet_blocks.TimeEmbedding": lambda: _forward(
        unet_blocks.TimeEmbedding(16, RNG(0)), t=_t()
    ),
    "minidiff.models.unet_blocks.DownBlock": lambda: _block(
        unet_blocks.DownBlock(8, 16, True, _BLOCK, RNG(0)), 8, 14
    ),
    "minidiff.models.unet_blocks.Downsample": lambda: _block(
        unet_blocks.Downsample(8, RNG(0)), 8, 28
    ),
    "minidiff.models.unet_blocks.MiddleBlock": lambda: _block(
        unet_blocks.MiddleBlock(16, _BLOCK, RNG(0)), 16, 7
    ),
    "minidiff.models.unet_blocks.UpBlock": lambda: _block(
        unet_blocks.UpBlock(16, 16, 8, True, _BLOCK, RNG(0)), 32, 14
    ),
    "minidiff.models.unet_blocks.Upsample": lambda: _block(unet_blocks.Upsample(8, RNG(0)), 8, 14),
    "minidiff.models.NoisyClassifier": lambda: _forward(
        models.NoisyClassifier(rng=RNG(0)), x=_images(), t=_t()
    ),
    "minidiff.models.autoencoder.Autoencoder": lambda: (
        type(_small_vq()).forward,
        {"self": _small_vq().eval(), "x": _images()},
    ),
    "minidiff.models.text_unet.TextUNet": _text_unet,
    "minidiff.models.unet_blocks.CrossAttentionBlock": _cross,
    "minidiff.models.TextEncoder": _text_encoder,
    "minidiff.nn.MultiHeadAttention": _multi_head,
    "minidiff.models.autoencoder.VQAutoencoder": lambda: (
        VQAutoencoder.terms,
        {"self": _small_vq().eval(), "x": _images()},
    ),
    "minidiff.models.autoencoder.VQAutoencoder.terms": lambda: (
        VQAutoencoder.terms,
        {"self": _small_vq().eval(), "x": _images()},
    ),
    "minidiff.models.autoencoder.KLAutoencoder": lambda: (
        KLAutoencoder.terms,
        {
            "self": KLAutoencoder(KLConfig(n_channels=8), RNG(0)).eval(),
            "x": _images(),
            "eps": RNG(4).normal((1, 4, 7, 7)),
        },
    ),
    "minidiff.models.quantizer.VectorQuantizer": lambda: _forward(
        VectorQuantizer(16, 4, rng=RNG(0)), z_e=_images(4, 3)
    ),
}


def _gaussian() -> Callable[..., Any]:
    from minidiff.diffusion.gaussian import kl_gaussians

    return kl_gaussians
