"""minidiff: learn diffusion models from the inside.

    import minidiff as md
    x = md.Tensor([1.0, 2.0], requires_grad=True)

Floors, each of which imports only from those below it: classroom; cli; evaluation; sampling;
training; pictures; models and data; beyond; diffusion; nn and optim; functional; kernels; engine.
"""

import sys

from minidiff.engine import debug
from minidiff.engine.anomaly import AnomalyError, detect_anomaly
from minidiff.engine.backend import to_cpu, to_device
from minidiff.engine.profiler import profile
from minidiff.engine.registry import KernelMismatch, kernel_versions, register_kernel, use_kernels
from minidiff.engine.tape import enable_grad, is_recording, no_grad
from minidiff.engine.tensor import Tensor, gradients

from minidiff.engine.draw_graph import draw_graph  # isort: skip  (it needs the Tensor)
from minidiff.engine.from_dlpack import from_dlpack  # isort: skip  (it needs the Tensor)
from minidiff.engine.operation import Operation, operation  # isort: skip  (it needs the Tensor)
from minidiff import functional
from minidiff.engine.random import RNG
from minidiff.kernels import allow_tf32  # enters the kernels into the table, too

sys.modules["minidiff.debug"] = debug  # its file is engine/debug.py

__version__ = "0.2.0"

__all__ = [
    "RNG", "AnomalyError", "KernelMismatch", "Operation", "Tensor", "allow_tf32", "debug",
    "detect_anomaly", "draw_graph", "enable_grad", "from_dlpack", "functional", "gradients",
    "is_recording", "kernel_versions", "no_grad", "operation", "profile", "register_kernel",
    "to_cpu", "to_device", "use_kernels",
]  # fmt: skip
