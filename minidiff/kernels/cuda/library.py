"""The compiled modules of the CUDA sources: which are there, and what to say when one is missing.

`_kernels_cpu` runs the CUDA sources emulated, on NumPy arrays: for tests and debuggers, not for
speed. `_kernels_cuda` runs them on a GPU, on CuPy arrays. Either is imported when first used.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

from minidiff.engine.backend import array_module
from minidiff.engine.registry import Unsupported, register_kernel

HOW_TO_BUILD = {
    "cpu": "a C++ compiler on Linux is needed when minidiff is installed: "
           "MINIDIFF_KERNELS=cpu pip install . says what is missing",
    "cuda": "nvcc is needed when minidiff is installed: "
            "MINIDIFF_KERNELS=cuda pip install . says what is missing",
}


@cache
def load(device: str) -> tuple[ModuleType | None, str]:
    """The compiled module for "cpu" or "cuda", or None and the reason why it cannot be used."""
    name = f"minidiff._kernels_{device}"
    try:
        return importlib.import_module(name), ""
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None, f"the {device} kernels are not built; {HOW_TO_BUILD[device]}"
    except ImportError as error:
        return None, f"{name} is built but cannot be loaded: {error}"


class Native(NamedTuple):
    """What a kernel call needs besides its arguments."""

    module: ModuleType  # _kernels_cpu or _kernels_cuda
    xp: Any  # numpy or cupy, to make arrays
    stream: int  # CuPy's current stream; 0 on the CPU

    def stream_now(self) -> int:
        """CuPy's current stream, which may have changed since: a recording has one of its own."""
        return int(self.xp.cuda.get_current_stream().ptr) if self.xp.__name__ == "cupy" else 0


def native(*arrays: Any) -> Native:
    """The compiled module for these arrays.

    Raises: Unsupported, with the reason, when there is none; TypeError for mixed libraries.
    """
    xp = array_module(*arrays)
    if xp.__name__ == "numpy":
        device, stream = "cpu", 0
    elif xp.__name__ == "cupy":
        device, stream = "cuda", xp.cuda.get_current_stream().ptr
        current = xp.cuda.runtime.getDevice()
        for array in arrays:
            if array is not None and array.device.id != current:
                raise Unsupported(
                    f"an array is on cuda:{array.device.id}, "
                    f"but the current device is cuda:{current}"
                )
    else:
        raise Unsupported(f"kernels take arrays of NumPy or CuPy, not of {xp.__name__}")
    module, reason = load(device)
    if module is None:
        raise Unsupported(reason)
    return Native(module, xp, stream)


def float32(**arrays: Any) -> None:
    """Raises: Unsupported if an array is not float32, or too large to be counted in 32 bits."""
    for name, array in arrays.items():
        if array is None:
            continue
        if array.dtype != "float32":
            raise Unsupported(f"{name} is {array.dtype}, the kernels compute in float32")
        if array.size >= 2**31 - 2**16:
            raise Unsupported(f"{name} has {array.size} elements, the kernels count to 2^31")


def register_versions(
    operation: str, kernel: Callable[[str], Callable], versions: tuple[str, ...]
) -> None:
    """Enter kernel(version) for each version. "auto" takes the last one on a GPU.

    The others run where they are asked for by name, and all of them do on the CPU, emulated.
    """
    for version in versions:
        last = version == versions[-1]
        devices, by_name = (("cuda",), ("cpu",)) if last else ((), ("cpu", "cuda"))
        register_kernel(operation, version, kernel(version), devices=devices, by_name=by_name)


@contextmanager
def checks(on: bool = True, capability: str | None = None) -> Iterator[None]:
    """Inside, every memory access of an emulated kernel is checked, like under compute-sanitizer.

    A kernel raises RuntimeError with the line of the source, the thread and the block if it reads
    or writes outside of its arrays or at an address that its GPU refuses, reads shared memory that
    nobody has written, races, or lets some threads miss a barrier.
    About 5 times slower. The limits of a launch are those of an H100, or of `capability`: "7.5".
    Raises: RuntimeError without _kernels_cpu; ValueError for a capability that is not known.
    """
    module, reason = load("cpu")
    if module is None:
        raise RuntimeError(f"kernels.checks: {reason}")
    gpu_before = module.gpu()
    if capability is not None:
        digits = capability.replace(".", "")
        if not digits.isdecimal() or not module.set_gpu(int(digits)):
            raise ValueError(
                "kernels.checks: capability must be one whose limits are known here, "
                f"such as '7.5', '8.0' or '9.0', got {capability!r}"
            )
    before = module.set_checking(on)
    try:
        yield
    finally:
        module.set_checking(before)
        module.set_gpu(gpu_before)


def status() -> list[str]:
    """What is there and what is missing, one line each, for `python -m minidiff`."""
    cpu, no_cpu = load("cpu")
    cuda, no_cuda = load("cuda")
    lines = ["kernels on CPU (emulated, for tests and debuggers): " + (no_cpu or "built")]
    if cuda is None:
        return [*lines, f"kernels on GPU: {no_cuda}"]
    count, driver, toolkit = cuda.devices()
    capabilities = ", ".join(dotted(cuda.architectures))
    lines.append(
        f"kernels on GPU: built with CUDA {version(toolkit)} "
        f"for compute capabilities {capabilities} and newer"
    )
    if driver == 0:
        lines.append("  no NVIDIA driver on this machine: they cannot run here")
    elif driver // 1000 < toolkit // 1000:
        lines.append(
            f"  the NVIDIA driver supports CUDA {version(driver)} only: "
            "update it, or build with an older toolkit"
        )
    else:
        gpus = (
            "1 GPU" if count == 1 else f"{count} GPUs" if count else "no GPU: they cannot run here"
        )
        lines.append(f"  driver for CUDA {version(driver)}, {gpus}")
    return lines


def version(number: int) -> str:
    """CUDA's 13020 -> "13.2"."""
    return f"{number // 1000}.{number % 1000 // 10}"


def dotted(architectures: str) -> list[str]:
    """ "75 90" -> ["7.5", "9.0"]."""
    return [re.sub(r"^(\d+)(\d)", r"\1.\2", a) for a in architectures.split()]
