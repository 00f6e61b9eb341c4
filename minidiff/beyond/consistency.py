"""Consistency functions: from any point of a path to its end, in one call.

The probability-flow ODE takes each x_t to one image. The function that says to which is
the same number all along a path: f(x_t, t) = f(x_s, s). A network can be trained on that
alone (Song et al. 2303.01469). On a line the exact one is known: it keeps quantiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from minidiff.beyond.exact_flow import flow_map
from minidiff.beyond.pairs import downwards
from minidiff.diffusion.equation import equation
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.noise_prediction import fresh_noise, predict_noise, starting_noise
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.step import Step
from minidiff.engine.random import RNG

Network = Callable[..., Any]


@equation("consistency.function", "Song et al. 2303.01469 sec. 3; quantiles on a line")
def consistency(x_t, t, mixture, schedule):
    """x_0_hat = f(x_t, t) = F_0^-1(F_t(x_t)), where the path through x_t ends

    f(x_0, 0) = x_0. It is no mean of the images that x_t may come from: f(x_T, T) is a
    sample.   x_t: (B, 1);  t: int in 0..T  ->  (B, 1)"""
    x_0_hat = flow_map(x_t, t, 0, mixture, schedule)
    return x_0_hat


@equation("consistency.loss", "Song et al. 2303.01469 eq. 7, with lambda = 1")
def consistency_loss(x_0_hat, x_0_hat_prev):
    """L = E[(f(x_t, t) - f(x_prev, t_prev))^2]

    x_prev is one step of a solver from x_t. No gradient flows through the second.
    x_0_hat, x_0_hat_prev: (B, ...)  ->  a number"""
    error = x_0_hat - x_0_hat_prev
    L = (error * error).mean()
    return L


def exact_consistency(mixture: GaussianMixture, schedule: Schedule) -> Network:
    """f(x_t, t) of a mixture on a line, called as samplers call a network."""

    def f(x_t: Any, t: Any) -> Any:
        return consistency(x_t, int(t.max()), mixture, schedule)  # a sampler's t is one

    return f


def consistency_steps(
    f: Network, start: Any, schedule: Schedule, rng: RNG, *,
    steps: int | Sequence[int] | None = 1,
) -> Iterator[Step]:  # fmt: skip
    """Algorithm 1 of Song et al.: to the image in one call, back to less noise, again.

    x_prev = sqrt(alpha_bar_prev) f(x_t, t) + sqrt(1 - alpha_bar_prev) z

    f: called as f(x_t, t) with t: (B,)  ->  x_0_hat: (B, ...);
    start: the shape (B, ...) of the samples, or x_T; steps: how many, or increasing times
    that end in T. More of them mend what one call got wrong; an exact f needs one."""
    x_t = starting_noise(start, rng)
    for t, t_prev in downwards(schedule, steps):
        x_0_hat = predict_noise(f, x_t, t)
        z = fresh_noise(x_t, rng if t_prev else None)
        x_prev = q_sample(x_0_hat, t_prev, z, schedule) if t_prev else x_0_hat
        yield Step("consistency", t, x_t=x_t, x_0_hat=x_0_hat, z=z, x_prev=x_prev)
        x_t = x_prev
