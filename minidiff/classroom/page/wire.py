"""The way from the page to Python: a name and JSON in, JSON and the bytes of arrays out.

The page calls `call(name, text)` in its worker. An error becomes a sentence for the screen.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minidiff.engine.printing import plain_array

_functions: dict[str, Callable[..., Any]] = {}
TABS = ("points", "digits", "equations", "unet", "broken", "lab", "exercises")


def on_page(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let the page call this function as "module.name"."""
    module = function.__module__.rpartition(".")[2]
    _functions[f"{module}.{function.__name__}"] = function
    return function


def call(name: str, arguments: str) -> tuple[str, list[bytes]]:
    """Call a function of a tab.

    name: "points.forward", say; arguments: its arguments by name, as JSON
    -> JSON of {"value": ...} or {"error": a sentence}, and the bytes of its arrays
    """
    buffers: list[bytes] = []
    try:
        reply = {"value": as_json(function_called(name)(**json.loads(arguments)), buffers)}
    except Exception as error:
        return json.dumps({"error": sentence(error)}), []
    return json.dumps(reply), buffers


def function_called(name: str) -> Callable[..., Any]:
    """The function of a tab, whose module is imported when it is first needed."""
    import importlib

    tab = name.partition(".")[0]
    if name not in _functions and tab in TABS:
        importlib.import_module(f"minidiff.classroom.page.{tab}")
    if name not in _functions:
        raise KeyError(f"the page has no function {name!r}")
    return _functions[name]


def as_json(value: Any, buffers: list[bytes]) -> Any:
    """The value with its arrays taken out as {"array": number in buffers, "shape", "dtype"}.

    Numbers that JSON can't hold become the words "nan", "inf" and "-inf".
    """
    value = plain_array(value)
    if isinstance(value, np.ndarray):
        kind = np.dtype("<i4" if value.dtype.kind in "iub" else "<f8" if value.ndim == 0 else "<f4")
        buffers.append(np.ascontiguousarray(value, kind).tobytes())
        return {"array": len(buffers) - 1, "shape": list(value.shape), "dtype": kind.str[1:]}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): as_json(item, buffers) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item, buffers) for item in value]
    return value


def sentence(error: BaseException) -> str:
    """What went wrong, in one line without a traceback."""
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    said = " ".join(str(text).split())
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    told = (ValueError, KeyError, RuntimeError, FileNotFoundError)
    if isinstance(error, told) and said:
        return said
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
