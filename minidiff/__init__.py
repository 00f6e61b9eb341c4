"""minidiff: learn diffusion models from the inside.

    import minidiff as md
    x = md.Tensor([1.0, 2.0], requires_grad=True)

Floors, each importing only from those below it: classroom, training, data, models, diffusion, nn and optim, functional, kernels, and at the
bottom the engine (tensor, operation, tape, dispatch, backend).
"""

from minidiff.anomaly import AnomalyError, detect_anomaly
from minidiff.dispatch import KernelMismatch, kernel_versions, register_kernel, use_kernels
from minidiff.tape import enable_grad, is_recording, no_grad
from minidiff.tensor import Tensor, gradients

from minidiff.operation import Operation, operation  # isort: skip  (it needs the Tensor)
from minidiff import functional
from minidiff.kernels import allow_tf32  # enters the kernels into the table, too
from minidiff.random import RNG

__version__ = "0.1.0"

__all__ = [
    "RNG", "AnomalyError", "KernelMismatch", "Operation", "Tensor", "allow_tf32", "detect_anomaly", "enable_grad", "functional",
    "gradients", "is_recording", "kernel_versions", "no_grad", "operation", "register_kernel", "use_kernels",
]  # fmt: skip
