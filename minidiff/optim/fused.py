"""The update rules of AdamW and of moving averages as one elementwise CUDA kernel each, for parameters on a GPU.

The rules themselves are in optimizer.py and training/ema.py, and the tests compare. What changes from step to step (the learning rate, ...)
is read from an array on the device: a CUDA graph that replays these kernels then sees the numbers of its own step.
"""

from __future__ import annotations

import functools
from typing import Any

NUMBERS = ("weight_decay", "beta1", "one_minus_beta1", "beta2", "one_minus_beta2", "shrink", "step_size", "v_scale", "eps")

ADAM = "".join(f"const float {name} = numbers[{i}];\n" for i, name in enumerate(NUMBERS)) + """
    const float gradient = g + weight_decay * p;
    m = beta1 * m + one_minus_beta1 * gradient;
    v = beta2 * v + one_minus_beta2 * gradient * gradient;
    p = shrink * p - step_size * m / (sqrtf(v) * v_scale + eps);
"""
AVERAGE = "average = numbers[0] * average + numbers[1] * p;"


def adam(xp: Any, g: Any, numbers: Any, p: Any, m: Any, v: Any) -> None:
    """One step, in place.    g: the gradient, p, m, v: all float32 (n,); numbers: float32, in the order of NUMBERS."""
    _kernel(xp, "float32 g, raw float32 numbers", "float32 p, float32 m, float32 v", ADAM, "adam")(g, numbers, p, m, v)


def moving_average(xp: Any, p: Any, numbers: Any, average: Any) -> None:
    """average = numbers[0] * average + numbers[1] * p, in place.    p, average: float32 (n,)"""
    _kernel(xp, "float32 p, raw float32 numbers", "float32 average", AVERAGE, "moving_average")(p, numbers, average)


def write(xp: Any, array: Any, *values: float) -> None:
    """array[:] = values, by a kernel that has them as arguments: nothing is copied from the host, and nobody waits."""
    names = [f"x{i}" for i in range(len(values))]
    body = " ".join(f"array[{i}] = {name};" for i, name in enumerate(names))
    parameters = ", ".join(f"float32 {name}" for name in names)
    _kernel(xp, parameters, "raw float32 array", body, f"write_{len(values)}")(*map(float, values), array, size=1)


@functools.cache
def _kernel(xp: Any, inputs: str, outputs: str, body: str, name: str) -> Any:
    return xp.ElementwiseKernel(inputs, outputs, body, f"minidiff_{name}", no_return=True)
