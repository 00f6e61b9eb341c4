"""Which implementation of an operation runs: the reference written with `xp`, or a hand-written kernel from a table.

    with minidiff.use_kernels("check"): ...            # run both, compare, and go on with the kernel's result
    with minidiff.use_kernels(conv2d="naive"): ...     # this version of conv2d, on whichever device its arrays are

A kernel is a function with the signature of the operation, which returns the same `(y, backward)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, NamedTuple

from minidiff.engine.backend import array_module, device_of, is_array

MODES = ("reference", "auto", "check", "strict")


class Unsupported(Exception):
    """A kernel raises it, with the reason, for arguments that it does not take; "auto" then takes the reference."""


class KernelMismatch(AssertionError):
    """A kernel and the reference disagree (mode "check")."""


class _Choice(NamedTuple):
    mode: str
    versions: Mapping[str, str]


_AUTO = _Choice("auto", MappingProxyType({}))
_choice: ContextVar[_Choice] = ContextVar("use_kernels", default=_AUTO)
# operation -> version -> (function, devices); the last version is the default
_kernels: dict[str, dict[str, tuple[Callable, tuple[str, ...]]]] = {}


def register_kernel(
    operation: str, version: str, function: Callable, *, devices: tuple[str, ...] = ("cpu", "cuda")
) -> None:
    """Enter a kernel for an operation. The version registered last is the one that "auto", "check" and "strict" take."""
    _kernels.setdefault(operation, {})[version] = (function, devices)


def kernel_versions(operation: str) -> list[str]:
    """The names of the kernels of an operation, simplest first; empty if it has none."""
    return list(_kernels.get(operation, {}))


@contextmanager
def use_kernels(mode: str = "auto", **versions: str) -> Iterator[None]:
    """Choose the implementations inside the block.

    mode: "reference" - always the formula as written; "auto" - a kernel for arrays on a GPU where there is one; "check" - both, compared to
    within float32 rounding, a difference raises KernelMismatch; "strict" - the kernel, and an error where it does not take the arguments.
    versions: operation="version", a version chosen by name.    Raises ValueError for an unknown mode, operation or version.
    """
    if mode not in MODES:
        raise ValueError(f"use_kernels: mode must be one of {', '.join(MODES)}, got {mode!r}")
    for operation, version in versions.items():
        if version not in _kernels.get(operation, {}):
            known = ", ".join(kernel_versions(operation)) or "no kernels are registered for it"
            raise ValueError(
                f"use_kernels: {operation} has no version {version!r} (known: {known})"
            )
    token = _choice.set(_Choice(mode, {**_choice.get().versions, **versions}))
    try:
        yield
    finally:
        _choice.reset(token)


def run(
    name: str, reference: Callable, args: list[Any], kwargs: dict[str, Any]
) -> tuple[Any, Callable | None]:
    """The `(y, backward)` of operation `name` by the implementation that is chosen."""
    table = _kernels.get(name)
    if table is None:
        return reference(*args, **kwargs)
    choice = _choice.get()
    chosen = choice.versions.get(name)
    version = chosen or next(reversed(table))
    device = _device_kind([*args, *kwargs.values()])
    explicit = chosen is not None or choice.mode in ("check", "strict")
    if choice.mode == "reference" or (device == "cpu" and not explicit):
        return reference(*args, **kwargs)
    kernel, devices = table[version]
    try:
        if device not in devices:
            raise Unsupported(f"version {version!r} does not run on {device!r}")
        result = kernel(*args, **kwargs)
    except Unsupported as reason:
        if choice.mode == "strict" or chosen is not None:
            raise RuntimeError(
                f"{name}: kernel {version!r} does not take these arguments ({reason}), and a fallback is not allowed here"
            ) from reason
        return reference(*args, **kwargs)
    if choice.mode == "check":
        return _checked(name, reference.__code__.co_varnames, result, reference(*args, **kwargs))
    return result


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
            _as_tuple(_call_backward(backward, dy)) for backward in (kernel[1], reference[1])
        )
        for parameter, a, b in zip(parameters, ours, theirs, strict=False):
            if a is not None and b is not None:
                # a gradient that is 0 in exact arithmetic comes out as rounding noise, in proportion to dy
                _compare(
                    f"{name} backward, gradient of {parameter}", a, b, floor=0.1 * _largest(dy)
                )
        return ours

    return kernel[0], checked_backward


def _call_backward(backward: Callable, dy: Any) -> Any:
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
    """Raise KernelMismatch unless the two agree to within `tolerance` of the reference's largest value (of `floor`, if that is larger)."""
    if kernel.shape != reference.shape or kernel.dtype != reference.dtype:
        raise KernelMismatch(
            f"{what}: the kernel returned {kernel.dtype} {kernel.shape}, the reference {reference.dtype} {reference.shape}"
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
            f"{what}: at index {index} the kernel has {float(kernel[index]):.8g}, the reference {float(reference[index]):.8g} "
            f"(difference {worst:.3g}, largest value {scale:.3g}, tolerance {tolerance:g} relative to it)"
        )
