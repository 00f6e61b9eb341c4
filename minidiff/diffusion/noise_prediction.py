"""Calling the network inside a sampler, and clipping what it says about x_0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidiff.diffusion.equation import equation
from minidiff.diffusion.targets import Prediction, eps_from_x_0, x_0_from_eps
from minidiff.engine.backend import array_module, is_array
from minidiff.engine.elementwise import number, plain
from minidiff.engine.random import RNG
from minidiff.engine.tape import no_grad

EpsTheta = Callable[..., Any]  # (x_t, t) -> (B, ...), or a Prediction


def times(t: int, x_t: Any) -> np.ndarray:
    """One t for each image, as a network wants it.   -> int64 (B,)

    It stays on the host: the schedule is there, and nobody waits for a GPU."""
    return np.full((x_t.shape[0],), t, dtype=np.int64)


def starting_noise(start: Any, rng: RNG | None) -> Any:
    """x_T, or float32 x_T ~ N(0, I) if `start` is a shape.   -> (B, ...)

    Raises: ValueError for a shape without an rng; TypeError if start is neither."""
    if is_array(start):
        return start
    sizes = start if isinstance(start, tuple) else (None,)
    if not all(isinstance(n, (int, np.integer)) for n in sizes):
        got = type(start).__name__
        raise TypeError(f"sampling: start must be a shape or an array x_T, got {got}")
    if rng is None:
        raise ValueError(f"sampling: to draw x_T of shape {start}, give an rng")
    return rng.normal(start)


def fresh_noise(x_t: Any, rng: RNG | None) -> Any:
    """z ~ N(0, I) in shape and dtype of x_t; zeros without an rng."""
    if rng is None:
        return array_module(x_t).zeros_like(x_t)
    return rng.normal(x_t.shape, dtype=x_t.dtype)


def predict_noise(eps_theta: EpsTheta, x_t: Any, t: int) -> Any:
    """eps_theta(x_t, t) as an array, without a tape.   Otherwise as `predict`."""
    return predict(eps_theta, x_t, t).eps


def predict(eps_theta: EpsTheta, x_t: Any, t: int, variance: str = "beta") -> Prediction:
    """What the network says at x_t, as arrays, without a tape.

    variance: "learned" keeps the v of a Prediction, other names drop it.
    Raises: TypeError if there is no v to keep, for a tuple that is not a Prediction, or
    for another dtype than that of x_t; ValueError for another shape."""
    with no_grad():
        said = eps_theta(x_t, times(t, x_t))
    if isinstance(said, tuple) and not isinstance(said, Prediction):
        wanted = "an array or a Prediction(eps, v)"
        raise TypeError(f"sampling: eps_theta must return {wanted}, got a tuple")
    eps, v = said if isinstance(said, Prediction) else (said, None)
    if variance != "learned":
        return Prediction(_like_x_t(eps, x_t))
    if v is None:
        wanted, got = "a network that returns Prediction(eps, v)", type(said).__name__
        raise TypeError(f"sampling: variance 'learned' wants {wanted}, got {got}")
    return Prediction(_like_x_t(eps, x_t), _like_x_t(v, x_t))


def _like_x_t(prediction: Any, x_t: Any) -> Any:
    array = plain(prediction)
    check_shape_of("sampling", array, x_t)
    if array.dtype != x_t.dtype:
        dtypes = f"{x_t.dtype}, got {array.dtype}"
        raise TypeError(f"sampling: eps_theta must return the dtype of x_t, {dtypes}")
    return array


def check_shape_of(program: str, prediction: Any, x_t: Any) -> None:
    """Raises: ValueError if the network returned another shape than that of x_t."""
    if tuple(prediction.shape) != tuple(x_t.shape):
        shapes = f"{tuple(x_t.shape)}, got {tuple(prediction.shape)}"
        raise ValueError(f"{program}: eps_theta must return the shape of x_t, {shapes}")


def clip_bound(clip: Any) -> Any:
    """A bound for |x_0_hat| as a Python number; None is no bound.

    Raises: ValueError unless it is > 0."""
    clip = number(clip)
    if clip is not None and not clip > 0:
        raise ValueError(f"sampling: clip must be > 0, or None, got {clip}")
    return clip


@equation("sampling.clip_x_0", "DDPM sec. 3.3 (images in [-1, 1])")
def clip_x_0(x_t, t, eps_hat, schedule, clip=1.0):
    """x_0_hat = clip(x_0_hat, -clip, clip),  eps_hat = the noise that then makes x_t

    x_t, eps_hat: (B, ...);  t: int or (B,) in 1..T  ->  x_0_hat, eps_hat: (B, ...)
    clip: None leaves both as they are.
    Raises: ValueError where alpha_bar_t = 0: there eps says nothing about x_0."""
    if not np.all(schedule.at(t).alpha_bar):
        way = "take the samplers of minidiff/beyond, which divide by nothing"
        raise ValueError(f"sampling: no x_0_hat from eps at alpha_bar_t = 0: {way}")
    x_0_hat, clip = x_0_from_eps(x_t, t, eps_hat, schedule), clip_bound(clip)
    if clip is not None:
        x_0_hat = x_0_hat.clip(-clip, clip)
        eps_hat = eps_from_x_0(x_t, t, x_0_hat, schedule)
    return x_0_hat, eps_hat
