"""The code that the debugger runs without stopping: the engine, libraries, other plumbing."""

from __future__ import annotations

import inspect
import sys
from fnmatch import fnmatchcase
from types import CodeType, FrameType

from minidiff.engine.printing import PACKAGE

SKIPPED = (  # module.function, as patterns: what a formula stands on, but is no formula itself
    "minidiff.engine.*", "minidiff.kernels.*",
    "minidiff.engine.elementwise.*", "minidiff.diffusion.coefficients.*",
    "minidiff.diffusion.step.*", "minidiff.diffusion.equation.*",
    "minidiff.diffusion.schedule.Schedule.*", "minidiff.diffusion.schedule._*",
    "minidiff.nn.module.*", "minidiff.data.*", "minidiff.training.workers.*",
    "minidiff.optim.flat.*", "minidiff.optim.fused.*", "minidiff.optim.*.step",
    "minidiff.optim.*.begin_step", "minidiff.optim.*.apply", "minidiff.optim.*.zero_grad",
    "minidiff.optim.*.update_named",
    "minidiff.optim.*.steps_with_gradient", "minidiff.optim.*.slots_of", "minidiff.optim.*._*",
    "minidiff.sampling.predictor.*", "minidiff.classroom.*", "minidiff.cli.*",
    "minidiff.*<listcomp>", "minidiff.*<genexpr>", "minidiff.*<dictcomp>",
)  # fmt: skip


_known: dict[CodeType, bool] = {}


def is_skipped(frame: FrameType) -> bool:
    """True if the frame runs no line of the user's program and no formula."""
    if frame.f_code not in _known:
        _known[frame.f_code] = _decide(frame)
    return _known[frame.f_code]


def _decide(frame: FrameType) -> bool:
    code, module = frame.f_code, frame.f_globals.get("__name__", "")
    root = module.partition(".")[0]
    if not module:  # what dataclasses write, before Python 3.12
        return True
    if root != PACKAGE.name:
        elsewhere = ("site-packages", "dist-packages", "<frozen", "<__array_function__")
        library = root in sys.stdlib_module_names or root.startswith("namedtuple_")
        library |= root == "__main__" and str(PACKAGE) in code.co_filename  # python -m minidiff
        return library or any(part in code.co_filename for part in elsewhere)
    if not code.co_flags & inspect.CO_OPTIMIZED or code.co_filename.startswith("<"):
        return True  # a module or a class while it is imported, and what a dataclass writes
    name = getattr(code, "co_qualname", None)  # from Python 3.11 on
    if name is None:
        this = frame.f_locals.get("self") if code.co_varnames[:1] == ("self",) else None
        name = code.co_name if this is None else f"{type(this).__name__}.{code.co_name}"
    return any(fnmatchcase(f"{module}.{name}", pattern) for pattern in SKIPPED)
