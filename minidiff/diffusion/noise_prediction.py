"""Calling the network inside a sampler, and clipping what it says about x_0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidiff.diffusion.elementwise import plain
from minidiff.diffusion.equation import equation
from minidiff.diffusion.targets import eps_from_x_0, x_0_from_eps
from minidiff.engine.random import RNG
from minidiff.engine.tape import no_grad


def times(t: int, x_t: Any) -> np.ndarray:
    """One t for each image, as a network wants it.   -> int64 (B,)

    It stays on the host: the schedule is there, and nobody waits for a GPU.
    """
    return np.full((x_t.shape[0],), t, dtype=np.int64)


def starting_noise(
    shape: tuple[int, ...] | None, x_T: Any, rng: RNG | None, dtype: Any
) -> Any:
    """x_T as given, or drawn from N(0, I).   -> (B, ...)

    Raises: ValueError if there is nothing to start from.
    """
    if x_T is not None:
        return x_T
    if shape is None or rng is None:
        wanted = "give the shape of the samples and an rng, or x_T"
        raise ValueError(f"sampling: {wanted}; got shape = {shape}, rng = {rng}")
    return rng.normal(shape, dtype=dtype)


def predict_noise(eps_theta: Callable[..., Any], x_t: Any, t: int) -> Any:
    """eps_theta(x_t, t) as an array, without a tape; a pair (eps, v) as a pair.

    Raises: ValueError for another shape than that of x_t; TypeError for another dtype.
    """
    with no_grad():
        prediction = eps_theta(x_t, times(t, x_t))
    if isinstance(prediction, tuple):
        return tuple(_checked(part, x_t) for part in prediction)
    return _checked(prediction, x_t)


def _checked(prediction: Any, x_t: Any) -> Any:
    array = plain(prediction)
    if tuple(array.shape) != tuple(x_t.shape):
        shapes = f"{tuple(x_t.shape)}, got {tuple(array.shape)}"
        raise ValueError(f"sampling: eps_theta must return the shape of x_t, {shapes}")
    if array.dtype != x_t.dtype:
        dtypes = f"{x_t.dtype}, got {array.dtype}"
        raise TypeError(f"sampling: eps_theta must return the dtype of x_t, {dtypes}")
    return array


@equation("sampling.clip_x_0", "DDPM sec. 3.3 (images in [-1, 1])")
def clip_x_0(x_t, t, eps_hat, schedule, clip=1.0):
    """x_0_hat = clip(x_0_hat, -clip, clip),  eps_hat = the noise that then makes x_t

    x_t, eps_hat: (B, ...);  t: int or (B,) in 1..T  ->  x_0_hat, eps_hat: (B, ...)
    clip: None leaves both as they are.
    """
    x_0_hat = x_0_from_eps(x_t, t, eps_hat, schedule)
    if clip is not None:
        x_0_hat = x_0_hat.clip(-clip, clip)
        eps_hat = eps_from_x_0(x_t, t, x_0_hat, schedule)
    return x_0_hat, eps_hat
