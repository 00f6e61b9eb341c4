"""The one source of randomness, passed explicitly to whatever draws from it.

    rng = RNG(seed=0)
    eps = rng.normal(x_0.shape)

Its state goes into a checkpoint as JSON, so that a resumed run draws the numbers that the
uninterrupted run would have drawn.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidiff.engine.backend import check_device, module_of_device, on_device
from minidiff.engine.philox import LANES, draw
from minidiff.engine.setting import Block, Setting

Shape = int | Sequence[int]


class RNG:
    """Normal, uniform and integer random numbers.

    seed: int >= 0. device: where the normal and uniform ones are made. On the CPU all come from
    NumPy's PCG64. On a GPU the normal and uniform numbers are drawn there (philox.py), so none has
    to be sent, and a seed gives other ones than on the CPU. Whole numbers are few, index tables and
    choose times. They stay on the host on every device.
    """

    def __init__(self, seed: int = 0, device: str = "cpu"):
        if not hasattr(seed, "__index__") or operator.index(seed) < 0:
            raise ValueError(f"RNG: seed must be an int >= 0, got {seed!r}")
        seed = operator.index(seed)
        self.device = check_device(device)
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self._philox = None if device == "cpu" else _Philox(device, seed)

    def normal(self, shape: Shape = (), dtype: Any = np.float32) -> Any:
        """Samples of N(0, 1).    dtype: float32 or float64    -> array of `shape`

        Raises: TypeError for another dtype.
        """
        _check_dtype(dtype)
        if self._philox is not None:
            return self._philox.draw(True, shape, dtype)
        return np.asarray(self._generator.standard_normal(shape, dtype=dtype))

    def uniform(self, shape: Shape = (), dtype: Any = np.float32) -> Any:
        """Samples of the uniform distribution on [0, 1).

        dtype: float32 or float64 -> array of `shape`

        Raises: TypeError for another dtype.
        """
        _check_dtype(dtype)
        if self._philox is not None:
            return self._philox.draw(False, shape, dtype)
        return np.asarray(self._generator.random(shape, dtype=dtype))

    def integers(self, low: int, high: int, shape: Shape = ()) -> np.ndarray:
        """Uniform integers in low..high-1.    -> int64 NumPy array of `shape`."""
        return np.asarray(self._generator.integers(low, high, shape))

    def permutation(self, n: int) -> np.ndarray:
        """0..n-1 in random order.    -> int64 NumPy array (n,)."""
        return np.asarray(self._generator.permutation(n))

    def spawn(self) -> RNG:
        """A new, independent RNG; the parent's later numbers change with it, reproducibly."""
        return RNG(int(self._generator.integers(0, 2**63)), self.device)

    def state(self) -> dict[str, Any]:
        """The state as values for JSON.

        It continues exactly on its own device. On another one the seed is all that they share.
        """
        state: dict[str, Any] = dict(self._generator.bit_generator.state)
        return state if self._philox is None else {**state, "philox": self._philox.state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `state()` returned.

        Raises: ValueError if it is not a state.
        """
        try:
            own = {key: value for key, value in state.items() if key != "philox"}
            philox = (
                None
                if self._philox is None
                else _Philox.of_state(self.device, state.get("philox") or _philox_of_pcg(own))
            )
            self._generator.bit_generator.state = own
        except (AttributeError, TypeError, ValueError, KeyError) as error:
            raise ValueError(
                f"RNG: state is not one that RNG.state() returned: {error!r}"
            ) from error
        self._philox = philox

    def __repr__(self) -> str:
        return f"RNG(device={self.device!r})"


class _Philox:
    """The stream of numbers of one key, drawn on a device.

    Its state is the key and how many blocks were used.
    """

    def __init__(self, device: str, seed: int):
        self.device, self.xp = device, module_of_device(device)
        low, high = np.random.SeedSequence(seed).generate_state(2, np.uint32)
        self.key, self.used = (int(low), int(high)), 0

    @classmethod
    def of_state(cls, device: str, state: dict[str, Any]) -> _Philox:
        philox = cls(device, 0)
        low, high = state["key"]
        philox.key, philox.used = (int(low), int(high)), int(state["used"])
        if not (0 <= min(philox.key) and max(philox.key) < 2**32 and 0 <= philox.used < 2**64):
            raise ValueError(f"key {philox.key} or used = {philox.used} is out of range")
        return philox

    def state(self) -> dict[str, Any]:
        return {"key": list(self.key), "used": self.used}

    def draw(self, normal: bool, shape: Shape, dtype: Any) -> Any:
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        name = _check_dtype(dtype)
        with on_device(self.device):
            numbers = draw(self.xp, normal, self.key, self.used, shape, name)
        self.used += -(-math.prod(shape) // LANES[name])
        return numbers


def _philox_of_pcg(state: dict[str, Any]) -> dict[str, Any]:
    """A key for a GPU, made of a state that was saved on a CPU."""
    low, high = np.random.SeedSequence(int(state["state"]["state"])).generate_state(2, np.uint32)
    return {"key": [int(low), int(high)], "used": 0}


_layers_draw_from: Setting[RNG | None] = Setting("layers_draw_from", None)


def layers_draw_from(rng: RNG) -> Block:
    """Inside, layers that need random numbers in training (dropout) draw them from `rng`."""
    return _layers_draw_from.block(rng)


def rng_of_layers(layer: str) -> RNG:
    """The RNG named by `layers_draw_from`.

    Raises: RuntimeError, which names the layer, outside of it.
    """
    rng = _layers_draw_from.get()
    if rng is None:
        raise RuntimeError(
            f"{layer} draws random numbers in training mode: wrap the step in `with "
            f"minidiff.engine.random.layers_draw_from(rng):`, "
            "or call model.eval()"
        )
    return rng


def _check_dtype(dtype: Any) -> str:
    """The name of a dtype that is drawn.

    Raises: TypeError for another one.
    """
    name = np.dtype(dtype).name
    if name not in LANES:
        raise TypeError(
            f"RNG: dtype must be float32 or float64, got {name} "
            "(pictures are floats, scaled to [-1, 1])"
        )
    return name
