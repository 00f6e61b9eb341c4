"""Experiments with networks: a small one that learns meanwhile, and parts of the large ones."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from minidiff import functional as F
from minidiff.classroom.lab.clouds import clusters, of_cloud
from minidiff.classroom.lab.symptom import Picture, Progress, Symptom
from minidiff.classroom.lab.tables_of_time import unit_points
from minidiff.diffusion.ddim import ddim_sample
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.latent import (
    codebook_loss,
    commitment_loss,
    ema_codebook,
    nearest_code,
    straight_through,
    vq_loss,
)
from minidiff.diffusion.losses import draw_training_noise, training_terms
from minidiff.diffusion.oracle import exact_eps
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.engine.registry import use_kernels
from minidiff.engine.tape import no_grad
from minidiff.engine.tensor import Tensor
from minidiff.models import PointDenoiser, PointDenoiserConfig, UNet, UNetConfig
from minidiff.models.unet_blocks import AttentionBlock, BlockSettings
from minidiff.nn.attention import MultiHeadAttention
from minidiff.optim import AdamW
from minidiff.training.ema import EMA

STEPS, BATCH, T = 400, 128, 50
LR = 1e-2  # so large that the last parameters jitter, and their average does not
PROBES = ((2, "small t"), (15, "middle t"), (40, "large t"))
SKIPPED = 20  # losses at the beginning that every training has


def loss_of(network: Any, x_0: Any, schedule: Any, rng: RNG) -> Any:
    """Lines 3 to 5 of Algorithm 1: draw t and eps, make x_t, compare.   -> a Tensor"""
    t, eps = draw_training_noise(x_0, schedule, rng)
    step = training_terms(network, x_0, t, eps, schedule)
    return step.loss


Trained = tuple[list[float], EMA]
"""The loss of each step, and the average of the parameters."""


def train(
    network: Any, schedule: Any, mixture: Any, rng: RNG
) -> Generator[float, None, Trained]:
    """The training loop: a step of the optimiser, then one of the average.

    It yields the share of the steps that are done.
    """
    optimizer = AdamW(network.named_parameters(), lr=LR, betas=(0.9, 0.99), weight_decay=0.0)
    average, losses = EMA(network, 0.99), []
    for step in range(STEPS):
        x_0 = mixture.sample(BATCH, rng, dtype=np.float32)
        loss = loss_of(network, x_0, schedule, rng)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average.update(network)
        losses.append(float(loss.data))
        yield (step + 1) / STEPS
    return losses, average


def sampling_network(network: Any, average: EMA) -> Callable[..., Any]:
    """eps_theta with the averaged parameters, as samplers take them."""
    with average.applied_to(network):
        parameters = {name: array.copy() for name, array in network.state_dict().items()}
    copy = PointDenoiser(network.config, RNG(0))
    for name, parameter in copy.named_parameters():
        parameter.assign(parameters[name])

    def eps_theta(x_t: Any, t: Any) -> Any:
        with no_grad():
            return copy(x_t, t).data

    return eps_theta


def training() -> Progress:
    """Algorithm 1 on three clusters, then DDIM with what was learned, beside the exact answer."""
    mixture, schedule, rng = clusters(0.15), make_schedule("linear", T), RNG(0)
    network = PointDenoiser(PointDenoiserConfig(n_hidden=32), rng)
    losses, average = yield from train(network, schedule, mixture, rng)
    eps_theta = sampling_network(network, average)
    x_T = RNG(1).normal((600, 2))
    points = ddim_sample(eps_theta, x_T, schedule, steps=25)
    last = np.array(losses[-100:])
    measures = {
        "loss at the end": float(last.mean()),
        "jumps of the loss from step to step": float(np.abs(np.diff(losses[SKIPPED:])).mean()),
    }
    probes = RNG(3)
    x_0 = mixture.sample(512, probes, dtype=np.float32)
    for t, name in PROBES:
        x_t = q_sample(x_0, t, probes.normal(x_0.shape), schedule)
        error = eps_theta(x_t, np.full(len(x_t), t)) - exact_eps(x_t, t, mixture, schedule)
        measures[f"distance to the exact noise, {name}"] = float(np.sqrt((error**2).mean()))
    cloud = of_cloud(points, mixture)
    curve = {"loss": (np.arange(1, STEPS + 1), smoothed(np.array(losses)))}
    pictures = (Picture("curves", "loss over the steps", curve), *cloud.pictures)
    return Symptom(measures | cloud.measures, pictures)


def smoothed(losses: np.ndarray, by: int = 8) -> np.ndarray:
    """Means of the last few losses, so that a curve is read more easily."""
    return np.array([losses[max(0, i - by + 1) : i + 1].mean() for i in range(len(losses))])


def attention() -> Symptom:
    """How sharply queries choose, and what the U-Net's block adds to its input. By definitions."""
    with use_kernels("reference"):
        return _attention()


def _attention() -> Symptom:
    rng = RNG(2)
    sizes = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    block = AttentionBlock(64, BlockSettings(64, 4, 0.0, None, None), RNG(0))
    x = rng.normal((1, 64, 4, 4))
    with no_grad():
        added = np.array([(block(Tensor((s * x).astype(np.float32))).data - s * x).std()
                          for s in sizes])  # fmt: skip
    entropies = np.array([entropy_of_attention(d, rng) for d in (4, 16, 64, 256)])
    words = MultiHeadAttention(16, 2, rng=RNG(1))
    with no_grad():
        said = words(Tensor(rng.normal((1, 9, 16))), Tensor(rng.normal((1, 5, 16)))).data
    measures = {
        "entropy at d = 4, of 3.47": float(entropies[0]),
        "entropy at d = 256, of 3.47": float(entropies[3]),
        "U-Net's block: std that it adds to x of std 1": float(added[0]),
        "U-Net's block: std that it adds to x of std 16": float(added[-1]),
        "cross-attention: std of the output": float(said.std()),
    }
    curves = {"block's output over the size of x": (sizes, added)}
    chosen = {"entropy over d": (np.array([4.0, 16.0, 64.0, 256.0]), entropies)}
    return Symptom(measures, (Picture("curves", "what the attention block adds to x", curves),
                              Picture("curves", "entropy of the attention", chosen)))  # fmt: skip


def entropy_of_attention(d: int, rng: RNG) -> float:
    """Of 32 keys, read off with the identity for the values: then y is the probabilities."""
    query, key = rng.normal((1, 1, 64, d)), rng.normal((1, 1, 32, d))
    value = np.eye(32, dtype=np.float32)[None, None]
    with no_grad():
        p = F.attention(Tensor(query), Tensor(key), Tensor(value)).data.astype(np.float64)
    return float(-(p * np.log(np.maximum(p, 1e-30))).sum(axis=-1).mean())


def unet() -> Symptom:
    """The channels of each level, the parameters, and what the network is told of t."""
    config = UNetConfig(n_channels=16, ch_mults=(1, 2, 2, 2), is_attn=(False,) * 4, image_size=32)
    network = UNet(config, RNG(0))
    x = RNG(1).normal((1, 1, 32, 32))
    with no_grad():
        times = np.array([network.time_emb(np.array([t])).data[0] for t in (1, 10, 100, 1000)])
        early, late = (network(Tensor(x), np.array([t])).data for t in (1, 900))
    apart = np.sqrt(((times[1:] - times[:-1]) ** 2).mean(axis=1))
    measures = {
        "parameters": float(network.parameter_count()),
        "channels of the last level": float(config.channels[-1]),
        "how far apart the embeddings of t = 1 and 10 are": float(apart[0]),
        "how far apart the outputs at t = 1 and 900 are": float(np.abs(early - late).mean()),
    }
    levels = np.arange(1, 5)
    curves = {"channels of each level": (levels, np.array(config.channels, np.float64))}
    return Symptom(measures, (Picture("curves", "channels level by level", curves),))


def codebook() -> Symptom:
    """Sixty steps of a quantiser: codes and encoder outputs move towards each other."""
    z = unit_points(200).astype(np.float32)
    rng = RNG(4)
    codes = rng.normal((8, 2)) * np.float32(0.5)
    z_e, book = Tensor(z, requires_grad=True), Tensor(codes, requires_grad=True)
    curve, rate = [], 2.0
    for _ in range(60):
        k = nearest_code(z_e.data, book.data)
        e = book[k]
        first, second = codebook_loss(z_e, e), commitment_loss(z_e, e)
        loss = vq_loss(((straight_through(z_e, e) - z) ** 2).mean(), first, second)
        loss.backward()
        curve.append(float(((z_e.data - book.data[k]) ** 2).mean()))
        for array in (z_e, book):
            moved = array.data - np.float32(rate) * (0 if array.grad is None else array.grad)
            array.assign(moved)
            array.grad = None
    moved_codes = float(np.sqrt(((book.data - codes) ** 2).mean()))
    moved_z = float(np.sqrt(((z_e.data - z) ** 2).mean()))
    N, m = np.ones(8), codes.astype(np.float64)
    for _ in range(60):
        N, m, means = ema_codebook(N, m, z, nearest_code(z, m / N[:, None]), 0.9)
    distance = ((z[:, None] - means[None]) ** 2).sum(axis=-1).min(axis=1).mean()
    measures = {
        "distance |z_e - e|^2 at the end": curve[-1], "how far the codes moved": moved_codes,
        "how far the encoder's outputs moved": moved_z,
        "running means: distance to the code": float(distance),
    }  # fmt: skip
    picture = {"|z_e - e|^2": (np.arange(1, 61), np.array(curve))}
    return Symptom(measures, (Picture("curves", "|z_e - e|^2 over the steps", picture),
                              Picture("cloud", "the codes at the end", book.data)))  # fmt: skip


