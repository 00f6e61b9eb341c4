"""The hand-written kernels of csrc/, entered into the table of minidiff.engine.registry by the modules imported here.

    python -m minidiff                                  # which kernels are there
    with minidiff.use_kernels(conv2d="tiled"): ...      # this version of conv2d, on a GPU or emulated
    with minidiff.kernels.checks(): ...                 # emulated kernels with every memory access checked
    with minidiff.kernels.count() as costs: ...         # ... and what each launch costs

The version that is registered last for an operation is the one that "auto" takes on a GPU.
"""

from minidiff.kernels.cuda import attention, conv2d, group_norm, linear
from minidiff.kernels.cuda.cost import Cost, Costs, count
from minidiff.kernels.cuda.library import checks, status
from minidiff.kernels.cuda.tf32 import allow_tf32, tf32_is_allowed
from minidiff.kernels.cuda.tuning import tune_plans

__all__ = [
    "Cost",
    "Costs",
    "allow_tf32",
    "attention",
    "checks",
    "conv2d",
    "count",
    "group_norm",
    "linear",
    "status",
    "tf32_is_allowed",
    "tune_plans",
]
