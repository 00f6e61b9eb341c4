"""The derivative along a random direction, by the graph and by finite differences."""

from __future__ import annotations

import numpy as np

import minidiff as md


def directional_errors(function, leaves, rng, step=1e-3):
    """For each leaf, |finite difference - gradient| / the larger of both, along a random direction of that leaf.

    function: list of Tensors -> Tensor. The result is weighted with random numbers to get one number L. Central differences D at two steps
    give (4 D(step/2) - D(step)) / 3, whose error is of order step^4 (Richardson): about 1e-11 in float64.
    """
    tensors = [md.Tensor(x, requires_grad=True) for x in leaves]
    y = function(tensors)
    weights = rng.normal(y.shape, dtype=np.float64)
    gradients = md.gradients(y, tensors, weights)

    def L(i, shift):
        with md.no_grad():
            shifted = [md.Tensor(x + shift if j == i else x) for j, x in enumerate(leaves)]
            return float((function(shifted).numpy() * weights).sum())

    errors = []
    for i, (x, gradient) in enumerate(zip(leaves, gradients, strict=True)):
        assert gradient is not None, f"no gradient flows to array {i}"
        assert gradient.shape == x.shape and gradient.dtype == x.dtype
        direction = rng.normal(x.shape, dtype=np.float64)
        differences = [(L(i, h * direction) - L(i, -h * direction)) / (2 * h) for h in (step, step / 2)]
        expected = (4 * differences[1] - differences[0]) / 3
        found = float((gradient * direction).sum())
        assert abs(found) > 1e-6, f"the derivative along this direction of array {i} is {found}: the check would prove nothing"
        errors.append(abs(found - expected) / max(abs(found), abs(expected)))
    return errors
