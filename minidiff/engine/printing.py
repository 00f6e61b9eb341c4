"""Values and places as text: small arrays in full, large ones by shape and range."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE = Path(__file__).parents[1]
SMALL = 12
"""Arrays of up to so many elements are shown in full."""


def show(value: Any) -> str:
    """One line about any value; a tuple or a list item by item, a long list by its length."""
    value = plain_array(value)
    if isinstance(value, np.ndarray) and value.ndim > 0 and value.size <= SMALL:
        numbers = np.array2string(value, precision=5, separator=", ", max_line_width=10_000)
        return f"{' '.join(numbers.split())}  {value.shape}"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        terms = zip(value._fields, value, strict=True)
        return f"{type(value).__name__}({', '.join(f'{k}={show(v)}' for k, v in terms)})"
    if isinstance(value, tuple) and not all(isinstance(item, int) for item in value):
        return "(" + ", ".join(map(show, value)) + ")"
    if isinstance(value, list) and value and hasattr(value[0], "shape"):
        return f"{len(value)} arrays {tuple(value[0].shape)}"
    return describe(value)


def describe(value: Any) -> str:
    """A number in full, an array by dtype, shape and range. Small arrays are shown with `show`."""
    value = plain_array(value)
    if value is None or isinstance(value, (str, bool, np.bool_)):
        return str(value)
    if isinstance(value, (int, float)):
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    if getattr(value, "size", 0) == 1:
        return f"{float(value.reshape(-1)[0]):.6g}    {value.dtype} {tuple(value.shape)}"
    if isinstance(value, np.ndarray) and 0 < value.size <= SMALL:
        return show(value)
    if hasattr(value, "min") and hasattr(value, "dtype") and value.size:
        low, mean, high = (float(x) for x in (value.min(), value.mean(), value.max()))
        shape = tuple(value.shape)
        return f"{value.dtype} {shape}, min {low:.4g}, mean {mean:.4g}, max {high:.4g}"
    if callable(value) and hasattr(value, "__name__"):
        return f"{value.__name__}()"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def plain_array(value: Any) -> Any:
    """The array that a Tensor holds; any other value as it is."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value
    data = getattr(value, "data", None)
    return data if hasattr(data, "dtype") and hasattr(value, "requires_grad") else value


def place(filename: str) -> str:
    """A file as people write it: `minidiff/...` if it is of this package, else from here on."""
    path = Path(filename)
    if path.is_relative_to(PACKAGE):
        return path.relative_to(PACKAGE.parent).as_posix()
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else filename


def location_of(function: Callable[..., Any]) -> str:
    """`file:line` of the first line that runs in `function`; of a class its head."""
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    if code is None:
        file = place(inspect.getsourcefile(function) or "?")
        return f"{file}:{inspect.getsourcelines(function)[1]}"
    head = code.co_firstlineno
    lines = [line for _, _, line in code.co_lines() if line is not None and line > head]
    return f"{place(code.co_filename)}:{min(lines, default=head)}"


def source_of(function: Callable[..., Any]) -> str:
    """The lines of a function without its decorators."""
    text = textwrap.dedent(inspect.getsource(function))
    definition: Any = ast.parse(text).body[0]
    return "\n".join(text.splitlines()[definition.lineno - 1 :])
