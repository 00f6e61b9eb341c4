"""Pictures of the slides where one says more than numbers; those that minidiff can draw in a second are drawn at build time."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from minidiff.classroom import as_printed
from minidiff.classroom.derivations.loss_weight import loss_weight
from minidiff.data import make_digits, to_float
from minidiff.diffusion.ddim import ddim_sample
from minidiff.diffusion.ddpm import ddpm_steps
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.pictures import save_grid

DOCS = Path(__file__).parents[1]
DRAWN = DOCS / "deck" / "pictures"
T = 1000
TIMES = np.arange(1, T + 1)
LINEAR = make_schedule("linear", T)


@cache
def digits() -> GaussianMixture:
    """200 drawn digits, each a narrow Gaussian: what the exact predictor knows."""
    images = to_float(make_digits(200, seed=0).images)
    return GaussianMixture(np.ones(200), images, 0.1)


def clipped(images):
    return np.clip(images, -1, 1)


def forward_chain(path: Path) -> None:
    image = to_float(make_digits(10, seed=0).images)[3:4]
    eps = RNG(0).normal(image.shape, dtype=image.dtype)
    times = [1, 50, 100, 200, 300, 500, 700, 1000]
    frames = [image, *(q_sample(image, t, eps, LINEAR) for t in times)]
    save_grid(path, clipped(np.concatenate(frames)), 9, labels=["$x_0$", *(f"t = {t}" for t in times)])


def reverse_chain(path: Path) -> None:
    show = {1000, 800, 600, 400, 300, 200, 100, 50, 1}
    frames = []
    for step in ddpm_steps(digits().eps_theta(LINEAR), (3, 1, 28, 28), LINEAR, RNG(1)):
        if step.t in show:
            frames.append((step.t, step.x_prev))
    images = np.concatenate([frame for _, frame in frames]).reshape(len(frames), 3, 1, 28, 28).swapaxes(0, 1)
    labels = [f"after t = {t}" for t, _ in frames] + [""] * (2 * len(frames))
    save_grid(path, clipped(images.reshape(-1, 1, 28, 28)), len(frames), labels=labels)


def few_steps(path: Path) -> None:
    counts = (2, 3, 5, 10, 20, 50, 200)
    x_T = RNG(5).normal((3, 1, 28, 28))
    rows = [ddim_sample(digits().eps_theta(LINEAR), x_T, LINEAR, steps=S) for S in counts]
    images = np.stack(rows, axis=1).reshape(-1, 1, 28, 28)
    labels = [f"S = {S}" for S in counts] + [""] * (2 * len(counts))
    save_grid(path, clipped(images), len(counts), labels=labels)


def figure(path: Path, draw: Callable, width: float = 9.0) -> None:
    picture = Figure(figsize=(width, 3.4), layout="constrained")
    draw(picture)
    picture.savefig(path, dpi=110)


def schedules(path: Path) -> None:
    def draw(picture):
        left, right = picture.subplots(1, 2)
        for name, schedule in (
            ("linear", LINEAR),
            ("cosine, clip 0.999", make_schedule("cosine", T)),
            ("cosine, clip 0.02 (the slide)", as_printed.cosine_schedule(T)),
        ):
            left.semilogy(TIMES, schedule.tables["beta"][1:], label=name)
            right.plot(np.arange(T + 1), np.sqrt(schedule.tables["alpha_bar"]), label=name)
        left.set(title=r"noise added in one step, $\beta_t$", xlabel="t")
        right.set(title=r"part of the image in $x_t$, $\sqrt{\bar\alpha_t}$", xlabel="t")
        left.legend(fontsize=8)

    figure(path, draw)


def variances(path: Path) -> None:
    def draw(picture):
        axis = picture.subplots()
        axis.loglog(TIMES[1:], LINEAR.tables["beta"][2:], label=r"$\beta_t$")
        axis.loglog(TIMES[1:], LINEAR.tables["beta_tilde"][2:], label=r"$\tilde\beta_t$")
        axis.set(title="the two choices of the variance: they differ at the last steps", xlabel="t")
        axis.legend()

    figure(path, draw, 7.0)


def weights(path: Path) -> None:
    def draw(picture):
        axis = picture.subplots()
        axis.loglog(TIMES, loss_weight(TIMES, LINEAR), label=r"weight in $L_{t-1}$")
        axis.loglog(TIMES, np.ones(T), "--", label=r"$L^{simple}$: all ones")
        axis.set(title=r"weight of $\|\epsilon-\epsilon_\theta\|^2$", xlabel="t")
        axis.legend()

    figure(path, draw, 7.0)


def targets(path: Path) -> None:
    def draw(picture):
        axis = picture.subplots()
        ratio = np.sqrt(LINEAR.tables["one_minus_alpha_bar"][1:] / LINEAR.tables["alpha_bar"][1:])
        axis.loglog(TIMES, ratio, label=r"error in $x_0$ of an error of 1 in $\epsilon$")
        axis.loglog(TIMES, 1 / ratio, label=r"error in $\epsilon$ of an error of 1 in $x_0$")
        axis.set(title="each target is ill-conditioned at one end of the chain", xlabel="t")
        axis.legend()

    figure(path, draw, 7.0)


def time_embedding(path: Path) -> None:
    def draw(picture):
        axis = picture.subplots()
        half = 32
        angle = TIMES[:, None] / 10000 ** (np.arange(half) / (half - 1))
        axis.imshow(np.concatenate([np.sin(angle), np.cos(angle)], axis=1).T, aspect="auto", cmap="RdBu", extent=(1, T, 2 * half, 0))
        axis.set(title="the time embedding: sines above, cosines below", xlabel="t", ylabel="channel")

    figure(path, draw, 7.0)


DRAWINGS: dict[int, tuple[Callable[[Path], None], str]] = {
    4: (forward_chain, "A drawn digit on its way to noise (linear schedule, T = 1000)."),
    5: (schedules, "The schedules of the slide."),
    10: (variances, "Both choices, linear schedule, T = 1000."),
    14: (weights, "What leaving out the weight does: noisy times count more."),
    17: (targets, "Errors of one target in units of the other."),
    21: (reverse_chain, "DDPM, T = 1000, with the exact predictor of 200 drawn digits: no network is needed for this."),
    24: (few_steps, "DDIM with S of 1000 steps and the exact predictor of 200 drawn digits."),
    29: (time_embedding, "32 sines and 32 cosines for every time."),
}
READY = {
    19: ("images/mnist_samples.png", "Samples of the model that `examples/train_mnist_ddpm.py` trains in ten minutes."),
    20: ("as_printed.png", "The deck's printed forms (red) and the right ones (green)."),
    34: ("images/ldm_trajectory.png", "A latent on its way to a digit, decoded at every stage."),
    36: ("images/inpainting.png", "A hole in the image as a concatenated condition."),
    38: ("images/vqvae_reconstructions.png", "Digits, and what the quantised autoencoder makes of them."),
    39: ("images/ldm_samples.png", "Samples of the latent model."),
    42: ("images/text_samples.png", "Words to digits, with guidance."),
}


def picture_of(number: int) -> str:
    """The picture of a slide as MyST, "" if it has none."""
    if number in DRAWINGS:
        draw, caption = DRAWINGS[number]
        path = DRAWN / f"{number:02}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            draw(path)
        return f"```{{figure}} pictures/{path.name}\n{caption}\n```\n"
    if number in READY:
        file, caption = READY[number]
        return f"```{{figure}} ../{file}\n{caption}\n```\n"
    return ""
