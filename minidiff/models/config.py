"""Checks that the settings of several networks share.

The settings of a network are a frozen dataclass, its `Config`. The network keeps them as `config`,
and a checkpoint stores them as a dict: `UNet(UNet.Config(**stored))` is the same network again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from minidiff.engine.checks import is_int


def own_config(network: str, config: Any, wanted: type) -> Any:
    """The settings of a network, by default those of the dataclass `wanted`.

    Raises: TypeError if they are not in that dataclass.
    """
    if config is None:
        return wanted()
    if not isinstance(config, wanted):
        name = wanted.__name__
        raise TypeError(
            f"{network}: the settings must be a {name}, as in {network}({name}(...), rng), "
            f"got {type(config).__name__}"
        )
    return config


def plain_settings(config: Any) -> None:
    """Make the settings of a frozen dataclass plain: Python's numbers, and tuples for lists.

    Whoever computes a size may have an np.int64, and a checkpoint has lists. Call it first in
    `__post_init__`.
    """
    for field in fields(config):
        object.__setattr__(config, field.name, plain_setting(getattr(config, field.name)))


def plain_setting(value: Any) -> Any:
    """Python's number for NumPy's, and a tuple for a list."""
    if isinstance(value, (list, tuple)):
        return tuple(plain_setting(item) for item in value)
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    return value


def check_counts(network: str, **counts: Any) -> None:
    """Refuse settings that count something and are below 1."""
    for name, count in counts.items():
        if not is_int(count) or count < 1:
            raise ValueError(f"{network}: {name} must be an int >= 1, got {count!r}")


def check_channels(network: str, n_channels: Any, ch_mults: Sequence[int]) -> None:
    """Refuse channels that the levels of a U-Net can't have."""
    if not is_int(n_channels) or n_channels < 4 or n_channels % 4:
        raise ValueError(f"{network}: n_channels must be a multiple of 4, got {n_channels!r}")
    if not ch_mults or any(not is_int(m) or m < 1 for m in ch_mults):
        raise ValueError(
            f"{network}: ch_mults must be ints >= 1, one for each resolution, got {tuple(ch_mults)}"
        )
