"""The words and numbers of a checkpoint: values of the kinds that JSON has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np


def json_value(name: str, value: Any) -> Any:
    """`value` made of dicts, lists, strings, numbers, bools and None.

    NumPy's numbers become Python's, paths become strings, tuples and arrays become lists.
    name: of the value, for the message

    Raises: TypeError, which names the part that JSON can't hold.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        return value.item()
    for kind in (str, int, float):  # their subclasses, such as enums
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, Mapping):
        return {_key(name, key): json_value(f"{name}.{key}", part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(f"{name}[{i}]", part) for i, part in enumerate(value)]
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value.tolist()
    raise TypeError(
        f"{name} is a {type(value).__name__}, which a checkpoint can't hold: "
        "wanted numbers, strings, lists or dicts"
    )


def _key(name: str, key: Any) -> str:
    key = key.item() if isinstance(key, np.generic) else key
    if isinstance(key, (str, int, float)) and not isinstance(key, bool):
        return str(key)
    raise TypeError(f"{name} has the key {key!r}, which a checkpoint can't hold: wanted a string")
