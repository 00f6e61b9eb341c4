"""Calling the network inside a sampler, and clipping what it says about x_0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidiff.backend import array_module
from minidiff.diffusion.elementwise import plain
from minidiff.diffusion.targets import eps_from_x_0, x_0_from_eps
from minidiff.equations import equation
from minidiff.tape import no_grad


def times(t: int, x_t: Any) -> Any:
    """One t for each image, as a network wants it.    -> int64 (B,) on the device of x_t."""
    xp = array_module(x_t)
    return xp.full((x_t.shape[0],), t, dtype=xp.int64)


def predict_noise(eps_theta: Callable[..., Any], x_t: Any, t: int) -> Any:
    """eps_theta(x_t, t) as an array, without a tape.    x_t: (B, ...) -> (B, ...).    Raises ValueError for another shape."""
    with no_grad():
        eps_hat = plain(eps_theta(x_t, times(t, x_t)))
    if tuple(eps_hat.shape) != tuple(x_t.shape):
        raise ValueError(f"sampling: eps_theta must return the shape of x_t, {tuple(x_t.shape)}, got {tuple(eps_hat.shape)}")
    if eps_hat.dtype != x_t.dtype:
        raise TypeError(f"sampling: eps_theta must return the dtype of x_t, {x_t.dtype}, got {eps_hat.dtype}")
    return eps_hat


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
