"""Gradient clipping by the global norm (Pascanu et al. 2013)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minidiff.engine.backend import array_module
from minidiff.engine.node import as_array
from minidiff.optim.flat import Flat, fits


def clip_gradients(gradients: Mapping[str, Any], max_norm: float) -> tuple[Mapping[str, Any], Any]:
    """Scale all gradients by one factor so that their joint Euclidean norm is at most max_norm.

    The arrays given are not edited.
    gradients: {name: array} -> {name: array}, the norm before as a 0-d array
    """
    if not max_norm > 0:
        raise ValueError(f"clip_gradients: max_norm must be > 0, got {max_norm}")
    if not gradients:
        raise ValueError("clip_gradients: gradients is empty")
    arrays = list(gradients.values())
    xp = array_module(*arrays)
    if fits(gradients):
        flat = Flat(gradients)
        norm = xp.sqrt((flat.whole * flat.whole).sum())
        flat.whole *= xp.minimum(max_norm / (norm + 1e-6), 1)
        return flat, norm
    norm = as_array(xp.sqrt(sum(xp.vdot(g, g) for g in arrays)))
    # it stays on the device: nobody waits for a GPU here
    scale = xp.minimum(max_norm / (norm + 1e-6), 1).astype(arrays[0].dtype)
    return {name: as_array(g * scale) for name, g in gradients.items()}, norm


def clip_grad_norm_(parameters: Any, max_norm: float) -> Any:
    """PyTorch's form: clip the `.grad` of the parameters.    -> the norm before."""
    with_gradient = {str(i): p for i, p in enumerate(parameters) if p.grad is not None}
    if not with_gradient:
        raise ValueError("clip_grad_norm_: no parameter has a gradient; call backward() first")
    clipped, norm = clip_gradients({name: p.grad for name, p in with_gradient.items()}, max_norm)
    for name, p in with_gradient.items():
        p.grad = clipped[name]
    return norm
