"""Arrays of NumPy and CuPy, and the devices that hold them.

This is the only file that knows NumPy from CuPy. Operations are written once, with
`xp = array_module(x)` standing for `numpy` or `cupy`. CuPy is imported only when somebody asks for
a CUDA device, so that a laptop without a GPU pays nothing for it.
"""

from __future__ import annotations

import importlib
import re
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

import numpy as np

_modules: dict[type, tuple[ModuleType | Any, str]] = {np.ndarray: (np, "cpu")}
_known: dict[
    type, tuple[ModuleType | Any, str] | None
] = {}  # what `_lookup` found out about each type so far


def register_array_module(array_type: type, module: Any, device: str) -> None:
    """Teach the engine another array type.

    module: has NumPy's functions. device: the name that users see.
    """
    _modules[array_type] = (module, device)
    _known.clear()


def cupy() -> ModuleType:
    """CuPy, imported at the first call.

    Raises: RuntimeError, which says what is missing.
    """
    try:
        module = importlib.import_module("cupy")
    except ImportError as error:
        raise RuntimeError(
            "device 'cuda' needs CuPy, which is not installed: pip install 'minidiff[cuda13]' (or "
            "[cuda12] for an older driver)"
        ) from error
    if module.ndarray not in _modules:
        try:
            module.cuda.runtime.getDeviceCount()
        except Exception as error:
            raise RuntimeError(
                f"device 'cuda' was asked for and CuPy is installed, but it finds no usable GPU: "
                f"{error}"
            ) from error
        register_array_module(module.ndarray, module, "cuda")
    return module


def _lookup(array: Any) -> tuple[Any, str] | None:
    """The (module, device) of an array; None for anything else."""
    kind = type(array)
    if kind not in _known:  # once per type: this is asked many times for each operation
        if any(
            base.__module__.partition(".")[0] == "cupy" and base.__name__ == "ndarray"
            for base in kind.__mro__
        ):
            cupy()
        _known[kind] = next((_modules[base] for base in kind.__mro__ if base in _modules), None)
    return _known[kind]


def is_array(value: Any) -> bool:
    """True for an array of a known library (not for a NumPy scalar, a list or a Tensor)."""
    return _lookup(value) is not None


def array_module(*arrays: Any) -> Any:
    """The module (`numpy`, `cupy`) that all the arrays belong to.

    Scalars and None do not count. Without any array it is NumPy. An array is never moved between
    devices silently.

    Raises: TypeError if two libraries are mixed.
    """
    found: tuple[Any, str] | None = None
    for array in arrays:
        entry = _lookup(array)
        if entry is None:
            continue
        if found is not None and entry[0] is not found[0]:
            raise TypeError(
                f"arrays of two libraries in one call: {found[0].__name__} (device {found[1]!r}) "
                f"and "
                f"{entry[0].__name__} (device {entry[1]!r}). Move one of them: x.to({found[1]!r})"
            )
        found = entry
    return found[0] if found else np


def device_of(array: Any) -> str:
    """The device that holds the array: "cpu" or "cuda:0"."""
    entry = _lookup(array)
    if entry is None:
        raise TypeError(f"device_of: wanted an array of NumPy or CuPy, got {type(array).__name__}")
    if entry[1] == "cuda":
        return f"cuda:{array.device.id}"
    return entry[1]


def check_device(device: str) -> str:
    """`device` itself if it names a device: "cpu", "cuda" or "cuda:N".

    Raises: ValueError if it does not.
    """
    names = {name for _, name in _modules.values()}
    if not isinstance(device, str) or (
        device not in names and not re.fullmatch(r"cpu|cuda(:\d+)?", device)
    ):
        raise ValueError(f"device: wanted 'cpu', 'cuda' or 'cuda:N', got {device!r}")
    return device


def module_of_device(device: str) -> Any:
    """The array module that makes arrays on `device`."""
    check_device(device)
    for module, name in _modules.values():
        if name == device:
            return module
    return cupy()


def on_device(device: str) -> AbstractContextManager:
    """Inside the block, arrays that CuPy makes are on `device`, for example "cuda:1".

    "cuda" stands for the current one, and nothing changes.
    """
    module = module_of_device(device)
    if module.__name__ != "cupy":
        return nullcontext()
    return module.cuda.Device(int(device.partition(":")[2] or module.cuda.runtime.getDevice()))


def is_recording_a_graph(module: Any) -> bool:
    """Whether the work of this array module is now recorded in a CUDA graph, and not done.

    See training/cuda_graph.py.
    """
    return module.__name__ == "cupy" and module.cuda.get_current_stream().is_capturing()


def use_device(device: str) -> None:
    """Make `device` the one on which CuPy works from now on.

    Raises: ValueError if it is not a device's name; RuntimeError if it is not there.
    """
    module = module_of_device(device)
    if module.__name__ == "cupy" and ":" in device:
        count, number = module.cuda.runtime.getDeviceCount(), int(device.partition(":")[2])
        if number >= count:
            raise RuntimeError(
                f"device {device!r}: this machine has {count} GPU{'s' * (count != 1)}, cuda:0 to "
                f"cuda:{count - 1}"
            )
        module.cuda.Device(number).use()


def to_device(array: Any, device: str) -> Any:
    """The array on `device`: the same object if it is there already, else a copy.

    A copy to a GPU does not make the host wait.
    """
    target = module_of_device(device)
    source = array_module(array)
    if target.__name__ == "cupy":
        with on_device(device):
            return target.asarray(array)
    if source is target:
        return array
    return target.asarray(to_cpu(array))


def to_cpu(array: Any) -> np.ndarray:
    """The array as a NumPy array.

    Data come down from a GPU only here, so Python waits for the GPU only here.
    """
    if type(array) is np.ndarray:
        return array
    module = array_module(array)
    if module is np:
        return np.asarray(array)
    return module.asnumpy(array)
