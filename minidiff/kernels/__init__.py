"""Fast forms of the operations, entered into the table of minidiff.engine.registry.

    python -m minidiff                                # which kernels there are, and which ones run
    with minidiff.use_kernels(conv2d="tiled"): ...    # this kernel of conv2d, on a GPU or emulated
    with minidiff.kernels.checks(): ...               # emulated kernels with every access checked
    with minidiff.kernels.count() as costs: ...       # ... and what each launch costs

They are entered from the slowest to the fastest: "auto" takes the last one for the device of the
arrays that takes the arguments. cpu/ is written with NumPy, and is what CuPy falls back to;
cuda/ calls the kernels of csrc/, on a GPU, or emulated on the CPU if they are asked for by name.
"""

from minidiff.kernels import cpu  # isort: skip  (slower than those of cuda/)
from minidiff.kernels.cuda import attention, conv2d, group_norm, ladder, linear
from minidiff.kernels.cuda.cost import Cost, Costs, count
from minidiff.kernels.cuda.library import checks, status
from minidiff.kernels.cuda.tf32 import allow_tf32, tf32_is_allowed
from minidiff.kernels.cuda.tuning import tune_plans

__all__ = [
    "Cost", "Costs", "allow_tf32", "attention", "checks", "conv2d", "count", "cpu", "group_norm",
    "ladder", "linear", "status", "tf32_is_allowed", "tune_plans",
]  # fmt: skip
