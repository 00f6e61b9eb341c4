"""Registry of the implementations of each operation: the definition, and kernels that are faster.

    with minidiff.use_kernels("reference"): ...     # the definition as written, on every device
    with minidiff.use_kernels("check"): ...         # run both, compare, go on with the kernel's
    with minidiff.use_kernels(conv2d="naive"): ...  # this kernel for conv2d

A kernel is a function with the signature of the operation, which returns the same `(y, backward)`.
The kernels of an operation are registered from the slowest to the fastest. For an array on some
device, "auto" tries those of that device from the last to the first, then the definition.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from minidiff.engine.backend import array_module, device_of, is_array
from minidiff.engine.setting import Block, Setting

MODES = ("reference", "auto", "check", "strict")


class Unsupported(Exception):
    """A kernel raises it, with the reason, for arguments that it does not take.

    The next kernel is tried then.
    """


class KernelMismatch(AssertionError):
    """A kernel and the definition disagree (mode "check")."""


class Kernel(NamedTuple):
    """An entry of the table."""

    version: str
    function: Callable
    devices: tuple[str, ...]  # whose arrays "auto" gives it
    by_name: tuple[str, ...]  # whose arrays it takes, too, if it is asked for by name


class _Choice(NamedTuple):
    mode: str
    versions: Mapping[str, str]


def _mode_of_the_environment() -> str:
    """$MINIDIFF_USE_KERNELS, the mode outside of every `use_kernels`.

    A debugger that is no pdb sets it.
    """
    mode = os.environ.get("MINIDIFF_USE_KERNELS", "auto")
    if mode not in MODES:
        raise ValueError(f"MINIDIFF_USE_KERNELS must be one of {', '.join(MODES)}, got {mode!r}")
    return mode


_DEFAULT = _Choice(_mode_of_the_environment(), MappingProxyType({}))
_choice = Setting("use_kernels", _DEFAULT)
_kernels: dict[str, dict[str, Kernel]] = {}  # operation -> version -> kernel, slowest first


def register_kernel(
    operation: str,
    version: str,
    function: Callable,
    *,
    devices: tuple[str, ...] = ("cpu", "cuda"),
    by_name: tuple[str, ...] = (),
) -> None:
    """Enter a kernel for an operation: the fastest so far on each of its devices.

    devices: where "auto" may take it; by_name: where it runs only if `use_kernels` names it.
    """
    _kernels.setdefault(operation, {})[version] = Kernel(version, function, devices, by_name)


def kernel_versions(operation: str, device: str | None = None) -> list[str]:
    """The names of the kernels of an operation, slowest first; empty if it has none.

    device: only those that "auto" tries for arrays on "cpu" or "cuda", from the last to the first.
    """
    kernels = _kernels.get(operation, {}).values()
    return [k.version for k in kernels if device is None or device in k.devices]


def operations_with_kernels() -> list[str]:
    """The names of the operations that have a kernel on any device."""
    return list(_kernels)


def use_kernels(mode: str = "auto", **versions: str) -> Block:
    """Choose the implementations inside the block, or the function or generator below it.

    mode: "reference" - always the definition; "auto" - the fastest kernel that takes the arguments,
    else the definition; "strict" - as "auto", and an error where an operation has kernels for this
    device and none takes the arguments; "check" - as "auto", and the definition too: a difference
    beyond the rounding of float32 raises KernelMismatch.
    versions: operation="version", a kernel chosen by name, which must take the arguments.
    Raises: ValueError for an unknown mode, operation or version.
    """
    if mode not in MODES:
        raise ValueError(f"use_kernels: mode must be one of {', '.join(MODES)}, got {mode!r}")
    for operation, version in versions.items():
        if version not in _kernels.get(operation, {}):
            known = ", ".join(kernel_versions(operation)) or "no kernels are registered for it"
            raise ValueError(
                f"use_kernels: {operation} has no version {version!r} (known: {known})"
            )
    return Block(_choice, lambda outer: _Choice(mode, {**outer.versions, **versions}))


def run(
    name: str, reference: Callable, args: list[Any], kwargs: dict[str, Any]
) -> tuple[Any, Callable | None]:
    """The `(y, backward)` of operation `name` by the implementation that is chosen."""
    table, choice = _kernels.get(name), _choice.get()
    if table is None or choice.mode == "reference" or _has_empty([*args, *kwargs.values()]):
        return reference(*args, **kwargs)
    device = _device_kind([*args, *kwargs.values()])
    named = choice.versions.get(name)
    refused = []
    for kernel in (table[named],) if named else reversed(table.values()):
        if device not in kernel.devices and not named:
            continue
        try:
            if device not in kernel.devices and device not in kernel.by_name:
                raise Unsupported(f"version {named!r} does not run on {device!r}")
            result = kernel.function(*args, **kwargs)
        except Unsupported as reason:
            refused.append(f"kernel {kernel.version!r} does not take these arguments ({reason})")
            continue
        if choice.mode == "check":
            expected = reference(*args, **kwargs)
            return _checked(name, reference.__code__.co_varnames, result, expected)
        return result
    if refused and (named or choice.mode == "strict"):
        raise RuntimeError(f"{name}: {', '.join(refused)}, and a fallback is not allowed here")
    return reference(*args, **kwargs)


def _has_empty(arguments: list[Any]) -> bool:
    """Whether an array has no elements. A kernel has nothing to do then, and may not expect it."""
    return any(is_array(value) and not value.size for value in arguments)


def _device_kind(arguments: list[Any]) -> str:
    """ "cpu" or "cuda": where the first array among the arguments is."""
    for argument in arguments:
        for value in argument if isinstance(argument, (list, tuple)) else (argument,):
            if is_array(value):
                return device_of(value).partition(":")[0]
    return "cpu"


def _checked(
    name: str, parameters: tuple[str, ...], kernel: tuple[Any, Any], reference: tuple[Any, Any]
) -> tuple[Any, Callable | None]:
    """Compare the results now, and the gradients when they are computed."""
    _compare(f"{name} forward", kernel[0], reference[0])
    if reference[1] is None:
        return kernel[0], None

    def checked_backward(dy: Any) -> tuple[Any, ...]:
        ours, theirs = (
            _as_tuple(call_backward(backward, dy)) for backward in (kernel[1], reference[1])
        )
        for parameter, a, b in zip(parameters, ours, theirs, strict=False):
            if a is not None and b is not None:
                # a gradient that is 0 in exact arithmetic comes out as noise, in proportion to dy
                _compare(
                    f"{name} backward, gradient of {parameter}", a, b, floor=0.1 * _largest(dy)
                )
        return ours

    return kernel[0], checked_backward


def call_backward(backward: Callable, dy: Any) -> Any:
    """All gradients, also of a kernel that asks which are wanted."""
    if backward.__code__.co_argcount == 2:
        return backward(dy, (True,) * 16)
    return backward(dy)


def _as_tuple(gradients: Any) -> tuple[Any, ...]:
    return gradients if isinstance(gradients, tuple) else (gradients,)


def _largest(x: Any) -> float:
    return float(array_module(x).abs(x).max()) if x.size else 0.0


def _compare(
    what: str, kernel: Any, reference: Any, tolerance: float = 1e-4, floor: float = 0.0
) -> None:
    """Raise KernelMismatch unless the two agree to within `tolerance` of a scale.

    The scale is the largest value of the reference, or `floor` if that is larger.
    """
    if kernel.shape != reference.shape or kernel.dtype != reference.dtype:
        raise KernelMismatch(
            f"{what}: the kernel returned {kernel.dtype} {kernel.shape}, "
            f"the reference {reference.dtype} {reference.shape}"
        )
    if kernel.size == 0:
        return
    xp = array_module(kernel, reference)
    difference = xp.abs(kernel - reference)
    scale = max(_largest(reference), floor)
    worst = float(difference.max())
    if not worst <= tolerance * scale:  # also true for NaN
        index = tuple(
            int(i)
            for i in xp.unravel_index(
                xp.argmax(xp.where(xp.isnan(difference), xp.inf, difference)), difference.shape
            )
        )
        raise KernelMismatch(
            f"{what}: at index {index} the kernel has {float(kernel[index]):.8g}, "
            f"the reference {float(reference[index]):.8g} (difference {worst:.3g}, "
            f"largest value {scale:.3g}, tolerance {tolerance:g} relative to it)"
        )
