"""Elementwise CUDA kernels that treat all parameters at once: joining gradients, AdamW, average.

The rules themselves are in adam.py and training/ema.py, and the tests compare. Numbers that change
from step to step, such as the learning rate, are read from an array on the device. So a CUDA graph
that replays these kernels sees the numbers of its own step.
"""

from __future__ import annotations

import functools
from typing import Any

NUMBERS = (
    "weight_decay", "beta1", "one_minus_beta1", "beta2", "one_minus_beta2", "shrink", "step_size",
    "v_scale", "eps",
)  # fmt: skip

ADAM = (
    "".join(f"const float {name} = numbers[{i}];\n" for i, name in enumerate(NUMBERS))
    + """
    const float gradient = g + weight_decay * p;
    m = beta1 * m + one_minus_beta1 * gradient;
    v = beta2 * v + one_minus_beta2 * gradient * gradient;
    p = shrink * p - step_size * m / (sqrtf(v) * v_scale + eps);
"""
)
AT_ONCE = 8  # arrays that are joined by one launch
AVERAGE = "average = numbers[0] * average + numbers[1] * p;"


def adam(xp: Any, g: Any, numbers: Any, p: Any, m: Any, v: Any) -> None:
    """One step, in place.

    g: the gradient; p, m, v: all float32 (n,). numbers: float32, in the order of NUMBERS.
    """
    _kernel(xp, "float32 g, raw float32 numbers", "float32 p, float32 m, float32 v", ADAM, "adam")(
        g, numbers, p, m, v
    )


def moving_average(xp: Any, p: Any, numbers: Any, average: Any) -> None:
    """average = numbers[0] * average + numbers[1] * p, in place.    p, average: float32 (n,)"""
    _kernel(xp, "float32 p, raw float32 numbers", "float32 average", AVERAGE, "moving_average")(
        p, numbers, average
    )


def join(xp: Any, arrays: list[Any], rooms: list[int], whole: Any) -> None:
    """Put the arrays one behind the other into `whole`, each followed by zeros up to its room.

    `concatenate` would launch one kernel for each array, or send their addresses to the device,
    which can't be recorded. arrays: float32. rooms: elements of whole.
    """
    begin = 0
    for first in range(0, len(arrays), AT_ONCE):
        chosen = [xp.ascontiguousarray(a).reshape(-1) for a in arrays[first : first + AT_ONCE]]
        starts = [0]
        for room in rooms[first : first + AT_ONCE]:
            starts.append(starts[-1] + room)
        inputs = [f"raw float32 a{n}, int64 size{n}, int64 start{n}" for n in range(len(chosen))]
        body = "y = 0;\n" + "\n".join(
            f"if (i >= start{n} && i - start{n} < size{n}) y = a{n}[i - start{n}];"
            for n in range(len(chosen))
        )
        arguments = [
            value for a, start in zip(chosen, starts, strict=False) for value in (a, a.size, start)
        ]
        _kernel(xp, ", ".join(inputs), "float32 y", body, f"join_{len(chosen)}")(
            *arguments, whole[begin : begin + starts[-1]]
        )
        begin += starts[-1]


def write(xp: Any, array: Any, *values: float) -> None:
    """array[:] = values, by a kernel that has them as arguments.

    Nothing is copied from the host, and nobody waits.
    """
    names = [f"x{i}" for i in range(len(values))]
    body = " ".join(f"array[{i}] = {name};" for i, name in enumerate(names))
    parameters = ", ".join(f"float32 {name}" for name in names)
    _kernel(xp, parameters, "raw float32 array", body, f"write_{len(values)}")(
        *map(float, values), array, size=1
    )


@functools.cache
def _kernel(xp: Any, inputs: str, outputs: str, body: str, name: str) -> Any:
    return xp.ElementwiseKernel(inputs, outputs, body, f"minidiff_{name}", no_return=True)
