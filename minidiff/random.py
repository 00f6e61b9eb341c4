"""The one source of randomness, passed explicitly to whatever draws from it.

    rng = RNG(seed=0)
    eps = rng.normal(x_0.shape)

Its state goes into a checkpoint as JSON, so that a resumed run draws the numbers that the uninterrupted run would have drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from minidiff.backend import check_device, to_device

Shape = int | Sequence[int]


class RNG:
    """Normal, uniform and integer random numbers on one device.    seed: int >= 0.

    The numbers are drawn by NumPy's PCG64 on the host and copied to `device`: a seed gives the same training run on every device.
    """

    def __init__(self, seed: int = 0, device: str = "cpu"):
        if not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ValueError(f"RNG: seed must be an int >= 0, got {seed!r}")
        self.device = check_device(device)
        self._generator = np.random.Generator(np.random.PCG64(seed))

    def normal(self, shape: Shape = (), dtype: Any = np.float32) -> Any:
        """Samples of N(0, 1).    -> array of `shape`."""
        return self._place(self._generator.standard_normal(shape, dtype=dtype))

    def uniform(self, shape: Shape = (), dtype: Any = np.float32) -> Any:
        """Samples of the uniform distribution on [0, 1).    -> array of `shape`."""
        return self._place(self._generator.random(shape, dtype=dtype))

    def integers(self, low: int, high: int, shape: Shape = ()) -> Any:
        """Uniform integers in low..high-1.    -> int64 array of `shape`."""
        return self._place(self._generator.integers(low, high, shape))

    def permutation(self, n: int) -> Any:
        """0..n-1 in random order.    -> int64 array (n,)."""
        return self._place(self._generator.permutation(n))

    def spawn(self) -> RNG:
        """A new, independent RNG; the parent's later numbers change with it, reproducibly."""
        return RNG(int(self._generator.integers(0, 2**63)), self.device)

    def state(self) -> dict[str, Any]:
        """The state as JSON-able values."""
        return self._generator.bit_generator.state  # type: ignore[return-value]

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `state()` returned.    Raises ValueError if it is none."""
        try:
            self._generator.bit_generator.state = state
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(f"RNG: state is not one that RNG.state() returned: {error!r}") from error

    def _place(self, values: Any) -> Any:
        array = np.asarray(values)
        return array if self.device == "cpu" else to_device(array, self.device)

    def __repr__(self) -> str:
        return f"RNG(device={self.device!r})"


_layers_draw_from: ContextVar[RNG | None] = ContextVar("layers_draw_from", default=None)


@contextmanager
def layers_draw_from(rng: RNG) -> Iterator[None]:
    """Inside, layers that need random numbers in training (dropout) draw them from `rng`."""
    token = _layers_draw_from.set(rng)
    try:
        yield
    finally:
        _layers_draw_from.reset(token)


def rng_of_layers(layer: str) -> RNG:
    """The RNG named by `layers_draw_from`.    Raises RuntimeError, naming the layer, outside of it."""
    rng = _layers_draw_from.get()
    if rng is None:
        raise RuntimeError(
            f"{layer} draws random numbers in training mode: wrap the step in `with minidiff.random.layers_draw_from(rng):`, "
            "or call model.eval()"
        )
    return rng
