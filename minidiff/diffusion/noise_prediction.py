"""Calling the network inside a sampler, and clipping what it says about x_0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidiff.diffusion.elementwise import plain
from minidiff.diffusion.equation import equation
from minidiff.diffusion.targets import Prediction, eps_from_x_0, x_0_from_eps
from minidiff.engine.backend import is_array
from minidiff.engine.random import RNG
from minidiff.engine.tape import no_grad


def times(t: int, x_t: Any) -> np.ndarray:
    """One t for each image, as a network wants it.    -> int64 (B,), on the host: the schedule is there, and nobody waits for a GPU."""
    return np.full((x_t.shape[0],), t, dtype=np.int64)


def starting_noise(shape: tuple[int, ...] | None, x_T: Any, rng: RNG | None, dtype: Any) -> Any:
    """x_T as given, or drawn from N(0, I).   -> (B, ...).   Raises ValueError if there is nothing to start from."""
    if x_T is not None:
        if not is_array(x_T):
            raise TypeError(f"sampling: x_T must be an array (B, ...), got {type(x_T).__name__}")
        return x_T
    if shape is None or rng is None:
        raise ValueError(f"sampling: give the shape of the samples and an rng, or x_T; got shape = {shape}, rng = {rng}")
    return rng.normal(shape, dtype=dtype)


def predict_noise(eps_theta: Callable[..., Any], x_t: Any, t: int) -> Any:
    """eps_theta(x_t, t) as an array, without a tape.   Arguments and errors as `predict`.   -> (B, ...)."""
    return predict(eps_theta, x_t, t).eps


def predict(eps_theta: Callable[..., Any], x_t: Any, t: int, variance: str = "beta") -> Prediction:
    """What the network says at x_t, as arrays, without a tape.   x_t: (B, ...) -> Prediction.

    variance: "learned" keeps the v of a network that returns a Prediction, other names leave it out.
    Raises: TypeError if there is no v, or for another dtype than that of x_t; ValueError for another shape.
    """
    with no_grad():
        prediction = eps_theta(x_t, times(t, x_t))
    if isinstance(prediction, tuple) and not isinstance(prediction, Prediction):
        raise TypeError("sampling: eps_theta must return an array or a Prediction(eps, v), got a tuple")
    is_pair = isinstance(prediction, Prediction) and prediction.v is not None
    if variance == "learned" and not is_pair:
        got = type(prediction).__name__
        raise TypeError(
            f"sampling: variance 'learned' wants a network that returns Prediction(eps, v), got {got}"
        )
    if isinstance(prediction, Prediction):
        v = _checked(prediction.v, x_t) if variance == "learned" else None
        return Prediction(_checked(prediction.eps, x_t), v)
    return Prediction(_checked(prediction, x_t))


def _checked(prediction: Any, x_t: Any) -> Any:
    array = plain(prediction)
    if tuple(array.shape) != tuple(x_t.shape):
        raise ValueError(f"sampling: eps_theta must return the shape of x_t, {tuple(x_t.shape)}, got {tuple(array.shape)}")
    if array.dtype != x_t.dtype:
        raise TypeError(f"sampling: eps_theta must return the dtype of x_t, {x_t.dtype}, got {array.dtype}")
    return array


@equation(
    "sampling.clip_x_0",
    slide="Diffusion Sampling Process",
    paper="DDPM sec. 3.3 (images in [-1, 1])",
    latex=r"\hat{\mathbf{x}}_0 \leftarrow \mathrm{clip}(\hat{\mathbf{x}}_0, -c, c), \quad"
    r" \boldsymbol\epsilon \leftarrow \frac{\mathbf{x}_t - \sqrt{\bar\alpha_t}\,\hat{\mathbf{x}}_0}{\sqrt{1-\bar\alpha_t}}",
)
def clip_x_0(x_t, t, eps_hat, schedule, clip=1.0):
    """Keep the predicted image in [-clip, clip] and re-derive the noise, so that the two still make x_t.   -> x_0_hat, eps_hat.

    clip: None leaves both as they are.
    """
    x_0_hat = x_0_from_eps(x_t, t, eps_hat, schedule)
    if clip is not None:
        x_0_hat = x_0_hat.clip(-clip, clip)
        eps_hat = eps_from_x_0(x_t, t, x_0_hat, schedule)
    return x_0_hat, eps_hat
